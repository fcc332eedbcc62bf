//! [`Storage`]: opening, reading, writing and maintenance. Batches, scans and snapshots have files of
//! their own.
//!
//! One method is one call of the [`Engine`] and one annotated operation.

#[cfg(any(test, feature = "unstable-rocksdb"))]
use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opentelemetry::metrics::MeterProvider;

use super::batch::BatchWriter;
use super::engine::Engine;
use super::error::{MaintenanceError, OpenError, ReadError, WriteError};
use super::metrics::Listed;
use super::options::StorageOptions;
use super::place::Place;
use super::range::{Entry, ScanRange};
#[cfg(any(test, feature = "unstable-rocksdb"))]
use super::rocks::RocksEngine;
use super::scan::Scan;
use super::url::canonical;
use crate::{db_op, db_ops};

/// A database of named column families, in a directory (RocksDB) or, with the feature
/// `object-store`, on an object store (SlateDB). Clones are handles of the same database, which is
/// closed with the last handle.
///
/// Keys and values are bytes in named column families. Every method is recorded as one database
/// operation. Telemetry contains the column family, counts and status codes, and never a key or a
/// value.
///
/// ```
/// use percolate_core::storage::{ScanRange, Storage, StorageOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let storage = Storage::open(dir.path(), StorageOptions::new().column_family("articles"))?;
/// storage.put("articles", b"percolate", b"a way through")?;
/// assert_eq!(storage.get("articles", b"percolate")?.as_deref(), Some(&b"a way through"[..]));
/// assert_eq!(storage.scan("articles", ScanRange::prefix("perc"))?.count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Storage {
    pub(super) inner: Arc<StoreInner>,
}

pub(super) struct StoreInner {
    /// Dropped before the engine, which it refers to.
    listed: Listed,
    engine: Arc<dyn Engine>,
    system: &'static str,
    path: PathBuf,
    namespace: String,
    server_address: Option<String>,
    read_only: bool,
}

impl Storage {
    /// Opens the database at `path`, or creates it if the options allow that. `path` is a directory,
    /// or, with the feature `object-store`, the URL of a place on an object store:
    /// `s3://bucket/prefix`, `file:///directory` or `memory:///name`. The scheme can be in any letter
    /// case.
    ///
    /// # Errors
    ///
    /// [`OpenError`] with the reason: the path is a file, the database does not exist, is open in
    /// another process, is damaged, lacks its log, or was created by another program or a newer version of
    /// percolate; the directory has other files than a database; or the object store cannot be reached.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for one open"
    )]
    pub fn open(path: impl AsRef<Path>, options: StorageOptions) -> Result<Self, OpenError> {
        super::error::name_in_telemetry();
        let path = canonical(path.as_ref());
        let place = Place::parse(&path, &options)?;
        let namespace = options.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| place.name());
        let server_address = place.address(&options.server_address);
        let engine = place.open(&options, &namespace)?;
        Ok(Self {
            inner: Arc::new(StoreInner {
                listed: Listed::new(&engine, &namespace, &path, options.read_only),
                system: engine.system(),
                engine,
                path: path.into_owned(),
                namespace,
                server_address,
                read_only: options.read_only,
            }),
        })
    }

    /// Returns a store with the current state of the place, if this one was opened read-only: a
    /// read-only store keeps the state that it found when it was opened, also if another process
    /// writes. The block cache is shared with this store. A store opened for writing is current, so
    /// its clone is returned.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub fn refreshed(&self) -> Result<Self, OpenError> {
        if !self.is_read_only() {
            return Ok(self.clone());
        }
        let inner = &self.inner;
        let engine = inner.engine.reopened()?;
        Ok(Self {
            inner: Arc::new(StoreInner {
                listed: Listed::new(&engine, &inner.namespace, &inner.path, true),
                engine,
                system: inner.system,
                path: inner.path.clone(),
                namespace: inner.namespace.clone(),
                server_address: inner.server_address.clone(),
                read_only: true,
            }),
        })
    }

    /// Creates an empty batch.
    pub fn batch(&self) -> BatchWriter<'_> {
        BatchWriter::new(self)
    }

    /// Returns the names of all column families, sorted.
    pub fn column_families(&self) -> Vec<String> {
        self.inner.engine.column_families()
    }

    /// Returns the directory or the URL of the database, as it was passed to [`open`](Self::open). The
    /// scheme of a URL is in lower case.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Returns the name of the engine, `db.system.name`: `rocksdb` or `slatedb`.
    pub fn system(&self) -> &'static str {
        self.inner.system
    }

    /// Returns the logical name of the store, `db.namespace`.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Returns the `server.address` of spans.
    pub fn server_address(&self) -> Option<&str> {
        self.inner.server_address.as_deref()
    }

    /// Returns whether the database was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.inner.read_only
    }

    /// Registers the engine's own figures with a meter provider. RocksDB has keys, memory tables,
    /// open tables, files, pending and running compactions, flushes, block cache and snapshots, for
    /// each column family where it has them, and with the option
    /// [`statistics`](super::StorageOptions::statistics) also its counters: cache hits and misses,
    /// Bloom filters, bytes read, written, logged, flushed and compacted, and the time that writes
    /// were stalled. SlateDB has its requests to the object
    /// store and their failures, bytes logged, flushed and compacted, memory tables, files that wait for a
    /// compaction, and waits of writes.
    ///
    /// They are read when the provider collects. The provider does not keep the store open; the metrics
    /// end when it is closed. A program that opens several stores, or opens them again, registers all of
    /// them at once with [`storage::register_metrics`](super::register_metrics).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let storage = percolate_core::storage::Storage::open(dir.path(), Default::default())?;
    /// storage.register_metrics(&*opentelemetry::global::meter_provider());
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_metrics(&self, provider: &(dyn MeterProvider + Send + Sync)) {
        self.inner.listed.register(provider);
    }

    /// Returns RocksDB's handle, of the version of the `rocksdb` crate that percolate uses, `None`
    /// if the store is on an object store. It is not covered by semantic versioning. Calls on it are
    /// not recorded, and a write that fails does not make the store read-only.
    #[cfg(feature = "unstable-rocksdb")]
    pub fn rocksdb(&self) -> Option<&rocksdb::DBWithThreadMode<rocksdb::MultiThreaded>> {
        let engine: &dyn Any = &*self.inner.engine;
        Some(engine.downcast_ref::<RocksEngine>()?.handle())
    }

    /// Writes a file that belongs to the database, atomically. `name` is a relative path with `/`.
    pub(crate) fn write_file(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.inner.engine.write_file(name, bytes)
    }

    /// Returns the bytes of a file of [`write_file`](Self::write_file), `None` if it does not exist.
    pub(crate) fn read_file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.inner.engine.read_file(name)
    }

    /// Removes a file of [`write_file`](Self::write_file), if it exists.
    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        self.inner.engine.remove_file(name)
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }
}

