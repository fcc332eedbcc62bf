//! Counts of exported and lost data by reason. `status()` and the `otel.sdk.*` metrics read them.
//! Invariant: an item that reaches a processor is in exactly one of these counts at every moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::recorder::RecordCounts;

/// The counts of one exporter.
#[derive(Debug, Default)]
pub(super) struct Counters {
    ledger: Mutex<Ledger>,
    /// Running exports of metrics.
    pub(super) running: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Ledger {
    counts: ExportCounts,
    /// The number of items that came from the records of annotated calls.
    from_records: u64,
    /// Set at the end of the shutdown. Later results of exports are not counted.
    closed: bool,
}

/// The counts of one exporter: spans, log records, or exports of metrics.
///
/// Each item that reached the exporter is in one of the counts at every moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportCounts {
    /// Accepted by the collector, or printed.
    pub exported: u64,
    /// Rejected by the collector, or not delivered in time.
    pub failed: u64,
    /// Lost because the queue was full.
    pub dropped_queue_full: u64,
    /// Lost because the deadline of the shutdown passed. The collector may have received the last
    /// batch.
    pub dropped_at_shutdown: u64,
    /// Ended after the shutdown.
    pub dropped_after_shutdown: u64,
    /// Spans of annotated calls that have not reached the queue.
    pub buffered: u64,
    /// Waiting to be exported.
    pub queued: u64,
    /// Being exported.
    pub in_flight: u64,
    /// The last error message of the exporter.
    pub last_error: Option<String>,
}

/// The number of records of annotated calls that were dropped in their buffer. It is set when the
/// buffer exists. The first exporter of spans reports them with its own losses.
#[derive(Debug, Clone, Default)]
pub(super) struct LossesBefore(Arc<OnceLock<Arc<AtomicU64>>>);

impl LossesBefore {
    pub(super) fn set(&self, count: Arc<AtomicU64>) {
        _ = self.0.set(count);
    }

    pub(super) fn count(&self) -> u64 {
        let count = self.0.get();
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What becomes of an item when it reaches a processor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arrival {
    Queued,
    /// Dropped: the queue is full.
    Full,
    /// Dropped: the processor was shut down.
    Closed,
}

thread_local! {
    static IS_RECORDS_THREAD: bool = thread::current().name() == Some("percolate-spans");
}

/// Whether the current thread converts the records of annotated calls to spans.
pub(super) fn is_records_thread() -> bool {
    IS_RECORDS_THREAD.with(|is| *is)
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an item that reaches a processor.
    pub(super) fn arrive(&self, arrival: Arrival) {
        let from_records = is_records_thread();
        let mut ledger = self.lock();
        ledger.from_records += u64::from(from_records);
        let arrival = if ledger.closed {
            Arrival::Closed
        } else {
            arrival
        };
        let counts = &mut ledger.counts;
        *match arrival {
            Arrival::Queued => &mut counts.queued,
            Arrival::Full => &mut counts.dropped_queue_full,
            // The call ended before the shutdown: later records are dropped in their buffer.
            Arrival::Closed if from_records => &mut counts.dropped_at_shutdown,
            Arrival::Closed => &mut counts.dropped_after_shutdown,
        } += 1;
    }

    /// Counts queued items whose export begins.
    pub(super) fn begin(&self, count: usize) {
        let mut ledger = self.lock();
        if !ledger.closed {
            ledger.counts.queued -= count as u64;
            ledger.counts.in_flight += count as u64;
        }
    }

    /// Counts the result of the export of `count` items, of which `lost` failed.
    pub(super) fn end(&self, count: usize, lost: usize, error: Option<String>) {
        let mut ledger = self.lock();
        if !ledger.closed {
            ledger.counts.in_flight -= count as u64;
            ledger.counts.exported += (count - lost) as u64;
            ledger.counts.failed += lost as u64;
        }
        if error.is_some() {
            ledger.counts.last_error = error;
        }
    }

    /// Notes an error that loses nothing: what was exported is written again.
    pub(super) fn note(&self, error: String) {
        self.lock().counts.last_error = Some(error);
    }

    /// Counts an export of something that was not queued.
    pub(super) fn exported_at_once(&self, lost: usize, error: Option<String>) {
        let mut ledger = self.lock();
        ledger.counts.exported += 1 - lost as u64;
        ledger.counts.failed += lost as u64;
        if error.is_some() {
            ledger.counts.last_error = error;
        }
    }

    /// Counts everything that is queued as dropped at the shutdown.
    pub(super) fn drop_queued(&self) {
        let counts = &mut self.lock().counts;
        counts.dropped_at_shutdown += std::mem::take(&mut counts.queued);
    }

    /// Counts everything that is queued or being exported as dropped at the shutdown. The counts
    /// are final after this, but for items that arrive later.
    pub(super) fn close(&self) {
        let mut ledger = self.lock();
        ledger.closed = true;
        let counts = &mut ledger.counts;
        counts.dropped_at_shutdown +=
            std::mem::take(&mut counts.queued) + std::mem::take(&mut counts.in_flight);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().counts.last_error.clone()
    }

    pub(super) fn failed(&self) -> u64 {
        self.lock().counts.failed
    }

    /// Returns the number of items that reached the queue and were lost.
    pub(super) fn lost_after_queue(&self) -> u64 {
        let counts = &self.lock().counts;
        counts.failed + counts.dropped_at_shutdown
    }

    /// Returns the number of items that were lost before the shutdown ended.
    pub(super) fn lost(&self) -> u64 {
        let counts = &self.lock().counts;
        counts.failed + counts.dropped_queue_full + counts.dropped_at_shutdown
    }

    /// Returns the counts without `buffered`.
    pub(super) fn counts(&self) -> ExportCounts {
        self.lock().counts.clone()
    }

    /// Returns the counts of this moment, of an exporter of spans.
    pub(super) fn arrived(&self) -> Arrived {
        Arrived(self.lock().clone())
    }
}

/// The counts of an exporter of spans, without the records that have not arrived there.
pub(super) struct Arrived(Ledger);

impl Arrived {
    /// Returns the counts with the records of annotated calls that wait in their buffers. After the
    /// shutdown these are lost. `records` are the counts of a later moment.
    pub(super) fn with(self, records: RecordCounts) -> ExportCounts {
        let Ledger {
            mut counts,
            from_records,
            closed,
        } = self.0;
        let waiting = records
            .recorded
            .saturating_sub(records.lost() + from_records);
        if closed {
            counts.dropped_at_shutdown += waiting;
        } else {
            counts.buffered = waiting;
        }
        counts
    }
}

/// Returns the largest loss of one exporter. Exporters receive the same items, so that their losses do
/// not add up.
pub(super) fn most_lost<'a>(exporters: impl Iterator<Item = &'a ExportCounts>) -> u64 {
    exporters.map(ExportCounts::lost).max().unwrap_or(0)
}

impl ExportCounts {
    /// Returns the sum of failed and dropped data.
    pub fn lost(&self) -> u64 {
        self.failed
            + self.dropped_queue_full
            + self.dropped_at_shutdown
            + self.dropped_after_shutdown
    }

    /// Returns the sum of exported, lost and waiting data.
    pub fn total(&self) -> u64 {
        self.exported + self.lost() + self.buffered + self.queued + self.in_flight
    }
}
