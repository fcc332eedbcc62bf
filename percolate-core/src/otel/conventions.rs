//! The one table: names of attributes, metrics, targets and values that percolate emits. No other file spells
//! such a name. The rules that tie them together are checked by the Layer.
//!
//! Source: OpenTelemetry semantic conventions 1.44 for `db.*`, `error.*`, `server.*`; percolate's own registry
//! (`semconv/`) for `job.*` and `db.response.affected_rows`.

/// Schema the emitted names follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Instrumentation scope name of spans and metrics made by percolate.
pub const SCOPE_NAME: &str = "percolate";

/// `tracing` target of database operations.
pub const DB_TARGET: &str = "percolate::db";
/// `tracing` target of background jobs.
pub const JOB_TARGET: &str = "percolate::job";

/// Database management system, e.g. `rocksdb`. String, required, given at span creation.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// Operation name, e.g. `get`. String, given at span creation.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// Collection (column family, table), e.g. `articles`. String, given at span creation.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";
/// Logical database name, low-cardinality. String, given at span creation.
pub const DB_NAMESPACE: &str = "db.namespace";
/// Number of operations in a batch; 0 or at least 2. Int.
pub const DB_OPERATION_BATCH_SIZE: &str = "db.operation.batch.size";
/// Sanitised query text. String, given at span creation.
pub const DB_QUERY_TEXT: &str = "db.query.text";
/// Low-cardinality summary of a query, e.g. `SELECT articles`. String, given at span creation.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";
/// Rows (or keys) returned. Int, opt-in in the conventions.
pub const DB_RESPONSE_RETURNED_ROWS: &str = "db.response.returned_rows";
/// Keys written or deleted. Int, percolate's extension.
pub const DB_RESPONSE_AFFECTED_ROWS: &str = "db.response.affected_rows";
/// Status code of the failed operation, as the database names it. String.
pub const DB_RESPONSE_STATUS_CODE: &str = "db.response.status_code";
/// Address of the database; its path for an embedded one. String, given at span creation.
pub const SERVER_ADDRESS: &str = "server.address";
/// Low-cardinality kind of failure; present if and only if the operation failed. String.
pub const ERROR_TYPE: &str = "error.type";
/// Value of [`ERROR_TYPE`] when nothing better is known.
pub const ERROR_TYPE_OTHER: &str = "_OTHER";
/// Value of [`ERROR_TYPE`] when the function panicked.
pub const ERROR_TYPE_PANIC: &str = "panic";
/// Value of [`ERROR_TYPE`] when the future of a database operation was dropped before it finished.
pub const ERROR_TYPE_CANCELLED: &str = "cancelled";

/// Kind of background job, e.g. `index.build`. String, required, given at span creation.
pub const JOB_TYPE: &str = "job.type";
/// What the job works on, low-cardinality. String, given at span creation.
pub const JOB_TARGET_NAME: &str = "job.target";
/// Number of items the run processed. Int.
pub const JOB_BATCH_SIZE: &str = "job.batch_size";
/// Duration of the run in milliseconds. Int.
pub const JOB_DURATION_MS: &str = "job.duration_ms";
/// Outcome of the run: `success`, `partial`, `failed` or `cancelled`. String.
pub const JOB_STATUS: &str = "job.status";

/// Histogram of operation durations, in seconds.
pub const METRIC_DB_OPERATION_DURATION: &str = "db.client.operation.duration";
/// Histogram of returned rows.
pub const METRIC_DB_RETURNED_ROWS: &str = "db.client.response.returned_rows";
/// Histogram of job durations, in seconds.
pub const METRIC_JOB_DURATION: &str = "job.duration";
/// Up-down counter of running jobs.
pub const METRIC_JOB_ACTIVE: &str = "job.active";

/// tracing-opentelemetry's field for the span's name.
pub const OTEL_NAME: &str = "otel.name";
/// tracing-opentelemetry's field for the span's kind.
pub const OTEL_KIND: &str = "otel.kind";
/// tracing-opentelemetry's field for the span's status.
pub const OTEL_STATUS_CODE: &str = "otel.status_code";
