//! Counts of exported and lost data by reason. `status()` and the `otel.sdk.*` metrics read them.
//! Invariant: every span that reaches a processor ends in exactly one of these counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The counts of one exporter.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) exported: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) at_shutdown: AtomicU64,
    pub(super) after_shutdown: AtomicU64,
    pub(super) queued: AtomicU64,
    /// Running exports of metrics.
    pub(super) running: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// The counts of one exporter: spans, log records, or exports of metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportCounts {
    /// Accepted by the collector, or printed.
    pub exported: u64,
    /// Rejected by the collector, or not delivered in time.
    pub failed: u64,
    /// Lost because the queue was full.
    pub dropped_queue_full: u64,
    /// Lost because the deadline of the shutdown passed.
    pub dropped_at_shutdown: u64,
    /// Ended after the shutdown.
    pub dropped_after_shutdown: u64,
    /// Waiting to be exported.
    pub queued: u64,
    /// The last error message of the exporter.
    pub last_error: Option<String>,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, count: usize, error: String) {
        Self::add(&self.failed, count);
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn counts(&self) -> ExportCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ExportCounts {
            exported: read(&self.exported),
            failed: read(&self.failed),
            dropped_queue_full: read(&self.queue_full),
            dropped_at_shutdown: read(&self.at_shutdown),
            dropped_after_shutdown: read(&self.after_shutdown),
            queued: read(&self.queued),
            last_error: self.last_error(),
        }
    }
}

impl ExportCounts {
    /// Returns the sum of failed and dropped data.
    pub fn lost(&self) -> u64 {
        self.failed
            + self.dropped_queue_full
            + self.dropped_at_shutdown
            + self.dropped_after_shutdown
    }
}
