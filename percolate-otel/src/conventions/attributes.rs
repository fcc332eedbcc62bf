//! The table of attributes.

use super::definition::Stability::{self, Development, Stable};
use super::definition::ValueType::{self, Boolean, Int, String};
use super::definition::{AttributeDef, Source};
use super::{attribute, value};

/// All attributes that percolate emits or checks.
pub const ATTRIBUTES: &[AttributeDef] = &[
    official(
        attribute::DB_SYSTEM_NAME,
        String,
        Stable,
        "The database management system, in lower case, without its version.",
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
        "The name of the operation.",
        "get",
    ),
    official(
        attribute::DB_OPERATION_BATCH_SIZE,
        Int,
        Stable,
        "The number of operations in a batch: 0, or 2 or more.",
        "3",
    ),
    official(
        attribute::DB_QUERY_TEXT,
        String,
        Stable,
        "The query text, with its literals replaced.",
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
        "The status code of a failure.",
        "IOError",
    ),
    official(
        attribute::DB_RESPONSE_RETURNED_ROWS,
        Int,
        Development,
        "The number of returned rows.",
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
        "A low-cardinality name of the failure; only on failures.",
        "Corruption",
    ),
    official(
        attribute::SERVER_ADDRESS,
        String,
        Stable,
        "The server; the path of an embedded database.",
        "/var/lib/library",
    ),
    official(
        attribute::SERVER_PORT,
        Int,
        Stable,
        "The port of the server, if it is not the default port.",
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
        "The fully qualified name of the function.",
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
    official(
        attribute::OTEL_COMPONENT_NAME,
        String,
        Development,
        "The name of a part of the telemetry pipeline.",
        "batching_span_processor/0",
    ),
    official(
        attribute::OTEL_COMPONENT_TYPE,
        String,
        Development,
        "The type of a part of the telemetry pipeline.",
        "batching_span_processor",
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
        "The type of the background job; low-cardinality.",
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
        "The number of the attempt, counted from 1; absent on the first one.",
        "2",
    ),
    own(
        attribute::JOB_DURATION_MS,
        Int,
        "Duration of the run in milliseconds.",
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
        attribute::ROCKSDB_JOB_ID,
        Int,
        "The number of the job in RocksDB's log.",
        "42",
    ),
    own(
        attribute::ROCKSDB_JOB_REASON,
        String,
        "Why RocksDB started the job; one of few words.",
        "write_buffer_full",
    ),
    own(
        attribute::ROCKSDB_INPUT_LEVEL,
        Int,
        "The first level that the job read.",
        "0",
    ),
    own(
        attribute::ROCKSDB_INPUT_FILES,
        Int,
        "Files that the job read.",
        "4",
    ),
    own(
        attribute::ROCKSDB_INPUT_SIZE,
        Int,
        "Size of the files that the job read, in bytes.",
        "16384",
    ),
    own(
        attribute::ROCKSDB_INPUT_RECORDS,
        Int,
        "Entries that the job read.",
        "1000",
    ),
    own(
        attribute::ROCKSDB_OUTPUT_LEVEL,
        Int,
        "The level that the job wrote.",
        "1",
    ),
    own(
        attribute::ROCKSDB_OUTPUT_FILES,
        Int,
        "Files that the job wrote.",
        "1",
    ),
    own(
        attribute::ROCKSDB_OUTPUT_SIZE,
        Int,
        "Size of the files that the job wrote, in bytes.",
        "4096",
    ),
    own(
        attribute::ROCKSDB_OUTPUT_RECORDS,
        Int,
        "Entries that the job wrote.",
        "900",
    ),
    own(
        attribute::ROCKSDB_DROPPED_RECORDS,
        Int,
        "Entries that the job read and did not write: overwritten or deleted ones.",
        "100",
    ),
    own(
        attribute::ROCKSDB_COMPACTION_MOVE,
        Boolean,
        "Whether the files were assigned to another level without being read.",
        "true",
    ),
    own(
        attribute::ROCKSDB_STALL_CONDITION,
        String,
        "Whether writes are `delayed` or `stopped`.",
        "stopped",
    ),
    own(
        attribute::ROCKSDB_WRITE_STALLED_NANOS,
        Int,
        "Time that the write waited for flushes or compactions, in nanoseconds.",
        "12",
    ),
    own(
        attribute::SLATEDB_REQUEST_KIND,
        String,
        "Kind of the requests to the object store: `get`, which includes lists, `put` or `delete`.",
        "get",
    ),
    own(
        attribute::PERCOLATE_REASON,
        String,
        "Why a call or span is counted.",
        "slow",
    ),
];

/// Attributes whose last part is variable: the prefix, and the type of the values.
pub const TEMPLATES: &[AttributeDef] = &[official(
    attribute::DB_QUERY_PARAMETER,
    String,
    Development,
    "A query parameter by name or position.",
    "42",
)];

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
