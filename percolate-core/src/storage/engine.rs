//! What a store needs of the key-value engine below it: [`Engine`]. [`rocks`](super::rocks) is
//! RocksDB in a directory, [`slate`](super::slate) is SlateDB on an object store.
//!
//! An engine has named column families of sorted keys, atomic batches and snapshots. It knows no
//! telemetry: [`Storage`](super::Storage) records its calls. Every method blocks the calling thread
//! until it is done, and may be called inside and outside of an asynchronous runtime.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

use opentelemetry::KeyValue;

use super::error::{
    MaintenanceError, OpenError, ReadError, StorageError, UnknownColumnFamily, WriteError,
};
use super::range::ScanRange;

/// Reads, of the current state or of a snapshot.
pub(super) trait Reads {
    /// Returns the value of `key`, `None` if the key does not exist.
    fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Returns the values of `keys`, in the order of the keys.
    fn multi_get(&self, cf: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, ReadError>;

    /// Returns the entries of `range` as they are now, read on demand.
    fn scan(&self, cf: &str, range: ScanRange) -> Result<Box<dyn Cursor + '_>, ReadError>;
}

/// The entries of a scan.
pub(super) trait Cursor: Send {
    /// Goes to the next entry, and returns its key and value. It is not called again after `None`.
    fn next(&mut self) -> Option<(&[u8], &[u8])>;

    /// Returns the error that ended the scan, if [`next`](Self::next) returned `None` because of one.
    fn take_error(&mut self) -> Option<StorageError>;
}

/// Writes that are committed together.
pub(super) trait Batch: Send {
    /// Adds a write of `value` to `key`.
    fn put(&mut self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError>;

    /// Adds a deletion of `key`.
    fn delete(&mut self, cf: &str, key: &[u8]) -> Result<(), WriteError>;

    /// Adds a deletion of the keys from `start` (inclusive) to `end` (exclusive).
    fn delete_range(&mut self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError>;

    /// Returns the number of writes.
    fn len(&self) -> usize;

    /// Returns the column family, if all writes have the same one.
    fn single_cf(&self) -> Option<&str>;

    /// Writes all or, with an error, nothing.
    fn commit(self: Box<Self>) -> Result<(), WriteError>;
}

/// A key-value engine with an open database. It is closed when it is dropped.
pub(super) trait Engine: Reads + Any + Send + Sync {
    /// Returns `db.system.name`.
    fn system(&self) -> &'static str;

    /// Returns a view of the current state, which later writes do not change.
    fn snapshot(&self) -> Box<dyn Reads + Send + Sync + '_>;

    /// Returns an empty batch.
    fn batch(&self) -> Box<dyn Batch + '_>;

    /// Sets the value of `key`.
    fn put(&self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError>;

    /// Deletes `key`.
    fn delete(&self, cf: &str, key: &[u8]) -> Result<(), WriteError>;

    /// Deletes the keys from `start` (inclusive) to `end` (exclusive) in one write.
    fn delete_range(&self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError>;

    /// Writes what is only in memory and in the log to sorted files.
    fn flush(&self) -> Result<(), MaintenanceError>;

    /// Writes the log. With `durable`, waits until it is where a power failure does not reach it.
    fn flush_wal(&self, durable: bool) -> Result<(), MaintenanceError>;

    /// Compacts a column family.
    fn compact(&self, cf: &str) -> Result<(), MaintenanceError>;

    /// Creates a copy of the database in the new directory `path`.
    fn checkpoint(&self, path: &Path) -> Result<(), MaintenanceError>;

    /// Creates a column family.
    fn create_column_family(&self, name: &str) -> Result<(), MaintenanceError>;

    /// Returns the names of all column families, sorted.
    fn column_families(&self) -> Vec<String>;

    /// Returns an engine with the current state of the place, for a store that was opened read-only.
    fn reopened(&self) -> Result<Arc<dyn Engine>, OpenError>;

    /// Writes a file that belongs to the database, atomically. `name` is a relative path with `/`.
    fn write_file(&self, name: &str, bytes: Vec<u8>) -> io::Result<()>;

    /// Returns the bytes of a file of [`write_file`](Self::write_file), `None` if it does not exist.
    fn read_file(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Removes a file of [`write_file`](Self::write_file), if it exists.
    fn remove_file(&self, name: &str) -> io::Result<()>;

    /// Reads one of the engine's own figures by the name of its metric. Reports its value, or the value of
    /// each part with the attribute of the part, such as a column family; nothing if it is not measured.
    /// A time in seconds is reported in microseconds.
    fn read_metric(&self, metric: &str, report: &mut dyn FnMut(u64, Option<KeyValue>));
}

/// The column families of a batch with the engine's handles, as far as telemetry needs them. A
/// single family is looked up once.
pub(super) enum BatchFamilies<F> {
    None,
    One(String, F),
    Several,
}

impl<F: Clone> BatchFamilies<F> {
    /// Returns the family `name`, to which a write is added.
    pub(super) fn find(
        &mut self,
        name: &str,
        find: impl FnOnce(&str) -> Result<F, UnknownColumnFamily>,
    ) -> Result<F, UnknownColumnFamily> {
        if let Self::One(known, family) = self
            && known == name
        {
            return Ok(family.clone());
        }
        let found = find(name)?;
        *self = match self {
            Self::None => Self::One(name.to_owned(), found.clone()),
            Self::One(..) | Self::Several => Self::Several,
        };
        Ok(found)
    }

    /// Returns the family, if all writes have the same one.
    pub(super) fn single(&self) -> Option<&str> {
        match self {
            Self::One(name, _) => Some(name),
            Self::None | Self::Several => None,
        }
    }
}