/// The operations.
#[db_ops(system = self.system(), namespace = self.namespace(), server_address = self.server_address())]
impl Storage {
    /// Returns the value of `key`, `None` if the key does not exist.
    #[db_op(get, cf, leaf)]
    pub fn get(&self, cf: &str, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.engine.get(cf, key.as_ref())
    }

    /// Returns the values of `keys`, in the order of the keys.
    #[db_op(multi_get, cf, rows = |values| values.iter().flatten().count(), leaf)]
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        cf: &str,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.inner.engine.multi_get(cf, &slices(keys))
    }

    /// Returns an iterator over the keys of `range` and their values, which are read on demand.
    ///
    /// The operation lasts until the iterator is exhausted or dropped, and counts the returned
    /// entries.
    #[db_op(scan, cf, rows = stream, leaf)]
    pub fn scan<'db>(
        &'db self,
        cf: &str,
        range: ScanRange,
    ) -> Result<impl Iterator<Item = Result<Entry, ReadError>> + use<'db>, ReadError> {
        Scan::new(cf, range, |range| self.inner.engine.scan(cf, range))
    }

    /// Sets the value of `key`.
    #[db_op(put, cf, affected_rows = 1, leaf)]
    pub fn put(
        &self,
        cf: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        self.inner.engine.put(cf, key.as_ref(), value.as_ref())
    }

    /// Deletes `key`. Deleting a key that does not exist succeeds.
    #[db_op(delete, cf, leaf)]
    pub fn delete(&self, cf: &str, key: impl AsRef<[u8]>) -> Result<(), WriteError> {
        self.inner.engine.delete(cf, key.as_ref())
    }

    /// Deletes the keys from `start` (inclusive) to `end` (exclusive) in one write.
    #[db_op(delete_range, cf, leaf)]
    pub fn delete_range(
        &self,
        cf: &str,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        let (start, end) = (start.as_ref(), end.as_ref());
        self.inner.engine.delete_range(cf, start, end)
    }

    /// Writes the memory tables of all column families to files.
    #[db_op(flush, leaf)]
    pub fn flush(&self) -> Result<(), MaintenanceError> {
        self.inner.engine.flush()
    }

    /// Writes the write-ahead log to the operating system. With `sync`, waits until it is on disk.
    #[db_op(flush_wal, leaf)]
    pub fn flush_wal(&self, sync: bool) -> Result<(), MaintenanceError> {
        self.inner.engine.flush_wal(sync)
    }

    /// Compacts a column family: removes overwritten and deleted entries, and sorts its files.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::Storage`] if a file cannot be read or written, also if that happened in
    /// a compaction or flush that RocksDB started before.
    #[db_op(compact, cf, leaf)]
    pub fn compact(&self, cf: &str) -> Result<(), MaintenanceError> {
        self.inner.engine.compact(cf)
    }

    /// Creates a consistent copy of the database in the new directory `path`. Files are shared by
    /// hard links if the file system supports them. The directory `path` with the suffix `.tmp` is
    /// used meanwhile.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::ReadOnly`] if the database was opened read-only,
    /// [`MaintenanceError::TargetExists`] if `path` exists, [`MaintenanceError::Occupied`] if the
    /// other directory holds files of others.
    #[db_op(checkpoint, leaf)]
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<(), MaintenanceError> {
        self.inner.engine.checkpoint(path.as_ref())
    }

    /// Creates the column family `name`.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::ColumnFamilyExists`] if it exists.
    #[db_op("create_column_family", name, leaf)]
    pub fn create_column_family(&self, name: &str) -> Result<(), MaintenanceError> {
        self.inner.engine.create_column_family(name)
    }
}

/// Returns keys as slices, for an engine.
pub(super) fn slices<K: AsRef<[u8]>>(keys: &[K]) -> Vec<&[u8]> {
    keys.iter().map(AsRef::as_ref).collect()
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Storage")
            .field("path", &self.inner.path)
            .field("namespace", &self.inner.namespace)
            .field("read_only", &self.inner.read_only)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Storage {
    /// Returns RocksDB's engine. Panics if the store has another one.
    pub(super) fn rocks(&self) -> &RocksEngine {
        let engine: &dyn Any = &*self.inner.engine;
        engine.downcast_ref().expect("the store is RocksDB's")
    }
}

#[cfg(test)]
pub(super) mod tests;
