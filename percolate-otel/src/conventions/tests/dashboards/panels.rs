//! The panels of the dashboard: which metric is shown how.

use crate::conventions::attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_NAME, ERROR_TYPE, JOB_QUEUE_NAME, JOB_STATUS,
    JOB_TARGET, JOB_TYPE, OTEL_COMPONENT_NAME, PERCOLATE_REASON, SLATEDB_REQUEST_KIND,
};
use crate::conventions::metric::*;

/// A row of the dashboard.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: &'static [Panel],
}

/// One chart.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What a reader has to know besides the descriptions of the metrics.
    pub(super) note: &'static str,
    pub(super) queries: &'static [Query],
}

/// Lines of a chart.
pub(super) struct Query {
    pub(super) metric: &'static str,
    pub(super) view: View,
    /// The attributes that distinguish the lines.
    pub(super) by: &'static [&'static str],
    /// What precedes the attributes in the legend.
    pub(super) legend: &'static str,
}

/// How the values of a metric become lines.
#[derive(Clone, Copy)]
pub(super) enum View {
    /// The sum of the current values.
    Value,
    /// The increase per second; of a histogram, that of its count.
    Rate,
    /// The increase per second of the count of failures.
    FailureRate,
    /// The increase per second of the sum of a histogram.
    SumRate,
    /// A percentile of a histogram.
    Percentile(u8),
    /// The share of a counter in the sum of itself and another one.
    Share(&'static str),
}

const OPERATION: &[&str] = &[DB_OPERATION_NAME, DB_COLLECTION_NAME];
const JOB: &[&str] = &[JOB_TYPE, JOB_TARGET];
const FAMILY: &[&str] = &[DB_NAMESPACE, DB_COLLECTION_NAME];
const STORE: &[&str] = &[DB_NAMESPACE];

const fn query(metric: &'static str, view: View, by: &'static [&'static str]) -> Query {
    Query {
        metric,
        view,
        by,
        legend: "",
    }
}

const fn named(
    legend: &'static str,
    metric: &'static str,
    view: View,
    by: &'static [&'static str],
) -> Query {
    Query {
        metric,
        view,
        by,
        legend,
    }
}

const STATISTICS: &str = "Needs the option `statistics` of the store.";

pub(super) const ROWS: &[Row] = &[
    Row {
        title: "Operations",
        panels: &[
            Panel {
                title: "Operations",
                note: "",
                queries: &[query(DB_CLIENT_OPERATION_DURATION, View::Rate, OPERATION)],
            },
            Panel {
                title: "Failed operations",
                note: "",
                queries: &[query(
                    DB_CLIENT_OPERATION_DURATION,
                    View::FailureRate,
                    &[DB_OPERATION_NAME, DB_COLLECTION_NAME, ERROR_TYPE],
                )],
            },
            Panel {
                title: "Duration of operations",
                note: "",
                queries: &[
                    named(
                        "p50",
                        DB_CLIENT_OPERATION_DURATION,
                        View::Percentile(50),
                        OPERATION,
                    ),
                    named(
                        "p99",
                        DB_CLIENT_OPERATION_DURATION,
                        View::Percentile(99),
                        OPERATION,
                    ),
                ],
            },
            Panel {
                title: "Returned rows",
                note: "",
                queries: &[query(
                    DB_CLIENT_RESPONSE_RETURNED_ROWS,
                    View::SumRate,
                    OPERATION,
                )],
            },
            Panel {
                title: "Rows of one operation",
                note: "",
                queries: &[named(
                    "p99",
                    DB_CLIENT_RESPONSE_RETURNED_ROWS,
                    View::Percentile(99),
                    OPERATION,
                )],
            },
            Panel {
                title: "Slow or failed calls without a trace",
                note: "Needs `slow_threshold` or `report_failed`.",
                queries: &[query(
                    PERCOLATE_CALL_UNSAMPLED,
                    View::Rate,
                    &[PERCOLATE_REASON],
                )],
            },
        ],
    },
    Row {
        title: "Background jobs",
        panels: &[
            Panel {
                title: "Runs",
                note: "",
                queries: &[query(
                    JOB_DURATION,
                    View::Rate,
                    &[JOB_TYPE, JOB_TARGET, JOB_STATUS],
                )],
            },
            Panel {
                title: "Duration of runs",
                note: "",
                queries: &[
                    named("p50", JOB_DURATION, View::Percentile(50), JOB),
                    named("p99", JOB_DURATION, View::Percentile(99), JOB),
                ],
            },
            Panel {
                title: "Running jobs",
                note: "",
                queries: &[query(JOB_ACTIVE, View::Value, &[JOB_TYPE])],
            },
            Panel {
                title: "Waiting jobs",
                note: "",
                queries: &[query(JOB_QUEUE_LENGTH, View::Value, &[JOB_QUEUE_NAME])],
            },
            Panel {
                title: "Time in the queue",
                note: "",
                queries: &[
                    named(
                        "p50",
                        JOB_QUEUE_WAIT,
                        View::Percentile(50),
                        &[JOB_QUEUE_NAME],
                    ),
                    named(
                        "p99",
                        JOB_QUEUE_WAIT,
                        View::Percentile(99),
                        &[JOB_QUEUE_NAME],
                    ),
                ],
            },
        ],
    },
    Row {
        title: "RocksDB: flushes, compactions and stalls",
        panels: &[
            Panel {
                title: "Stalled writes",
                note: "The share of time that writes waited, summed over all threads that write. \
                       Needs the option `statistics` of the store.",
                queries: &[query(ROCKSDB_STALL, View::Rate, STORE)],
            },
            Panel {
                title: "Bytes to compact",
                note: "",
                queries: &[query(ROCKSDB_COMPACTION_PENDING, View::Value, FAMILY)],
            },
            Panel {
                title: "Running flushes and compactions",
                note: "",
                queries: &[
                    named("flushes", ROCKSDB_FLUSHES, View::Value, STORE),
                    named("compactions", ROCKSDB_COMPACTIONS, View::Value, STORE),
                ],
            },
            Panel {
                title: "Bytes flushed and compacted",
                note: STATISTICS,
                queries: &[
                    named("flush", ROCKSDB_FLUSH_BYTES, View::Rate, STORE),
                    named(
                        "compaction read",
                        ROCKSDB_COMPACT_READ_BYTES,
                        View::Rate,
                        STORE,
                    ),
                    named(
                        "compaction write",
                        ROCKSDB_COMPACT_WRITTEN_BYTES,
                        View::Rate,
                        STORE,
                    ),
                ],
            },
            Panel {
                title: "Bytes written by calls",
                note: STATISTICS,
                queries: &[
                    named("keys and values", ROCKSDB_WRITTEN_BYTES, View::Rate, STORE),
                    named("log", ROCKSDB_WAL_BYTES, View::Rate, STORE),
                ],
            },
        ],
    },
    Row {
        title: "RocksDB: reads, memory and files",
        panels: &[
            Panel {
                title: "Hit rate of the block cache",
                note: STATISTICS,
                queries: &[query(
                    ROCKSDB_CACHE_HITS,
                    View::Share(ROCKSDB_CACHE_MISSES),
                    STORE,
                )],
            },
            Panel {
                title: "Reads avoided by Bloom filters",
                note: STATISTICS,
                queries: &[query(ROCKSDB_BLOOM_USEFUL, View::Rate, STORE)],
            },
            Panel {
                title: "Bytes read by key",
                note: STATISTICS,
                queries: &[query(ROCKSDB_READ_BYTES, View::Rate, STORE)],
            },
            Panel {
                title: "Memory tables",
                note: "",
                queries: &[query(ROCKSDB_MEMTABLE, View::Value, FAMILY)],
            },
            Panel {
                title: "Block cache",
                note: "",
                queries: &[query(ROCKSDB_CACHE, View::Value, STORE)],
            },
            Panel {
                title: "Indexes and filters of open files",
                note: "",
                queries: &[query(ROCKSDB_TABLE_READERS, View::Value, FAMILY)],
            },
            Panel {
                title: "Table files",
                note: "",
                queries: &[query(ROCKSDB_SST, View::Value, FAMILY)],
            },
            Panel {
                title: "Keys",
                note: "",
                queries: &[query(ROCKSDB_KEYS, View::Value, FAMILY)],
            },
            Panel {
                title: "Snapshots",
                note: "",
                queries: &[query(ROCKSDB_SNAPSHOTS, View::Value, STORE)],
            },
        ],
    },
    Row {
        title: "SlateDB: the object store",
        panels: &[
            Panel {
                title: "Requests",
                note: "With the repeated ones. Object stores have a price for each kind.",
                queries: &[query(
                    SLATEDB_REQUESTS,
                    View::Rate,
                    &[DB_NAMESPACE, SLATEDB_REQUEST_KIND],
                )],
            },
            Panel {
                title: "Failed requests",
                note: "Each is repeated, as often as the option `object_store_retries` says.",
                queries: &[query(
                    SLATEDB_ERRORS,
                    View::Rate,
                    &[DB_NAMESPACE, SLATEDB_REQUEST_KIND],
                )],
            },
            Panel {
                title: "Waits of writes",
                note: "",
                queries: &[query(SLATEDB_DELAYED, View::Rate, STORE)],
            },
            Panel {
                title: "Bytes written",
                note: "",
                queries: &[
                    named("log", SLATEDB_WAL_BYTES, View::Rate, STORE),
                    named("flush", SLATEDB_FLUSH_BYTES, View::Rate, STORE),
                    named("compaction", SLATEDB_COMPACT_BYTES, View::Rate, STORE),
                ],
            },
            Panel {
                title: "Memory tables of SlateDB",
                note: "",
                queries: &[query(SLATEDB_MEMTABLE, View::Value, STORE)],
            },
            Panel {
                title: "Files to compact",
                note: "",
                queries: &[query(SLATEDB_L0, View::Value, STORE)],
            },
        ],
    },
    Row {
        title: "Telemetry",
        panels: &[
            Panel {
                title: "Spans dropped before the queue",
                note: "",
                queries: &[query(
                    PERCOLATE_SPAN_DROPPED,
                    View::Rate,
                    &[PERCOLATE_REASON],
                )],
            },
            Panel {
                title: "Unrecorded events of RocksDB",
                note: "",
                queries: &[query(ROCKSDB_EVENT_DROPPED, View::Rate, STORE)],
            },
            Panel {
                title: "Exported and lost",
                note: "Lines with an error type are losses.",
                queries: &[
                    query(
                        OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
                        View::Rate,
                        &[OTEL_COMPONENT_NAME, ERROR_TYPE],
                    ),
                    query(
                        OTEL_SDK_PROCESSOR_LOG_PROCESSED,
                        View::Rate,
                        &[OTEL_COMPONENT_NAME, ERROR_TYPE],
                    ),
                ],
            },
            Panel {
                title: "Waiting for export",
                note: "",
                queries: &[
                    query(
                        OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
                        View::Value,
                        &[OTEL_COMPONENT_NAME],
                    ),
                    query(
                        OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
                        View::Value,
                        &[OTEL_COMPONENT_NAME],
                    ),
                ],
            },
        ],
    },
];
