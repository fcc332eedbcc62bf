//! The one table: names of attributes, spans, metrics, targets and values that percolate emits, with their types,
//! levels and stability. No other file spells such a name; the Layer checks telemetry against these tables.
//!
//! Source: OpenTelemetry semantic conventions 1.44 for `db.*`, `error.*`, `server.*`; percolate's own registry
//! (`semconv/`) for `job.*` and `db.response.affected_rows`. A test holds the tables to that registry and to the
//! constants of `opentelemetry-semantic-conventions`.

pub mod attribute;
mod job_status;
pub mod metric;
pub mod target;
pub mod value;

pub use job_status::JobStatus;

/// Schema the emitted names follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Instrumentation scope name of spans and metrics made by percolate.
pub const SCOPE_NAME: &str = "percolate";

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueType {
    /// A text.
    String,
    /// A signed 64-bit integer. From `tracing` it has to be recorded as `i64`.
    Int,
    /// A 64-bit floating-point number.
    Double,
    /// A truth value.
    Boolean,
    /// A list, or a type the table does not know.
    Any,
}

impl ValueType {
    /// The name semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Any => "any",
        }
    }
}

/// How settled a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stability {
    /// Does not change any more.
    Stable,
    /// May still change.
    Development,
}

impl Stability {
    /// The name semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Development => "development",
        }
    }
}

/// How much an attribute is wanted on a span or metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequirementLevel {
    /// Always there.
    Required,
    /// There when the condition holds.
    ConditionallyRequired(&'static str),
    /// There unless something speaks against it.
    Recommended,
    /// There if and only if someone switched it on.
    OptIn,
}

impl RequirementLevel {
    /// The name semantic conventions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::ConditionallyRequired(_) => "conditionally_required",
            Self::Recommended => "recommended",
            Self::OptIn => "opt_in",
        }
    }
}

/// Who defines a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The official semantic conventions.
    OpenTelemetry,
    /// percolate's own registry, `semconv/`.
    Percolate,
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AttributeDef {
    /// The full name.
    pub key: &'static str,
    /// The type of its value.
    pub value_type: ValueType,
    /// The values it may have, when they are a closed set of percolate's.
    pub members: &'static [&'static str],
    /// How settled it is.
    pub stability: Stability,
    /// Who defines it.
    pub source: Source,
    /// What it says.
    pub brief: &'static str,
    /// A value it may have, as it would stand in YAML.
    pub example: &'static str,
}

const fn official(
    key: &'static str,
    value_type: ValueType,
    stability: Stability,
    brief: &'static str,
    example: &'static str,
) -> AttributeDef {
    AttributeDef {
        key,
        value_type,
        members: &[],
        stability,
        source: Source::OpenTelemetry,
        brief,
        example,
    }
}

const fn own(
    key: &'static str,
    value_type: ValueType,
    brief: &'static str,
    example: &'static str,
) -> AttributeDef {
    AttributeDef {
        key,
        value_type,
        members: &[],
        stability: Stability::Development,
        source: Source::Percolate,
        brief,
        example,
    }
}

use Stability::{Development, Stable};
use ValueType::{Int, String};

