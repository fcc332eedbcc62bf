//! The table of metrics.

use super::definition::RequirementLevel::{OptIn, Recommended, Required};
use super::definition::Stability::{Development, Stable};
use super::definition::{AttributeUse, MetricDef, Source, late};
use super::spans::{
    FAILED, FAILED_WITH_CODE, HAS_NAMESPACE, HAS_TARGET, JOB_FAILED, ONE_COLLECTION, ONE_OPERATION,
    OTHER_PORT,
};
use super::{attribute, metric};

const DB_METRIC_ATTRIBUTES: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_COLLECTION_NAME, ONE_COLLECTION),
    late(attribute::DB_NAMESPACE, HAS_NAMESPACE),
    late(attribute::DB_OPERATION_NAME, ONE_OPERATION),
    late(attribute::DB_RESPONSE_STATUS_CODE, FAILED_WITH_CODE),
    late(attribute::ERROR_TYPE, FAILED),
    late(attribute::SERVER_PORT, OTHER_PORT),
    late(attribute::DB_QUERY_SUMMARY, Recommended),
    late(attribute::DB_STORED_PROCEDURE_NAME, Recommended),
    late("network.peer.address", Recommended),
    late("network.peer.port", Recommended),
    late(attribute::SERVER_ADDRESS, Recommended),
    late(attribute::DB_QUERY_TEXT, OptIn),
];

/// All metrics that percolate emits.
pub const METRICS: &[MetricDef] = &[
    MetricDef {
        name: metric::DB_CLIENT_OPERATION_DURATION,
        instrument: "histogram",
        unit: "s",
        stability: Stable,
        source: Source::OpenTelemetry,
        brief: "Duration of database client operations.",
        attributes: DB_METRIC_ATTRIBUTES,
    },
    MetricDef {
        name: metric::DB_CLIENT_RESPONSE_RETURNED_ROWS,
        instrument: "histogram",
        unit: "{row}",
        stability: Development,
        source: Source::OpenTelemetry,
        brief: "Number of rows that database client operations returned.",
        attributes: DB_METRIC_ATTRIBUTES,
    },
    MetricDef {
        name: metric::JOB_DURATION,
        instrument: "histogram",
        unit: "s",
        stability: Development,
        source: Source::Percolate,
        brief: "Duration of background job runs.",
        attributes: &[
            late(attribute::JOB_TYPE, Required),
            late(attribute::JOB_TARGET, HAS_TARGET),
            late(attribute::JOB_STATUS, Required),
            late(attribute::ERROR_TYPE, JOB_FAILED),
        ],
    },
    MetricDef {
        name: metric::JOB_ACTIVE,
        instrument: "updowncounter",
        unit: "{job}",
        stability: Development,
        source: Source::Percolate,
        brief: "Running background jobs.",
        attributes: &[late(attribute::JOB_TYPE, Required)],
    },
    MetricDef {
        name: metric::JOB_QUEUE_LENGTH,
        instrument: "updowncounter",
        unit: "{job}",
        stability: Development,
        source: Source::Percolate,
        brief: "Background jobs that wait in a queue.",
        attributes: &[late(attribute::JOB_QUEUE_NAME, Required)],
    },
    MetricDef {
        name: metric::JOB_QUEUE_WAIT,
        instrument: "histogram",
        unit: "s",
        stability: Development,
        source: Source::Percolate,
        brief: "Time that background jobs waited in a queue before they were run.",
        attributes: &[late(attribute::JOB_QUEUE_NAME, Required)],
    },
    MetricDef {
        name: metric::PERCOLATE_CALL_UNSAMPLED,
        instrument: "counter",
        unit: "{call}",
        stability: Development,
        source: Source::Percolate,
        brief: "Calls that were slow or failed and are not part of a sampled trace.",
        attributes: &[late(attribute::PERCOLATE_REASON, Required)],
    },
    MetricDef {
        name: metric::PERCOLATE_SPAN_DROPPED,
        instrument: "counter",
        unit: "{span}",
        stability: Development,
        source: Source::Percolate,
        brief: "Spans that were lost, by reason.",
        attributes: &[late(attribute::PERCOLATE_REASON, Required)],
    },
    MetricDef {
        name: metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
        instrument: "counter",
        unit: "{span}",
        stability: Development,
        source: Source::OpenTelemetry,
        brief: "Spans whose processing has finished, exported or lost.",
        attributes: PROCESSED,
    },
    MetricDef {
        name: metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
        instrument: "updowncounter",
        unit: "{span}",
        stability: Development,
        source: Source::OpenTelemetry,
        brief: "Spans that wait to be exported.",
        attributes: QUEUED,
    },
    MetricDef {
        name: metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
        instrument: "counter",
        unit: "{log_record}",
        stability: Development,
        source: Source::OpenTelemetry,
        brief: "Log records whose processing has finished, exported or lost.",
        attributes: PROCESSED,
    },
    MetricDef {
        name: metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
        instrument: "updowncounter",
        unit: "{log_record}",
        stability: Development,
        source: Source::OpenTelemetry,
        brief: "Log records that wait to be exported.",
        attributes: QUEUED,
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_EVENT_DROPPED,
            "{event}",
            "Begins and ends of RocksDB's own jobs that were not recorded, because too many waited.",
            STORE,
        )
    },
    engine(
        metric::ROCKSDB_KEYS,
        "{key}",
        "RocksDB's estimate of the number of keys.",
        FAMILY,
    ),
    engine(
        metric::ROCKSDB_MEMTABLE,
        "By",
        "Memory of all memory tables.",
        FAMILY,
    ),
    engine(
        metric::ROCKSDB_TABLE_READERS,
        "By",
        "Memory of the indexes and Bloom filters of open table files, which is not in the block cache.",
        FAMILY,
    ),
    engine(
        metric::ROCKSDB_SST,
        "By",
        "Size of all table files.",
        FAMILY,
    ),
    engine(
        metric::ROCKSDB_COMPACTION_PENDING,
        "By",
        "RocksDB's estimate of the bytes that compactions will rewrite.",
        FAMILY,
    ),
    engine(
        metric::ROCKSDB_COMPACTIONS,
        "{compaction}",
        "Running compactions.",
        STORE,
    ),
    engine(
        metric::ROCKSDB_FLUSHES,
        "{flush}",
        "Running flushes of memory tables.",
        STORE,
    ),
    engine(
        metric::ROCKSDB_CACHE,
        "By",
        "Memory of the block cache in use.",
        STORE,
    ),
    engine(
        metric::ROCKSDB_SNAPSHOTS,
        "{snapshot}",
        "Snapshots that are not released.",
        STORE,
    ),
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_CACHE_HITS,
            "{block}",
            "Blocks found in the block cache.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_CACHE_MISSES,
            "{block}",
            "Blocks not found in the block cache.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_BLOOM_USEFUL,
            "{read}",
            "File reads avoided by a Bloom filter.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_READ_BYTES,
            "By",
            "Bytes of values read by key.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_WRITTEN_BYTES,
            "By",
            "Bytes of keys and values written.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_WAL_BYTES,
            "By",
            "Bytes written to the log.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_FLUSH_BYTES,
            "By",
            "Bytes written by flushes of memory tables.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_COMPACT_READ_BYTES,
            "By",
            "Bytes read by compactions.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_COMPACT_WRITTEN_BYTES,
            "By",
            "Bytes written by compactions.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::ROCKSDB_STALL,
            "s",
            "Time that writes waited for flushes or compactions.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_REQUESTS,
            "{request}",
            "Requests to the object store, with those that were repeated.",
            SLATEDB_KIND,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_ERRORS,
            "{request}",
            "Requests to the object store that failed. They are repeated, unless the failure is the answer.",
            SLATEDB_KIND,
        )
    },
    engine(
        metric::SLATEDB_MEMTABLE,
        "By",
        "Memory of all memory tables, and of what is not yet in the log, when the last write began.",
        STORE,
    ),
    engine(
        metric::SLATEDB_L0,
        "{file}",
        "Files of flushed memory tables that wait for a compaction, counted once in a second.",
        STORE,
    ),
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_WAL_BYTES,
            "By",
            "Bytes written to the log.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_FLUSH_BYTES,
            "By",
            "Bytes written by flushes of memory tables.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_COMPACT_BYTES,
            "By",
            "Bytes written by compactions.",
            STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..engine(
            metric::SLATEDB_DELAYED,
            "{wait}",
            "Waits of writes, because more is not yet in the object store than `memory_table_limit` allows.",
            STORE,
        )
    },
];

