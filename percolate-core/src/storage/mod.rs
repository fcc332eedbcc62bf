//! The storage layer: [`Storage`] over an engine (`engine`), which is RocksDB in a directory
//! (`rocks`) or SlateDB on an object store (`slate`). It stores and returns bytes. The layout of keys and column families is defined here (`keys`,
//! `column_families`), the meaning of values in the layers above (`database`, `index`, `schema`).
//!
//! Every public method is one annotated operation. The invariant: keys and values never appear in
//! telemetry or error messages. Column family names, counts and RocksDB status codes do.

mod batch;
pub mod column_families;
mod copy;
mod db;
mod engine;
mod error;
pub mod keys;
mod metrics;
mod options;
mod place;
mod range;
mod rocks;
mod scan;
#[cfg(feature = "object-store")]
mod slate;
mod snapshot;
mod url;

#[cfg(all(test, feature = "object-store"))]
pub(crate) use self::slate::tests::faulty;

pub use self::batch::BatchWriter;
pub use self::copy::{CopyError, CopyReport};
pub use self::db::Storage;
pub use self::error::{
    MaintenanceError, OpenError, ReadError, StatusCode, StorageError, UnknownColumnFamily,
    WriteError,
};
pub use self::metrics::register_metrics;
pub use self::options::{ServerAddress, StorageOptions};
pub use self::range::{Entry, ScanRange};
pub use self::scan::Scan;
pub use self::snapshot::Snapshot;
pub use self::url::is_url;
/// The background worker, under its documented path.
#[doc(inline)]
pub use crate::worker::{
    BackgroundWorker, Drained, JobError, JobFailure, JobHandle, Relation, SubmitError, Task,
    TaskFuture, TaskRunner, WorkerOptions, WorkerStatus,
};