/// Every attribute percolate knows.
pub const ATTRIBUTES: &[AttributeDef] = &[
    official(
        attribute::DB_SYSTEM_NAME,
        String,
        Stable,
        "The database management system, lower case, without version.",
        "rocksdb",
    ),
    official(
        attribute::DB_COLLECTION_NAME,
        String,
        Stable,
        "The collection (column family, table) of the call.",
        "articles",
    ),
    official(
        attribute::DB_NAMESPACE,
        String,
        Stable,
        "The logical name of the database; low-cardinality.",
        "library",
    ),
    official(
        attribute::DB_OPERATION_NAME,
        String,
        Stable,
        "The operation.",
        "get",
    ),
    official(
        attribute::DB_OPERATION_BATCH_SIZE,
        Int,
        Stable,
        "How many operations a batch holds: 0, or 2 and more.",
        "3",
    ),
    official(
        attribute::DB_QUERY_TEXT,
        String,
        Stable,
        "The query, its literals replaced.",
        "SELECT * FROM articles WHERE id = ?",
    ),
    official(
        attribute::DB_QUERY_SUMMARY,
        String,
        Stable,
        "A low-cardinality summary of the query.",
        "SELECT articles",
    ),
    official(
        attribute::DB_STORED_PROCEDURE_NAME,
        String,
        Stable,
        "The stored procedure.",
        "prune",
    ),
    official(
        attribute::DB_RESPONSE_STATUS_CODE,
        String,
        Stable,
        "The code the database gave for a failure.",
        "IOError",
    ),
    official(
        attribute::DB_RESPONSE_RETURNED_ROWS,
        Int,
        Development,
        "How many rows the call returned.",
        "1",
    ),
    official(
        "db.client.connection.pool.name",
        String,
        Development,
        "The name of the connection pool.",
        "main",
    ),
    official(
        "db.client.connection.state",
        String,
        Development,
        "The state of a pooled connection.",
        "idle",
    ),
    official(
        attribute::ERROR_TYPE,
        String,
        Stable,
        "The kind of failure; low-cardinality; only on failures.",
        "Corruption",
    ),
    official(
        attribute::SERVER_ADDRESS,
        String,
        Stable,
        "The server; for an embedded database its path.",
        "/var/lib/library",
    ),
    official(
        attribute::SERVER_PORT,
        Int,
        Stable,
        "The port of the server, when it is not the default one.",
        "5432",
    ),
    official(
        "network.peer.address",
        String,
        Stable,
        "The peer address of the connection.",
        "10.1.2.80",
    ),
    official(
        "network.peer.port",
        Int,
        Stable,
        "The peer port of the connection.",
        "5432",
    ),
    official(
        "code.function.name",
        String,
        Stable,
        "The fully qualified function.",
        "store::get",
    ),
    official(
        "code.file.path",
        String,
        Stable,
        "The source file.",
        "src/store.rs",
    ),
    official(
        "code.line.number",
        Int,
        Stable,
        "The line in the source file.",
        "42",
    ),
    official(
        "code.column.number",
        Int,
        Stable,
        "The column in the source file.",
        "5",
    ),
    official(
        "code.stacktrace",
        String,
        Stable,
        "A stack trace.",
        "at store::get",
    ),
    official(
        "exception.type",
        String,
        Stable,
        "The type of an exception.",
        "store::Error",
    ),
    official(
        "exception.message",
        String,
        Stable,
        "The message of an exception.",
        "disk full",
    ),
    official("thread.id", Int, Development, "The id of the thread.", "7"),
    official(
        "thread.name",
        String,
        Development,
        "The name of the thread.",
        "worker",
    ),
    own(
        attribute::DB_RESPONSE_AFFECTED_ROWS,
        Int,
        "Keys written or deleted by the operation.",
        "3",
    ),
    own(
        attribute::JOB_TYPE,
        String,
        "Low-cardinality kind of background job.",
        "index.build",
    ),
    own(
        attribute::JOB_TARGET,
        String,
        "What the job works on (schema, column family, index).",
        "articles",
    ),
    AttributeDef {
        members: value::JOB_STATUS_VALUES,
        ..own(
            attribute::JOB_STATUS,
            String,
            "Outcome of one run.",
            "success",
        )
    },
    own(
        attribute::JOB_BATCH_SIZE,
        Int,
        "Number of items processed by one run.",
        "1000",
    ),
    own(
        attribute::JOB_ATTEMPT,
        Int,
        "Number of the attempt, counted from 1; absent on a first one.",
        "2",
    ),
    own(
        attribute::JOB_DURATION_MS,
        Int,
        "Duration of one run in milliseconds, beside the span's own times.",
        "12",
    ),
    own(
        attribute::JOB_QUEUE_NAME,
        String,
        "The queue in which jobs wait, one of few.",
        "background",
    ),
    own(
        attribute::ROCKSDB_BLOCK_READS,
        Int,
        "Blocks read from files during the call.",
        "12",
    ),
    own(
        attribute::ROCKSDB_BLOCK_READ_BYTES,
        Int,
        "Bytes of blocks read from files during the call.",
        "12",
    ),
    own(
        attribute::ROCKSDB_BLOCK_READ_NANOS,
        Int,
        "Time spent reading blocks from files during the call, in nanoseconds.",
        "12",
    ),
    own(
        attribute::ROCKSDB_BLOCK_CACHE_HITS,
        Int,
        "Blocks found in the block cache during the call.",
        "12",
    ),
    own(
        attribute::ROCKSDB_MEMTABLE_READS,
        Int,
        "Reads of memory tables during the call.",
        "12",
    ),
    own(
        attribute::ROCKSDB_KEYS_SKIPPED,
        Int,
        "Internal keys skipped during the call: overwritten or removed ones.",
        "12",
    ),
    own(
        attribute::ROCKSDB_SEEK_NANOS,
        Int,
        "Time spent positioning iterators during the call, in nanoseconds.",
        "12",
    ),
    own(
        attribute::ROCKSDB_WAL_NANOS,
        Int,
        "Time spent writing the log during the call, in nanoseconds.",
        "12",
    ),
    own(
        attribute::PERCOLATE_REASON,
        String,
        "Why a call or span is counted.",
        "slow",
    ),
];

