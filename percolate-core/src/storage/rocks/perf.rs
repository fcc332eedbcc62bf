//! RocksDB's `PerfContext` of recorded calls, as `rocksdb.*` attributes of their spans.
//!
//! It is off unless [`StorageOptions::perf_context`](crate::storage::StorageOptions::perf_context) enables
//! it, because RocksDB then counts more and reads clocks. Only recorded calls are measured.
//! Counters that are zero are omitted.

use std::cell::RefCell;
use std::sync::Once;

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use crate::otel::conventions::attribute;
use crate::otel::{Probe, set_probe};

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

impl Probe for Counters {
    fn begin(&self) {
        set_perf_stats(LEVEL);
        _ = CONTEXT.try_with(|context| {
            if let Ok(mut context) = context.try_borrow_mut() {
                context.get_or_insert_default().reset();
            }
        });
    }

    fn end(&self, report: &mut dyn FnMut(&'static str, i64)) {
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
                        report(name, i64::try_from(counted).unwrap_or(i64::MAX));
                    }
                }
            }
        });
        set_perf_stats(PerfStatsLevel::Disable);
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
