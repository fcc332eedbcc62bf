//! RocksDB's properties and statistics as the figures of its engine.
//!
//! The names are percolate's own, defined in `semconv/`, in the namespace that the conventions
//! reserve for a system.

use opentelemetry::KeyValue;
use rocksdb::properties as rocks;
use rocksdb::statistics::Ticker;

use super::store::RocksEngine;
use crate::otel::conventions::{attribute, metric};

/// One property of RocksDB.
struct Figure {
    metric: &'static str,
    property: &'static rocksdb::properties::PropName,
    /// Whether each column family has its own value. Otherwise the database has one.
    of_families: bool,
}

const FIGURES: [Figure; 9] = [
    Figure {
        metric: metric::ROCKSDB_KEYS,
        property: rocks::ESTIMATE_NUM_KEYS,
        of_families: true,
    },
    Figure {
        metric: metric::ROCKSDB_MEMTABLE,
        property: rocks::CUR_SIZE_ALL_MEM_TABLES,
        of_families: true,
    },
    Figure {
        metric: metric::ROCKSDB_TABLE_READERS,
        property: rocks::ESTIMATE_TABLE_READERS_MEM,
        of_families: true,
    },
    Figure {
        metric: metric::ROCKSDB_SST,
        property: rocks::TOTAL_SST_FILES_SIZE,
        of_families: true,
    },
    Figure {
        metric: metric::ROCKSDB_COMPACTION_PENDING,
        property: rocks::ESTIMATE_PENDING_COMPACTION_BYTES,
        of_families: true,
    },
    Figure {
        metric: metric::ROCKSDB_COMPACTIONS,
        property: rocks::NUM_RUNNING_COMPACTIONS,
        of_families: false,
    },
    Figure {
        metric: metric::ROCKSDB_FLUSHES,
        property: rocks::NUM_RUNNING_FLUSHES,
        of_families: false,
    },
    Figure {
        metric: metric::ROCKSDB_CACHE,
        property: rocks::BLOCK_CACHE_USAGE,
        of_families: false,
    },
    Figure {
        metric: metric::ROCKSDB_SNAPSHOTS,
        property: rocks::NUM_SNAPSHOTS,
        of_families: false,
    },
];

/// The tickers of RocksDB's statistics, and their metrics.
const COUNTERS: [(&str, Ticker); 10] = [
    (metric::ROCKSDB_CACHE_HITS, Ticker::BlockCacheHit),
    (metric::ROCKSDB_CACHE_MISSES, Ticker::BlockCacheMiss),
    (metric::ROCKSDB_BLOOM_USEFUL, Ticker::BloomFilterUseful),
    (metric::ROCKSDB_READ_BYTES, Ticker::BytesRead),
    (metric::ROCKSDB_WRITTEN_BYTES, Ticker::BytesWritten),
    (metric::ROCKSDB_WAL_BYTES, Ticker::WalFileBytes),
    (metric::ROCKSDB_FLUSH_BYTES, Ticker::FlushWriteBytes),
    (metric::ROCKSDB_COMPACT_READ_BYTES, Ticker::CompactReadBytes),
    (
        metric::ROCKSDB_COMPACT_WRITTEN_BYTES,
        Ticker::CompactWriteBytes,
    ),
    (metric::ROCKSDB_STALL, Ticker::StallMicros),
];

/// Reports the values of a metric, with the column families that they belong to.
pub(super) fn read(
    engine: &RocksEngine,
    metric: &str,
    report: &mut dyn FnMut(u64, Option<KeyValue>),
) {
    if let Some(figure) = FIGURES.iter().find(|figure| figure.metric == metric) {
        return read_figure(engine, figure, report);
    }
    if metric == metric::ROCKSDB_EVENT_DROPPED {
        if let Some(events) = &engine.events {
            report(events.dropped(), None);
        }
        return;
    }
    let counter = COUNTERS.iter().find(|(counter, _)| *counter == metric);
    if let (Some(statistics), Some((_, ticker))) = (&engine.statistics, counter) {
        report(statistics.get_ticker_count(*ticker), None);
    }
}