/// Attributes whose last part is any word: prefix and type of the values.
pub const TEMPLATES: &[AttributeDef] = &[official(
    attribute::DB_QUERY_PARAMETER,
    String,
    Development,
    "A query parameter by name or position.",
    "42",
)];

/// A name that must not be used any more.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DeprecatedName {
    /// The name.
    pub key: &'static str,
    /// What to write instead; empty when there is nothing.
    pub instead: &'static str,
}

const fn deprecated(key: &'static str, instead: &'static str) -> DeprecatedName {
    DeprecatedName { key, instead }
}

/// Names that older instrumentation uses.
pub const DEPRECATED: &[DeprecatedName] = &[
    deprecated("db.system", attribute::DB_SYSTEM_NAME),
    deprecated("db.operation", attribute::DB_OPERATION_NAME),
    deprecated("db.name", attribute::DB_NAMESPACE),
    deprecated("db.statement", attribute::DB_QUERY_TEXT),
    deprecated("db.sql.table", attribute::DB_COLLECTION_NAME),
    deprecated("db.cassandra.table", attribute::DB_COLLECTION_NAME),
    deprecated("db.mongodb.collection", attribute::DB_COLLECTION_NAME),
    deprecated("db.cosmosdb.container", attribute::DB_COLLECTION_NAME),
    deprecated("db.redis.database_index", attribute::DB_NAMESPACE),
    deprecated(
        "db.cosmosdb.status_code",
        attribute::DB_RESPONSE_STATUS_CODE,
    ),
    deprecated("db.mssql.instance_name", attribute::DB_NAMESPACE),
    deprecated("db.user", ""),
    deprecated("db.connection_string", attribute::SERVER_ADDRESS),
    deprecated("db.instance.id", ""),
    deprecated("db.jdbc.driver_classname", ""),
    deprecated("db.operation.parameter", attribute::DB_QUERY_PARAMETER),
    deprecated(
        "db.client.connections.pool.name",
        "db.client.connection.pool.name",
    ),
    deprecated("db.client.connections.state", "db.client.connection.state"),
    deprecated("error.message", attribute::ERROR_TYPE),
    deprecated("exception.escaped", ""),
    deprecated("code.namespace", "code.function.name"),
    deprecated("code.function", "code.function.name"),
    deprecated("code.filepath", "code.file.path"),
    deprecated("code.lineno", "code.line.number"),
    deprecated("code.column", "code.column.number"),
    deprecated("net.peer.name", attribute::SERVER_ADDRESS),
    deprecated("net.peer.port", attribute::SERVER_PORT),
    deprecated("net.sock.peer.addr", "network.peer.address"),
    deprecated("net.sock.peer.port", "network.peer.port"),
    deprecated("otel.status_message", attribute::OTEL_STATUS_DESCRIPTION),
];

/// An attribute as one span or metric wants it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AttributeUse {
    /// The attribute.
    pub key: &'static str,
    /// How much it is wanted.
    pub level: RequirementLevel,
    /// Samplers look at it: it has to be given when the span is created.
    pub at_start: bool,
}

