//! Well-known values of attributes.

use super::JobStatus;

/// Value of [`super::attribute::ERROR_TYPE`] when nothing better is known.
pub const ERROR_TYPE_OTHER: &str = "_OTHER";
/// Value of [`super::attribute::ERROR_TYPE`] when the function panicked.
pub const ERROR_TYPE_PANIC: &str = "panic";
/// Value of [`super::attribute::ERROR_TYPE`] when the future of a database operation was dropped
/// before it finished.
pub const ERROR_TYPE_CANCELLED: &str = "cancelled";
/// The values of [`super::attribute::JOB_STATUS`].
pub const JOB_STATUS_VALUES: &[&str] = &{
    let mut values = [""; JobStatus::ALL.len()];
    let mut index = 0;
    while index < values.len() {
        values[index] = JobStatus::ALL[index].as_str();
        index += 1;
    }
    values
};

/// Declares the lists of operations from the table in percolate-macros.
macro_rules! declare {
    (variants: $_variants:tt of_a_collection: $of_a_collection:tt single: $single:tt) => {
        /// Operations that work on one collection.
        pub const COLLECTION_OPERATIONS: &[&str] = &$of_a_collection;
        /// Operations that are never a batch.
        pub const SINGLE_OPERATIONS: &[&str] = &$single;
    };
}

percolate_macros::operations!(declare);

/// Database systems that run in the caller's process: their address is a path.
pub const EMBEDDED_SYSTEMS: &[&str] = &[
    "rocksdb",
    "sqlite",
    "leveldb",
    "lmdb",
    "redb",
    "sled",
    "fjall",
    "duckdb",
    "slatedb",
    "h2database",
    "derby",
    "hsqldb",
];
/// RocksDB's own status codes, which are its `error.type` too.
pub const ROCKSDB_STATUS_CODES: &[&str] = &[
    "NotFound",
    "Corruption",
    "NotSupported",
    "InvalidArgument",
    "IOError",
    "MergeInProgress",
    "Incomplete",
    "ShutdownInProgress",
    "TimedOut",
    "Aborted",
    "Busy",
    "Expired",
    "TryAgain",
    "CompactionTooLarge",
    "ColumnFamilyDropped",
];
