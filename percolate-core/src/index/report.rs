//! What a rebuild or a verification of indexes reports at its end.

use std::fmt;

use uuid::Uuid;

use crate::otel::{JobOutcome, JobStatus};

/// The number of unreadable entities and tables that a report names.
const NAMED: usize = 100;

/// The result of a rebuild or a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// differs from the provider's. Each table whose schema cannot be read counts as one.
    pub failed: usize,
    /// The entities and schemas among `failed` that could not be read, at most 100.
    pub unreadable: Vec<Unreadable>,
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
        for unreadable in other.unreadable {
            self.name(unreadable);
        }
    }

    /// Counts and names an entity or a schema that cannot be read.
    pub(crate) fn add_unreadable(&mut self, unreadable: Unreadable) {
        self.failed += 1;
        self.name(unreadable);
    }

    fn name(&mut self, unreadable: Unreadable) {
        if self.unreadable.len() < NAMED && !self.unreadable.contains(&unreadable) {
            self.unreadable.push(unreadable);
        }
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

/// An entity or a schema that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The table.
    pub table: String,
    /// The id of the entity, `None` if the schema of the table cannot be read.
    pub id: Option<Uuid>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(formatter, "entity {id} of `{}`", self.table),
            None => write!(formatter, "the schema of `{}`", self.table),
        }
    }
}