const fn start(key: &'static str, level: RequirementLevel) -> AttributeUse {
    AttributeUse {
        key,
        level,
        at_start: true,
    }
}

const fn late(key: &'static str, level: RequirementLevel) -> AttributeUse {
    AttributeUse {
        key,
        level,
        at_start: false,
    }
}

/// One type of span.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SpanDef {
    /// Its type, as registries name it.
    pub span_type: &'static str,
    /// The kind it has.
    pub kind: &'static str,
    /// How its name is made.
    pub name: &'static str,
    /// What it stands for.
    pub brief: &'static str,
    /// Its attributes.
    pub attributes: &'static [AttributeUse],
}

use RequirementLevel::{ConditionallyRequired, OptIn, Recommended, Required};

const ONE_COLLECTION: RequirementLevel =
    ConditionallyRequired("if the call works on one collection");
const HAS_NAMESPACE: RequirementLevel = ConditionallyRequired("if the database has a logical name");
const ONE_OPERATION: RequirementLevel = ConditionallyRequired("if one name describes the call");
const FAILED: RequirementLevel = ConditionallyRequired("if and only if the operation failed");
const FAILED_WITH_CODE: RequirementLevel =
    ConditionallyRequired("if the operation failed and there is a code");
const OTHER_PORT: RequirementLevel =
    ConditionallyRequired("if the port is not the default and the address is set");
const HAS_TARGET: RequirementLevel =
    ConditionallyRequired("when the job has a low-cardinality target");
const IS_RETRIED: RequirementLevel = ConditionallyRequired("if an earlier attempt failed");
const JOB_FAILED: RequirementLevel = ConditionallyRequired("if and only if the job failed");

/// A database operation as its caller sees it.
pub const DB_SPAN: SpanDef = SpanDef {
    span_type: "db.client",
    kind: "client",
    name: "`{db.query.summary}`, else `{db.operation.name} {db.collection.name}`, else `{db.operation.name}`",
    brief: "A database operation as its caller sees it.",
    attributes: &[
        start(attribute::DB_SYSTEM_NAME, Required),
        start(attribute::DB_COLLECTION_NAME, ONE_COLLECTION),
        start(attribute::DB_NAMESPACE, HAS_NAMESPACE),
        start(attribute::DB_OPERATION_NAME, ONE_OPERATION),
        late(attribute::DB_RESPONSE_STATUS_CODE, FAILED_WITH_CODE),
        late(attribute::ERROR_TYPE, FAILED),
        start(attribute::SERVER_PORT, OTHER_PORT),
        late(attribute::DB_OPERATION_BATCH_SIZE, Recommended),
        start(attribute::DB_QUERY_SUMMARY, Recommended),
        start(attribute::DB_QUERY_TEXT, Recommended),
        late(attribute::DB_STORED_PROCEDURE_NAME, Recommended),
        late("network.peer.address", Recommended),
        late("network.peer.port", Recommended),
        start(attribute::SERVER_ADDRESS, Recommended),
        late(attribute::DB_QUERY_PARAMETER, OptIn),
        late(attribute::DB_RESPONSE_RETURNED_ROWS, OptIn),
        late(attribute::DB_RESPONSE_AFFECTED_ROWS, OptIn),
    ],
};

/// One run of a background job.
pub const JOB_SPAN: SpanDef = SpanDef {
    span_type: "job.run",
    kind: "internal",
    name: "`{job.type} {job.target}`, else `{job.type}`",
    brief: "One run of a background job.",
    attributes: &[
        start(attribute::JOB_TYPE, Required),
        start(attribute::JOB_TARGET, HAS_TARGET),
        late(attribute::JOB_STATUS, Required),
        late(attribute::JOB_BATCH_SIZE, Recommended),
        start(attribute::JOB_ATTEMPT, IS_RETRIED),
        late(attribute::JOB_DURATION_MS, Recommended),
        late(attribute::ERROR_TYPE, JOB_FAILED),
    ],
};

/// One metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MetricDef {
    /// Its name.
    pub name: &'static str,
    /// `histogram`, `counter`, `updowncounter` or `gauge`.
    pub instrument: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// How settled it is.
    pub stability: Stability,
    /// Who defines it.
    pub source: Source,
    /// What it measures.
    pub brief: &'static str,
    /// Its attributes.
    pub attributes: &'static [AttributeUse],
}

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

