//! RocksDB, fenced: the only folder that names the `rocksdb` crate. Bytes in, bytes out; what the bytes mean is
//! known above (`database`, `index`, `schema`), where they lie is known here (`column_families`, `keys`).
//!
//! Every public function is one annotated operation. The invariant: keys and values never reach telemetry or an
//! error message; a column family's name, counts and RocksDB's status code do.

mod batch;
pub mod column_families;
mod db;
mod error;
mod families;
mod iterator;
pub mod keys;
mod metrics;
mod options;
mod perf;
mod snapshot;
mod worker;

/// `db.system.name` of this room's calls.
const SYSTEM: &str = "rocksdb";

pub use self::batch::BatchWriter;
pub use self::db::Storage;
pub use self::error::{
    MaintenanceError, OpenError, ReadError, StatusCode, StorageError, UnknownColumnFamily,
    WriteError,
};
pub use self::iterator::{Entry, Scan, ScanRange};
pub use self::options::{ServerAddress, StorageOptions};
pub use self::snapshot::Snapshot;
pub use self::worker::{
    BackgroundWorker, Drained, JobError, JobFailure, JobHandle, Relation, SubmitError, Task,
    TaskFuture, TaskRunner, WorkerOptions, WorkerStatus,
};