fn read_figure(
    engine: &RocksEngine,
    figure: &Figure,
    report: &mut dyn FnMut(u64, Option<KeyValue>),
) {
    let families = engine.names();
    let read = if figure.of_families {
        &families[..]
    } else {
        families.get(..1).unwrap_or_default()
    };
    for family in read {
        if let Some(value) = engine.property(family, figure.property) {
            let part = figure
                .of_families
                .then(|| KeyValue::new(attribute::DB_COLLECTION_NAME, family.clone()));
            report(value, part);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::time::{Duration, Instant};

    use crate::otel::testing::Capture;
    use crate::storage::{Storage, StorageOptions};

    #[test]
    fn rocksdbs_figures_are_collected_by_column_family_and_end_with_the_store() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let options = StorageOptions::new()
            .column_family("articles")
            .namespace("library");
        let storage = Storage::open(dir.path(), options).expect("it opens");
        let capture = Capture::new();
        storage.register_metrics(capture.meter_provider());
        for n in 0..10_u8 {
            storage.put("articles", [n], [n]).expect("it writes");
        }
        let metrics = capture.metrics();
        let about = [
            ("db.collection.name", "articles"),
            ("db.namespace", "library"),
        ];
        assert!((metrics.sum("rocksdb.key.count", &about) - 10.0).abs() < f64::EPSILON);
        assert!(metrics.sum("rocksdb.memtable.size", &about) > 0.0);
        let open_tables = metrics.metric("rocksdb.table_readers.size");
        assert!(open_tables.points().len() > 1, "one value for each family");
        assert_eq!(
            metrics.metric("rocksdb.block_cache.size").points().len(),
            1,
            "one cache for the database"
        );
        capture.report().assert_clean();
    }

    const MIB: f64 = (1 << 20) as f64;

    /// Returns the size of the memory tables after 32 MiB were written to two column families, and
    /// RocksDB had a minute of small writes to bring it below `expected`. It compares the size with
    /// the limit when it writes, and skips families that are being flushed.
    fn memory_tables_after_writes(options: StorageOptions, expected: f64) -> f64 {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let options = options.column_family("articles").column_family("words");
        let storage = Storage::open(dir.path(), options).expect("it opens");
        let capture = Capture::new();
        storage.register_metrics(capture.meter_provider());
        let value = vec![0; 128 << 10];
        for n in 0..128_u8 {
            for family in ["articles", "words"] {
                storage.put(family, [n], &value).expect("it writes");
            }
        }
        let begin = Instant::now();
        loop {
            let size = capture.metrics().sum("rocksdb.memtable.size", &[]);
            if size < expected || begin.elapsed() > Duration::from_mins(1) {
                return size;
            }
            for family in ["articles", "words"] {
                storage.put(family, [0], [0]).expect("it writes");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn the_limit_of_memory_tables_holds_for_all_column_families_together() {
        let limited = StorageOptions::new().memory_table_limit(8 << 20);
        let size = memory_tables_after_writes(limited, 12.0 * MIB);
        assert!(size < 12.0 * MIB, "{size}");
        let unlimited = StorageOptions::new().memory_table_limit(0);
        assert!(memory_tables_after_writes(unlimited, f64::INFINITY) > 32.0 * MIB);
    }

    #[test]
    fn rocksdbs_counters_are_exported_if_its_statistics_are_enabled() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let options = StorageOptions::new()
            .column_family("articles")
            .statistics(true);
        let storage = Storage::open(dir.path(), options).expect("it opens");
        let capture = Capture::new();
        storage.register_metrics(capture.meter_provider());
        let count = |name: &str| capture.metrics().sum(name, &[]);
        let written = count("rocksdb.write.size");
        storage
            .put("articles", b"key", [0; 5000])
            .expect("it writes");
        assert!((5000.0..5200.0).contains(&(count("rocksdb.write.size") - written)));
        assert!(count("rocksdb.wal.size") >= 5000.0);
        storage.flush().expect("it flushes");
        assert!(count("rocksdb.flush.size") > 0.0);
        let (read, missed) = (
            count("rocksdb.read.size"),
            count("rocksdb.block_cache.misses"),
        );
        storage.get("articles", b"key").expect("it reads");
        assert!((count("rocksdb.read.size") - read - 5000.0).abs() < f64::EPSILON);
        assert!(count("rocksdb.block_cache.misses") > missed);
        let hits = count("rocksdb.block_cache.hits");
        storage.get("articles", b"key").expect("it reads");
        assert!(count("rocksdb.block_cache.hits") > hits);
        // No write was stalled. The metric is reported, with the unit of its definition.
        assert_eq!(
            capture
                .metrics()
                .metric("rocksdb.write.stalled")
                .points()
                .len(),
            1
        );
        capture.report().assert_clean();
    }
}