/// Every metric percolate emits.
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
        brief: "How many rows database client operations returned.",
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
        brief: "Background jobs running now.",
        attributes: &[late(attribute::JOB_TYPE, Required)],
    },
    MetricDef {
        name: metric::JOB_QUEUE_LENGTH,
        instrument: "updowncounter",
        unit: "{job}",
        stability: Development,
        source: Source::Percolate,
        brief: "Background jobs that wait in a queue now.",
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
    rocksdb(
        metric::ROCKSDB_KEYS,
        "{key}",
        "Keys, as RocksDB estimates them.",
        ROCKSDB_FAMILY,
    ),
    rocksdb(
        metric::ROCKSDB_MEMTABLE,
        "By",
        "Memory of all memory tables.",
        ROCKSDB_FAMILY,
    ),
    rocksdb(
        metric::ROCKSDB_SST,
        "By",
        "Size of all table files.",
        ROCKSDB_FAMILY,
    ),
    rocksdb(
        metric::ROCKSDB_COMPACTION_PENDING,
        "By",
        "Bytes that compactions have yet to rewrite, as RocksDB estimates them.",
        ROCKSDB_FAMILY,
    ),
    rocksdb(
        metric::ROCKSDB_COMPACTIONS,
        "{compaction}",
        "Compactions running now.",
        ROCKSDB_STORE,
    ),
    rocksdb(
        metric::ROCKSDB_FLUSHES,
        "{flush}",
        "Flushes of memory tables running now.",
        ROCKSDB_STORE,
    ),
    rocksdb(
        metric::ROCKSDB_CACHE,
        "By",
        "Memory of the block cache in use.",
        ROCKSDB_STORE,
    ),
    rocksdb(
        metric::ROCKSDB_SNAPSHOTS,
        "{snapshot}",
        "Snapshots that are not released.",
        ROCKSDB_STORE,
    ),
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_CACHE_HITS,
            "{block}",
            "Blocks found in the block cache.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_CACHE_MISSES,
            "{block}",
            "Blocks not found in the block cache.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_BLOOM_USEFUL,
            "{read}",
            "File reads avoided by a Bloom filter.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_READ_BYTES,
            "By",
            "Bytes of values read by key.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_WRITTEN_BYTES,
            "By",
            "Bytes of keys and values written.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_WAL_BYTES,
            "By",
            "Bytes written to the log.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_FLUSH_BYTES,
            "By",
            "Bytes written by flushes of memory tables.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_COMPACT_READ_BYTES,
            "By",
            "Bytes read by compactions.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_COMPACT_WRITTEN_BYTES,
            "By",
            "Bytes written by compactions.",
            ROCKSDB_STORE,
        )
    },
    MetricDef {
        instrument: "counter",
        ..rocksdb(
            metric::ROCKSDB_STALL,
            "us",
            "Time that writes waited for flushes or compactions.",
            ROCKSDB_STORE,
        )
    },
];

const ROCKSDB_STORE: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_NAMESPACE, Required),
];
const ROCKSDB_FAMILY: &[AttributeUse] = &[
    late(attribute::DB_SYSTEM_NAME, Required),
    late(attribute::DB_NAMESPACE, Required),
    late(attribute::DB_COLLECTION_NAME, Required),
];

const fn rocksdb(
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

/// Metrics of the official conventions in the same namespace, which percolate does not emit: it has no pool.
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

/// Old names of metrics.
pub const DEPRECATED_METRICS: &[DeprecatedName] = &[
    deprecated("db.client.connections.usage", "db.client.connection.count"),
    deprecated(
        "db.client.connections.idle.max",
        "db.client.connection.idle.max",
    ),
    deprecated(
        "db.client.connections.idle.min",
        "db.client.connection.idle.min",
    ),
    deprecated("db.client.connections.max", "db.client.connection.max"),
    deprecated(
        "db.client.connections.pending_requests",
        "db.client.connection.pending_requests",
    ),
    deprecated(
        "db.client.connections.timeouts",
        "db.client.connection.timeouts",
    ),
    deprecated(
        "db.client.connections.create_time",
        "db.client.connection.create_time",
    ),
    deprecated(
        "db.client.connections.wait_time",
        "db.client.connection.wait_time",
    ),
    deprecated(
        "db.client.connections.use_time",
        "db.client.connection.use_time",
    ),
];

/// The attribute of this name.
pub fn find_attribute(key: &str) -> Option<&'static AttributeDef> {
    ATTRIBUTES.iter().find(|attribute| attribute.key == key)
}

