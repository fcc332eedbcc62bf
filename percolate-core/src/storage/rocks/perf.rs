//! RocksDB's `PerfContext` of recorded calls, as `rocksdb.*` attributes of their spans.
//!
//! It is off unless [`StorageOptions::perf_context`](crate::storage::StorageOptions::perf_context) enables
//! it, because RocksDB then counts more and reads clocks. Only recorded calls are measured.
//! Counters that are zero are omitted. A write that waited has links to the stalls that it waited for.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use super::events::Waits;
use crate::otel::conventions::attribute;
use crate::otel::{Probe, ProbeReport, set_probe};

const COUNTED: [(PerfMetric, &str); 9] = [
    (PerfMetric::BlockReadCount, attribute::ROCKSDB_BLOCK_READS),
    (
        PerfMetric::BlockReadByte,
        attribute::ROCKSDB_BLOCK_READ_BYTES,
    ),
    (
        PerfMetric::BlockReadTime,
        attribute::ROCKSDB_BLOCK_READ_NANOS,
    ),
    (
        PerfMetric::BlockCacheHitCount,
        attribute::ROCKSDB_BLOCK_CACHE_HITS,
    ),
    (
        PerfMetric::GetFromMemtableCount,
        attribute::ROCKSDB_MEMTABLE_READS,
    ),
    (
        PerfMetric::InternalKeySkippedCount,
        attribute::ROCKSDB_KEYS_SKIPPED,
    ),
    (
        PerfMetric::SeekInternalSeekTime,
        attribute::ROCKSDB_SEEK_NANOS,
    ),
    (PerfMetric::WriteWalTime, attribute::ROCKSDB_WAL_NANOS),
    (
        PerfMetric::WriteDelayTime,
        attribute::ROCKSDB_WRITE_STALLED_NANOS,
    ),
];

/// Counters and times, without those of mutexes. The levels of the crate are one behind RocksDB's,
/// which has `kEnableWait` below. This is RocksDB's `kEnableTimeExceptForMutex`.
const LEVEL: PerfStatsLevel = PerfStatsLevel::EnableTimeAndCPUTimeExceptForMutex;

/// The shortest wait for a stall. RocksDB sleeps for a millisecond or more. A write that only looks whether
/// it has to wait takes a few microseconds, which RocksDB counts too.
const WAIT: Duration = Duration::from_micros(100);

/// Enables RocksDB's counters for recorded calls of this process.
pub(super) fn enable() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The application may have set a probe of its own, which is kept.
        set_probe(super::SYSTEM, &Counters);
    });
}

#[derive(Debug)]
struct Counters;

thread_local! {
    /// The thread's context, created by the first recorded call. Only leaf calls are measured, so
    /// calls of one thread are never nested.
    static CONTEXT: RefCell<Option<PerfContext>> = const { RefCell::new(None) };
}

thread_local! {
    /// Whether the calls of the context are counted now.
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    /// The stalls of the store whose write has waited, until the end of the call.
    static WAITED_IN: Cell<Option<Arc<Waits>>> = const { Cell::new(None) };
}

/// To be called after a write: keeps the stalls of its store for the end of the call, if the write is
/// recorded and has waited.
pub(super) fn keep_if_waited(waits: &Arc<Waits>) {
    let is_counting = IS_COUNTING.try_with(Cell::get) == Ok(true);
    if is_counting && waited() >= WAIT {
        _ = WAITED_IN.try_with(|place| place.set(Some(Arc::clone(waits))));
    }
}

/// Returns how long the call on this thread has waited for stalls.
fn waited() -> Duration {
    let nanos = CONTEXT.try_with(|context| {
        let context = context.try_borrow().ok()?;
        Some(context.as_ref()?.metric(PerfMetric::WriteDelayTime))
    });
    Duration::from_nanos(nanos.ok().flatten().unwrap_or_default())
}

/// Adds links to the stalls for which the call has waited.
#[cold]
fn link_stalls(report: &mut ProbeReport<'_>) {
    if let Ok(Some(waits)) = WAITED_IN.try_with(Cell::take) {
        report.link(|since_start| {
            let now = Instant::now();
            let stalls = waits.since(now.checked_sub(since_start).unwrap_or(now));
            stalls.into_iter().filter_map(|stall| stall.link())
        });
    }
}

impl Probe for Counters {
    fn begin(&self) {
        set_perf_stats(LEVEL);
        _ = IS_COUNTING.try_with(|place| place.set(true));
        _ = CONTEXT.try_with(|context| {
            if let Ok(mut context) = context.try_borrow_mut() {
                context.get_or_insert_default().reset();
            }
        });
    }

    fn end(&self, report: &mut ProbeReport<'_>) {
        let mut has_waited = false;
        _ = CONTEXT.try_with(|context| {
            if let Some(context) = context
                .try_borrow()
                .ok()
                .as_ref()
                .and_then(|context| context.as_ref())
            {
                for (metric, name) in COUNTED {
                    let counted = context.metric(metric);
                    if counted > 0 {
                        report.count(name, i64::try_from(counted).unwrap_or(i64::MAX));
                        has_waited |= metric == PerfMetric::WriteDelayTime;
                    }
                }
            }
        });
        set_perf_stats(PerfStatsLevel::Disable);
        _ = IS_COUNTING.try_with(|place| place.set(false));
        if has_waited {
            link_stalls(report);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use opentelemetry::Value;

    use crate::otel::testing::Capture;
    use crate::storage::{ScanRange, Storage, StorageOptions};

    #[test]
    fn a_recorded_read_has_rocksdbs_counters() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let storage = Storage::open(
            dir.path(),
            StorageOptions::new()
                .column_family("articles")
                .perf_context(true),
        )
        .expect("it opens");
        for n in 0..100_u8 {
            storage.put("articles", [n], [n; 100]).expect("it writes");
        }
        storage.flush().expect("it flushes");
        let capture = Capture::builder().compact_records().build();
        capture.run(|| {
            storage.get("articles", [7]).expect("it reads");
            storage.get("articles", [7]).expect("it reads");
            assert_eq!(
                storage
                    .scan("articles", ScanRange::prefix([9]))
                    .expect("it reads")
                    .count(),
                1
            );
        });
        let spans = capture.spans();
        let gets = spans.all("get articles");
        let counted = |index: usize, name: &str| match gets[index].attribute(name) {
            Some(Value::I64(count)) => *count,
            None => 0,
            other => panic!("{name} is an integer, not {other:?}"),
        };
        assert!(
            counted(0, "rocksdb.block.reads") > 0,
            "the first one reads the file"
        );
        assert_eq!(
            counted(1, "rocksdb.block.reads"),
            0,
            "the second one finds the block"
        );
        assert!(counted(1, "rocksdb.block.cache_hits") > 0);
        assert!(
            spans
                .span("scan articles")
                .attribute("rocksdb.seek_ns")
                .is_some(),
            "times are counted as well"
        );
        capture.report().assert_clean();
    }
}