const PROCESSED: &[AttributeUse] = &[
    late(attribute::OTEL_COMPONENT_NAME, Recommended),
    late(attribute::OTEL_COMPONENT_TYPE, Recommended),
    late(attribute::ERROR_TYPE, Recommended),
];
const QUEUED: &[AttributeUse] = &[
    late(attribute::OTEL_COMPONENT_NAME, Recommended),
    late(attribute::OTEL_COMPONENT_TYPE, Recommended),
];

const STORE: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_NAMESPACE, Required),
];
const SLATEDB_KIND: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_NAMESPACE, Required),
    late(attribute::SLATEDB_REQUEST_KIND, Required),
];
const FAMILY: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_NAMESPACE, Required),
    late(attribute::DB_COLLECTION_NAME, Required),
];

const fn engine(
    name: &'static str,
    unit: &'static str,
    brief: &'static str,
    attributes: &'static [AttributeUse],
) -> MetricDef {
    MetricDef {
        name,
        instrument: "updowncounter",
        unit,
        stability: Development,
        source: Source::Percolate,
        brief,
        attributes,
    }
}

const POOL: &[AttributeUse] = &[late("db.client.connection.pool.name", Required)];

const fn pool(
    name: &'static str,
    instrument: &'static str,
    unit: &'static str,
    brief: &'static str,
) -> MetricDef {
    MetricDef {
        name,
        instrument,
        unit,
        stability: Development,
        source: Source::OpenTelemetry,
        brief,
        attributes: POOL,
    }
}

/// Metrics of OpenTelemetry's conventions in the same namespace. percolate does not emit them,
/// because it has no connection pool.
pub const OTHER_METRICS: &[MetricDef] = &[
    pool(
        "db.client.connection.count",
        "updowncounter",
        "{connection}",
        "Connections, by state.",
    ),
    pool(
        "db.client.connection.idle.max",
        "updowncounter",
        "{connection}",
        "Most idle connections allowed.",
    ),
    pool(
        "db.client.connection.idle.min",
        "updowncounter",
        "{connection}",
        "Fewest idle connections kept.",
    ),
    pool(
        "db.client.connection.max",
        "updowncounter",
        "{connection}",
        "Most connections allowed.",
    ),
    pool(
        "db.client.connection.pending_requests",
        "updowncounter",
        "{request}",
        "Requests that wait for a connection.",
    ),
    pool(
        "db.client.connection.timeouts",
        "counter",
        "{timeout}",
        "Requests that waited too long for a connection.",
    ),
    pool(
        "db.client.connection.create_time",
        "histogram",
        "s",
        "Time to create a connection.",
    ),
    pool(
        "db.client.connection.wait_time",
        "histogram",
        "s",
        "Time to get a connection.",
    ),
    pool(
        "db.client.connection.use_time",
        "histogram",
        "s",
        "Time a connection was in use.",
    ),
];