/// The name to use instead of a deprecated one; `Some("")` when there is none.
pub fn instead_of(key: &str) -> Option<&'static str> {
    DEPRECATED
        .iter()
        .find(|name| name.key == key)
        .map(|name| name.instead)
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use opentelemetry_semantic_conventions::{attribute as official_attribute, metric};

    use super::*;

    #[test]
    fn official_names_are_those_of_the_conventions_crate() {
        let known = [
            official_attribute::DB_SYSTEM_NAME,
            official_attribute::DB_COLLECTION_NAME,
            official_attribute::DB_NAMESPACE,
            official_attribute::DB_OPERATION_NAME,
            official_attribute::DB_OPERATION_BATCH_SIZE,
            official_attribute::DB_QUERY_TEXT,
            official_attribute::DB_QUERY_SUMMARY,
            official_attribute::DB_STORED_PROCEDURE_NAME,
            official_attribute::DB_RESPONSE_STATUS_CODE,
            official_attribute::DB_RESPONSE_RETURNED_ROWS,
            official_attribute::DB_CLIENT_CONNECTION_POOL_NAME,
            official_attribute::DB_CLIENT_CONNECTION_STATE,
            official_attribute::ERROR_TYPE,
            official_attribute::SERVER_ADDRESS,
            official_attribute::SERVER_PORT,
            official_attribute::NETWORK_PEER_ADDRESS,
            official_attribute::NETWORK_PEER_PORT,
            official_attribute::CODE_FUNCTION_NAME,
            official_attribute::CODE_FILE_PATH,
            official_attribute::CODE_LINE_NUMBER,
            official_attribute::CODE_COLUMN_NUMBER,
            official_attribute::CODE_STACKTRACE,
            official_attribute::EXCEPTION_TYPE,
            official_attribute::EXCEPTION_MESSAGE,
            official_attribute::THREAD_ID,
            official_attribute::THREAD_NAME,
        ];
        let ours: Vec<&str> = ATTRIBUTES
            .iter()
            .filter(|attribute| attribute.source == Source::OpenTelemetry)
            .map(|attribute| attribute.key)
            .collect();
        assert_eq!(ours, known);
        assert_eq!(TEMPLATES[0].key, official_attribute::DB_QUERY_PARAMETER);
        assert_eq!(
            metric::DB_CLIENT_OPERATION_DURATION,
            metric::DB_CLIENT_OPERATION_DURATION
        );
        assert_eq!(
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS,
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS
        );
    }

    #[test]
    fn every_name_a_span_or_metric_uses_is_in_the_table() {
        let uses = [DB_SPAN.attributes, JOB_SPAN.attributes]
            .into_iter()
            .chain(METRICS.iter().map(|m| m.attributes));
        for used in uses.flatten() {
            let known = find_attribute(used.key).is_some()
                || TEMPLATES.iter().any(|template| template.key == used.key);
            assert!(known, "{}", used.key);
        }
    }

    #[test]
    fn a_deprecated_name_leads_to_a_name_of_today() {
        for name in DEPRECATED {
            assert!(
                find_attribute(name.key).is_none(),
                "{} is deprecated and defined",
                name.key
            );
            let today = name.instead.is_empty()
                || find_attribute(name.instead).is_some()
                || [
                    attribute::DB_QUERY_PARAMETER,
                    attribute::OTEL_STATUS_DESCRIPTION,
                ]
                .contains(&name.instead);
            assert!(today, "{} leads to {}", name.key, name.instead);
        }
        assert_eq!(instead_of("db.system"), Some(attribute::DB_SYSTEM_NAME));
    }
}
