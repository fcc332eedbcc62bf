//! What a rebuild or a verification of indexes reports: its progress and its result.

use crate::otel::{JobOutcome, JobStatus};

/// The result of a rebuild or a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexReport {
    /// Entities checked. For
    /// [`rebuild_hnsw_index`](crate::admin::IndexManager::rebuild_hnsw_index), stored vectors.
    pub entities: usize,
    /// Entries that were missing or wrong. A rebuild writes them, a verification only counts them.
    pub missing: usize,
    /// Entries that belong to no entity. A rebuild removes them, a verification only counts them.
    pub stale: usize,
    /// Entities that could not be read and therefore have no entries, and vectors whose length
    /// differs from the provider's.
    pub failed: usize,
    /// `true` if [`on_progress`](crate::admin::IndexManager::on_progress) ended the work early. The
    /// numbers then cover the work done up to that point.
    pub cancelled: bool,
}

impl IndexReport {
    /// Returns `true` if everything was checked, every entity could be read and the index agreed
    /// with all of them.
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.stale == 0 && self.failed == 0 && !self.cancelled
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.entities += other.entities;
        self.missing += other.missing;
        self.stale += other.stale;
        self.failed += other.failed;
        self.cancelled |= other.cancelled;
    }
}

impl JobOutcome for IndexReport {
    fn job_status(&self) -> JobStatus {
        if self.cancelled {
            JobStatus::Cancelled
        } else if self.failed > 0 {
            JobStatus::Partial
        } else {
            JobStatus::Success
        }
    }
}

/// The progress of a rebuild or a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entities and entries processed so far. Starts again at zero for each index.
    pub done: usize,
}
