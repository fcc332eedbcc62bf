//! Names of metrics.

/// Histogram of operation durations, in seconds.
pub const DB_CLIENT_OPERATION_DURATION: &str = "db.client.operation.duration";
/// Histogram of returned rows.
pub const DB_CLIENT_RESPONSE_RETURNED_ROWS: &str = "db.client.response.returned_rows";
/// Histogram of job durations, in seconds.
pub const JOB_DURATION: &str = "job.duration";
/// Up-down counter of running jobs.
pub const JOB_ACTIVE: &str = "job.active";
/// Up-down counter of waiting jobs.
pub const JOB_QUEUE_LENGTH: &str = "job.queue.length";
/// Histogram of how long jobs waited, in seconds.
pub const JOB_QUEUE_WAIT: &str = "job.queue.wait";
/// Counter of unsampled calls that were slow or failed.
pub const PERCOLATE_CALL_UNSAMPLED: &str = "percolate.call.unsampled";
/// Counter of spans that were lost, by reason.
pub const PERCOLATE_SPAN_DROPPED: &str = "percolate.span.dropped";
/// Counter of spans that a processor has exported or lost.
pub const OTEL_SDK_PROCESSOR_SPAN_PROCESSED: &str = "otel.sdk.processor.span.processed";
/// Up-down counter of spans in the queue of a processor.
pub const OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE: &str = "otel.sdk.processor.span.queue.size";
/// Counter of log records that a processor has exported or lost.
pub const OTEL_SDK_PROCESSOR_LOG_PROCESSED: &str = "otel.sdk.processor.log.processed";
/// Up-down counter of log records in the queue of a processor.
pub const OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE: &str = "otel.sdk.processor.log.queue.size";
/// Counter of events of RocksDB that were not recorded as jobs.
pub const ROCKSDB_EVENT_DROPPED: &str = "rocksdb.event.dropped";
/// Keys, as RocksDB estimates them.
pub const ROCKSDB_KEYS: &str = "rocksdb.key.count";
/// Memory of all memory tables.
pub const ROCKSDB_MEMTABLE: &str = "rocksdb.memtable.size";
/// Memory of the open table files that is not in the block cache.
pub const ROCKSDB_TABLE_READERS: &str = "rocksdb.table_readers.size";
/// Size of all table files.
pub const ROCKSDB_SST: &str = "rocksdb.sst.size";
/// Bytes that compactions have yet to rewrite, as RocksDB estimates them.
pub const ROCKSDB_COMPACTION_PENDING: &str = "rocksdb.compaction.pending";
/// Compactions running now.
pub const ROCKSDB_COMPACTIONS: &str = "rocksdb.compaction.running";
/// Flushes of memory tables running now.
pub const ROCKSDB_FLUSHES: &str = "rocksdb.flush.running";
/// Memory of the block cache in use.
pub const ROCKSDB_CACHE: &str = "rocksdb.block_cache.size";
/// Snapshots that are not released.
pub const ROCKSDB_SNAPSHOTS: &str = "rocksdb.snapshot.count";
/// Blocks found in the block cache.
pub const ROCKSDB_CACHE_HITS: &str = "rocksdb.block_cache.hits";
/// Blocks not found in the block cache.
pub const ROCKSDB_CACHE_MISSES: &str = "rocksdb.block_cache.misses";
/// File reads avoided by a Bloom filter.
pub const ROCKSDB_BLOOM_USEFUL: &str = "rocksdb.bloom_filter.useful";
/// Bytes of values read by key.
pub const ROCKSDB_READ_BYTES: &str = "rocksdb.read.size";
/// Bytes of keys and values written.
pub const ROCKSDB_WRITTEN_BYTES: &str = "rocksdb.write.size";
/// Bytes written to the log.
pub const ROCKSDB_WAL_BYTES: &str = "rocksdb.wal.size";
/// Bytes written by flushes of memory tables.
pub const ROCKSDB_FLUSH_BYTES: &str = "rocksdb.flush.size";
/// Bytes read by compactions.
pub const ROCKSDB_COMPACT_READ_BYTES: &str = "rocksdb.compaction.read.size";
/// Bytes written by compactions.
pub const ROCKSDB_COMPACT_WRITTEN_BYTES: &str = "rocksdb.compaction.write.size";
/// Time that writes waited for flushes or compactions, in seconds.
pub const ROCKSDB_STALL: &str = "rocksdb.write.stalled";
/// Requests to the object store, with the repeated ones.
pub const SLATEDB_REQUESTS: &str = "slatedb.object_store.requests";
/// Requests to the object store that failed.
pub const SLATEDB_ERRORS: &str = "slatedb.object_store.errors";
/// Memory of all memory tables.
pub const SLATEDB_MEMTABLE: &str = "slatedb.memtable.size";
/// Files that wait for a compaction.
pub const SLATEDB_L0: &str = "slatedb.l0.files";
/// Bytes written to the log.
pub const SLATEDB_WAL_BYTES: &str = "slatedb.wal.size";
/// Bytes written by flushes of memory tables.
pub const SLATEDB_FLUSH_BYTES: &str = "slatedb.flush.size";
/// Bytes written by compactions.
pub const SLATEDB_COMPACT_BYTES: &str = "slatedb.compaction.size";
/// Waits of writes for the object store.
pub const SLATEDB_DELAYED: &str = "slatedb.write.delayed";
