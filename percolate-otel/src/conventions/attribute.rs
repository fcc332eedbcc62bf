//! Names of span and metric attributes.

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
/// Kind of background job, e.g. `index.build`. String, required, given at span creation.
pub const JOB_TYPE: &str = "job.type";
/// What the job works on, low-cardinality. String, given at span creation.
pub const JOB_TARGET: &str = "job.target";
/// Number of items the run processed. Int.
pub const JOB_BATCH_SIZE: &str = "job.batch_size";
/// The number of the attempt, counted from 1; absent on the first one. Int, set at span creation.
pub const JOB_ATTEMPT: &str = "job.attempt";
/// Duration of the run in milliseconds. Int.
pub const JOB_DURATION_MS: &str = "job.duration_ms";
/// Outcome of the run: `success`, `partial`, `failed` or `cancelled`. String.
pub const JOB_STATUS: &str = "job.status";
/// The queue in which jobs wait, one of few. String, on metrics only.
pub const JOB_QUEUE_NAME: &str = "job.queue.name";
/// Blocks read from files during the call. Int.
pub const ROCKSDB_BLOCK_READS: &str = "rocksdb.block.reads";
/// Bytes of blocks read from files during the call. Int.
pub const ROCKSDB_BLOCK_READ_BYTES: &str = "rocksdb.block.read_bytes";
/// Time spent reading blocks from files during the call, in nanoseconds. Int.
pub const ROCKSDB_BLOCK_READ_NANOS: &str = "rocksdb.block.read_ns";
/// Blocks found in the block cache during the call. Int.
pub const ROCKSDB_BLOCK_CACHE_HITS: &str = "rocksdb.block.cache_hits";
/// Reads of memory tables during the call. Int.
pub const ROCKSDB_MEMTABLE_READS: &str = "rocksdb.memtable.reads";
/// Internal keys skipped during the call: overwritten or removed ones. Int.
pub const ROCKSDB_KEYS_SKIPPED: &str = "rocksdb.keys_skipped";
/// Time spent positioning iterators during the call, in nanoseconds. Int.
pub const ROCKSDB_SEEK_NANOS: &str = "rocksdb.seek_ns";
/// Time spent writing the log during the call, in nanoseconds. Int.
pub const ROCKSDB_WAL_NANOS: &str = "rocksdb.wal.write_ns";
/// The number of the job in RocksDB's log. Int.
pub const ROCKSDB_JOB_ID: &str = "rocksdb.job.id";
/// Why RocksDB started the job; one of few words. String.
pub const ROCKSDB_JOB_REASON: &str = "rocksdb.job.reason";
/// The first level that the job read. Int.
pub const ROCKSDB_INPUT_LEVEL: &str = "rocksdb.input.level";
/// Files that the job read. Int.
pub const ROCKSDB_INPUT_FILES: &str = "rocksdb.input.files";
/// Size of the files that the job read, in bytes. Int.
pub const ROCKSDB_INPUT_SIZE: &str = "rocksdb.input.size";
/// Entries that the job read. Int.
pub const ROCKSDB_INPUT_RECORDS: &str = "rocksdb.input.records";
/// The level that the job wrote. Int.
pub const ROCKSDB_OUTPUT_LEVEL: &str = "rocksdb.output.level";
/// Files that the job wrote. Int.
pub const ROCKSDB_OUTPUT_FILES: &str = "rocksdb.output.files";
/// Size of the files that the job wrote, in bytes. Int.
pub const ROCKSDB_OUTPUT_SIZE: &str = "rocksdb.output.size";
/// Entries that the job wrote. Int.
pub const ROCKSDB_OUTPUT_RECORDS: &str = "rocksdb.output.records";
/// Entries that the job read and did not write: overwritten or deleted ones. Int.
pub const ROCKSDB_DROPPED_RECORDS: &str = "rocksdb.dropped.records";
/// Whether the files were assigned to another level without being read. Boolean.
pub const ROCKSDB_COMPACTION_MOVE: &str = "rocksdb.compaction.move";
/// Whether writes are `delayed` or `stopped`. String.
pub const ROCKSDB_STALL_CONDITION: &str = "rocksdb.stall.condition";
/// Time that the write waited for flushes or compactions, in nanoseconds. Int.
pub const ROCKSDB_WRITE_STALLED_NANOS: &str = "rocksdb.write.stalled_ns";
/// The kind of a request to the object store: `get`, `put` or `delete`. String, on metrics only.
pub const SLATEDB_REQUEST_KIND: &str = "slatedb.request.kind";
/// Why a call is counted there: `slow` or `failed`. String.
pub const PERCOLATE_REASON: &str = "percolate.reason";
/// The name of a part of the pipeline, such as one processor. String, on metrics only.
pub const OTEL_COMPONENT_NAME: &str = "otel.component.name";
/// The type of a part of the pipeline. String, on metrics only.
pub const OTEL_COMPONENT_TYPE: &str = "otel.component.type";
/// Marks the series that holds what exceeds a metric's limit. Boolean, from the SDKs.
pub const OTEL_METRIC_OVERFLOW: &str = "otel.metric.overflow";
/// tracing-opentelemetry's field for the span's name.
pub const OTEL_NAME: &str = "otel.name";
/// tracing-opentelemetry's field for the span's kind.
pub const OTEL_KIND: &str = "otel.kind";
/// tracing-opentelemetry's field for the span's status.
pub const OTEL_STATUS_CODE: &str = "otel.status_code";
/// tracing-opentelemetry's field for the description of a failure; it also sets the status to
/// ERROR.
pub const OTEL_STATUS_DESCRIPTION: &str = "otel.status_description";
/// Port of the database server, when it is not the default one. Int, given at span creation.
pub const SERVER_PORT: &str = "server.port";
/// Stored procedure. String.
pub const DB_STORED_PROCEDURE_NAME: &str = "db.stored_procedure.name";
/// Prefix of query parameters, opt-in. String.
pub const DB_QUERY_PARAMETER: &str = "db.query.parameter";
