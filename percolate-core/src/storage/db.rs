//! The store: opening, reading, writing and maintenance. Batches and scans have files of their own.
//!
//! One method is one RocksDB call and one annotated operation. After a write that failed halfway, a
//! handle rejects all writes: data after an uncertain end of the log would be lost at a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::BACKGROUND_ERRORS;
use rocksdb::{
    Cache, ColumnFamilyDescriptor, FlushOptions, ReadOptions, WaitForCompactOptions, WriteBatch,
    WriteOptions,
};

use super::batch::BatchWriter;
use super::column_families::{self, DEFAULT, FORMAT_KEY, FORMAT_VERSION, META};
use super::directory::Directory;
use super::error::{
    MaintenanceError, OpenError, ReadError, StatusCode, StorageError, UnknownColumnFamily,
    WriteError,
};
use super::events::Events;
use super::families::{Family, Opened, Rocks};
use super::iterator::{Entry, Scan, ScanRange};
use super::log;
use super::options::{ServerAddress, StorageOptions};
use super::perf;
use crate::{db_op, db_ops};

/// How often a read-only open that misses a file is repeated while the directory does not change.
const READ_ONLY_ATTEMPTS: u32 = 10;

/// How long a read-only open is repeated while a writer changes the directory.
const READ_ONLY_PATIENCE: Duration = Duration::from_secs(30);

/// A RocksDB database in a directory. Clones are handles of the same database, which is closed with
/// the last handle.
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
    db: Opened,
    path: PathBuf,
    namespace: String,
    server_address: Option<String>,
    read_only: bool,
    options: StorageOptions,
    cache: Cache,
    /// The options own RocksDB's statistics, if these are enabled.
    pub(super) statistics: Option<rocksdb::Options>,
    reads: ReadOptions,
    writes: WriteOptions,
    /// A copy, because RocksDB's own list can only be searched by name.
    families: RwLock<Vec<String>>,
    /// The status code of the write after which no write is allowed.
    poison: OnceLock<StatusCode>,
    /// It must come after everything that holds RocksDB's listener, because fields are dropped in
    /// order. `None` if the database was opened read-only: RocksDB then does nothing by itself.
    pub(super) events: Option<Events>,
}

impl Storage {
    /// Opens the database in the directory `path`, or creates it if the options allow that.
    ///
    /// # Errors
    ///
    /// [`OpenError`] with the reason: the path is a file, the database does not exist, is open in
    /// another process, is damaged, lacks its log, or was created by another program or a newer version of
    /// percolate; or the directory has other files than a database.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for one open"
    )]
    pub fn open(path: impl AsRef<Path>, options: StorageOptions) -> Result<Self, OpenError> {
        super::error::name_in_telemetry();
        let cache = Cache::new_lru_cache(options.cache_size);
        Self::open_with_cache(path.as_ref(), &options, &cache)
    }

    /// Returns a store with the current state of the directory, if this one was opened read-only:
    /// a read-only store keeps the state that it found when it was opened, also if another process
    /// writes. The block cache is shared with this store. A store opened for writing is current, so
    /// its clone is returned.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub fn refreshed(&self) -> Result<Self, OpenError> {
        if self.is_read_only() {
            let inner = &self.inner;
            Self::open_with_cache(&inner.path, &inner.options, &inner.cache)
        } else {
            Ok(self.clone())
        }
    }

    /// Opens the store. A writer may delete files while a reader opens them, so a read-only open
    /// that misses a file is repeated.
    fn open_with_cache(
        path: &Path,
        options: &StorageOptions,
        cache: &Cache,
    ) -> Result<Self, OpenError> {
        let deadline = Instant::now() + READ_ONLY_PATIENCE;
        let (mut attempts, mut seen) = (0, None);
        loop {
            let error = match Self::open_once(path, options, cache.clone()) {
                Err(error) if options.read_only && error.misses_file() => error,
                result => return result,
            };
            // A writer replaces files, so it is at work if the names change.
            let names = Directory::read(path).ok();
            attempts = if names == seen { attempts + 1 } else { 0 };
            seen = names;
            if attempts == READ_ONLY_ATTEMPTS || Instant::now() >= deadline {
                return Err(error.while_written(path));
            }
            std::thread::sleep(Duration::from_millis(10) * attempts.max(1));
        }
    }

    fn open_once(path: &Path, options: &StorageOptions, cache: Cache) -> Result<Self, OpenError> {
        let exists = check_directory(path, options)?;
        let existing = if exists {
            list_families(path)?
        } else {
            Vec::new()
        };
        refuse_foreign(path, &existing, &cache)?;
        let names = family_names(&existing, options);
        let mut database = column_families::database_options(options.create_if_missing);
        database.set_db_write_buffer_size(options.memory_table_limit);
        if options.statistics {
            database.enable_statistics();
        }
        let namespace = options.namespace.clone().unwrap_or_else(|| name_of(path));
        let events = (!options.read_only).then(|| Events::new(path, &namespace));
        if let Some(events) = &events {
            events.listen(&mut database);
        }
        let db = open_rocks(path, &names, &cache, options, &database)?;
        let mut inner = StoreInner::new(db, path, names, cache, options);
        inner.namespace = namespace;
        inner.statistics = options.statistics.then_some(database);
        inner.events = events;
        let storage = Self {
            inner: Arc::new(inner),
        };
        storage.check_format(path)?;
        if options.perf_context {
            perf::enable();
        }
        Ok(storage)
    }

    /// Creates an empty batch.
    pub fn batch(&self) -> BatchWriter<'_> {
        BatchWriter::new(self)
    }

    /// Returns the names of all column families, sorted.
    pub fn column_families(&self) -> Vec<String> {
        self.inner
            .families
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the directory of the database.
    pub fn path(&self) -> &Path {
        &self.inner.path
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

    /// Returns RocksDB's handle, of the version of the `rocksdb` crate that percolate uses. It is
    /// not covered by semantic versioning. Calls on it are not recorded, and a write that fails
    /// does not make the store read-only.
    #[cfg(feature = "unstable-rocksdb")]
    pub fn rocksdb(&self) -> &rocksdb::DBWithThreadMode<rocksdb::MultiThreaded> {
        &self.inner.db
    }
}

/// The operations.
#[db_ops(namespace = self.namespace(), server_address = self.server_address())]
impl Storage {
    /// Returns the value of `key`, `None` if the key does not exist.
    #[db_op(get, cf, leaf)]
    pub fn get(&self, cf: &str, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        self.get_with(cf, key.as_ref(), &self.inner.reads)
    }

    /// Returns the values of `keys`, in the order of the keys.
    #[db_op(multi_get, cf, rows = |values| values.iter().flatten().count(), leaf)]
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        cf: &str,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.multi_get_with(cf, keys, &self.inner.reads)
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
        self.scan_with(cf, range, ReadOptions::default())
    }

    /// Sets the value of `key`.
    #[db_op(put, cf, affected_rows = 1, leaf)]
    pub fn put(
        &self,
        cf: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        self.after_write(
            self.inner
                .db
                .put_cf_opt(&*family, key, value, &self.inner.writes),
        )
    }

    /// Deletes `key`. Deleting a key that does not exist succeeds.
    #[db_op(delete, cf, leaf)]
    pub fn delete(&self, cf: &str, key: impl AsRef<[u8]>) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        self.after_write(
            self.inner
                .db
                .delete_cf_opt(&*family, key, &self.inner.writes),
        )
    }

    /// Deletes the keys from `start` (inclusive) to `end` (exclusive) in one write.
    #[db_op(delete_range, cf, leaf)]
    pub fn delete_range(
        &self,
        cf: &str,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        let (start, end) = (start.as_ref(), end.as_ref());
        self.after_write(self.inner.db.delete_range_cf_opt(
            &*family,
            start,
            end,
            &self.inner.writes,
        ))
    }

    /// Writes the memory tables of all column families to files.
    #[db_op(flush, leaf)]
    pub fn flush(&self) -> Result<(), MaintenanceError> {
        self.check_maintainable("flush")?;
        let names = self.column_families();
        let families: Vec<_> = names
            .iter()
            .filter_map(|name| self.inner.db.family(name))
            .collect();
        let families: Vec<_> = families.iter().map(AsRef::as_ref).collect();
        let result = self
            .inner
            .db
            .flush_cfs_opt(&families, &FlushOptions::default());
        result.map_err(|error| maintenance("flush", error))
    }

    /// Writes the write-ahead log to the operating system. With `sync`, waits until it is on disk.
    #[db_op(flush_wal, leaf)]
    pub fn flush_wal(&self, sync: bool) -> Result<(), MaintenanceError> {
        self.check_maintainable("flush the log of")?;
        self.inner
            .db
            .flush_wal(sync)
            .map_err(|error| maintenance("flush the log of", error))
    }

    /// Compacts a column family: removes overwritten and deleted entries, and sorts its files.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::Storage`] if a file cannot be read or written, also if that happened in
    /// a compaction or flush that RocksDB started before.
    #[db_op(compact, cf, leaf)]
    pub fn compact(&self, cf: &str) -> Result<(), MaintenanceError> {
        let family = self.family(cf)?;
        self.check_maintainable("compact")?;
        let failures = || self.inner.property(cf, BACKGROUND_ERRORS);
        let before = failures();
        self.inner
            .db
            .compact_range_cf(&*family, None::<&[u8]>, None::<&[u8]>);
        self.check_background()
            .map_err(|error| maintenance("compact", error))?;
        if failures() > before {
            return Err(MaintenanceError::Background {
                column_family: cf.to_owned(),
            });
        }
        Ok(())
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
        const OPERATION: &str = "make a checkpoint of";
        // A reader has writes of the log in memory only, and RocksDB copies neither these nor the log.
        self.check_maintainable(OPERATION)?;
        check_checkpoint(path.as_ref())?;
        let made = Checkpoint::new(&self.inner.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(path));
        made.map_err(|error| maintenance(OPERATION, error))
    }

    /// Creates the column family `name`.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::ColumnFamilyExists`] if it exists.
    #[db_op("create_column_family", name, leaf)]
    pub fn create_column_family(&self, name: &str) -> Result<(), MaintenanceError> {
        const OPERATION: &str = "make a column family in";
        self.check_maintainable(OPERATION)?;
        let mut known = self
            .inner
            .families
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Err(position) = known.binary_search_by(|known| known.as_str().cmp(name)) else {
            return Err(MaintenanceError::ColumnFamilyExists {
                name: name.to_owned(),
            });
        };
        let options = column_families::family_options(name, &self.inner.cache);
        self.inner
            .db
            .create_cf(name, &options)
            .map_err(|error| maintenance(OPERATION, error))?;
        known.insert(position, name.to_owned());
        Ok(())
    }
}

impl Storage {
    pub(super) fn rocks(&self) -> &Rocks {
        &self.inner.db
    }

    pub(super) fn get_with(
        &self,
        cf: &str,
        key: &[u8],
        reads: &ReadOptions,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let family = self.family(cf)?;
        let value = self
            .inner
            .db
            .get_pinned_cf_opt(&*family, key, reads)
            .map_err(|error| read(cf, error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn multi_get_with<K: AsRef<[u8]>>(
        &self,
        cf: &str,
        keys: &[K],
        reads: &ReadOptions,
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let family = self.family(cf)?;
        let keys = keys.iter().map(AsRef::as_ref);
        let values = self
            .inner
            .db
            .batched_multi_get_cf_opt(&*family, keys, false, reads);
        values
            .into_iter()
            .map(|value| {
                Ok(value
                    .map_err(|error| read(cf, error))?
                    .map(|value| value.to_vec()))
            })
            .collect()
    }

    pub(super) fn scan_with(
        &self,
        cf: &str,
        range: ScanRange,
        reads: ReadOptions,
    ) -> Result<Scan<'_>, ReadError> {
        let family = self.family(cf)?;
        Ok(Scan::new(&self.inner.db, &*family, cf, range, reads))
    }

    pub(super) fn family(&self, name: &str) -> Result<Family<'_>, UnknownColumnFamily> {
        let unknown = || UnknownColumnFamily {
            name: name.to_owned(),
            known: self.column_families(),
        };
        self.inner.db.family(name).ok_or_else(unknown)
    }

    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        self.check_writable()?;
        self.after_write(self.inner.db.write_opt(batch, &self.inner.writes))
    }

    fn check_writable(&self) -> Result<(), WriteError> {
        match self.inner.poison.get() {
            _ if self.inner.read_only => Err(WriteError::ReadOnly),
            Some(&code) => Err(WriteError::Poisoned { code }),
            None => Ok(()),
        }
    }

    fn after_write(&self, result: Result<(), rocksdb::Error>) -> Result<(), WriteError> {
        let Err(error) = result.map_err(StorageError::from) else {
            return Ok(());
        };
        if error.leaves_log_uncertain() {
            self.inner.poison.get_or_init(|| error.code());
        }
        Err(error.into())
    }

    /// Returns the error that stopped RocksDB's background work, if there is one.
    ///
    /// RocksDB's C interface does not return the error of a compaction. The wait returns the stored
    /// error at once, or else ends after a microsecond.
    fn check_background(&self) -> Result<(), rocksdb::Error> {
        let mut wait = WaitForCompactOptions::default();
        wait.set_timeout(1);
        match self.inner.db.wait_for_compact(&wait) {
            Err(error) if error.kind() == rocksdb::ErrorKind::TimedOut => Ok(()),
            result => result,
        }
    }

    fn check_maintainable(&self, operation: &'static str) -> Result<(), MaintenanceError> {
        if self.inner.read_only {
            Err(MaintenanceError::ReadOnly { operation })
        } else {
            Ok(())
        }
    }

    /// Writes the format version to a new database, and rejects versions that this build cannot
    /// read.
    fn check_format(&self, path: &Path) -> Result<(), OpenError> {
        let path = || path.to_owned();
        let db = &self.inner.db;
        let failed = |error| OpenError::from_storage(path(), StorageError::from(error));
        let Some(meta) = db.family(META) else {
            return Err(OpenError::Foreign { path: path() });
        };
        let recorded = db.get_cf(&*meta, FORMAT_KEY).map_err(failed)?;
        match recorded.map(|bytes| <[u8; 4]>::try_from(bytes.as_slice()).map(u32::from_be_bytes)) {
            Some(Ok(found)) if found > FORMAT_VERSION => Err(OpenError::NewerFormat {
                path: path(),
                found,
                supported: FORMAT_VERSION,
            }),
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(OpenError::Foreign { path: path() }),
            None if self.inner.read_only || db.latest_sequence_number() > 0 => {
                Err(OpenError::Foreign { path: path() })
            }
            None => db
                .put_cf_opt(
                    &*meta,
                    FORMAT_KEY,
                    FORMAT_VERSION.to_be_bytes(),
                    &self.inner.writes,
                )
                .map_err(failed),
        }
    }
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

impl StoreInner {
    /// Returns one of RocksDB's integer properties of a column family.
    pub(super) fn property(
        &self,
        family: &str,
        name: &rocksdb::properties::PropName,
    ) -> Option<u64> {
        let family = self.db.family(family)?;
        self.db.property_int_value_cf(&*family, name).ok().flatten()
    }

    fn new(
        db: Rocks,
        path: &Path,
        families: Vec<String>,
        cache: Cache,
        options: &StorageOptions,
    ) -> Self {
        let mut writes = WriteOptions::default();
        writes.set_sync(options.sync);
        Self {
            db: Opened::new(db, &families),
            path: path.to_owned(),
            namespace: String::new(),
            server_address: match &options.server_address {
                ServerAddress::Path => Some(path.display().to_string()),
                ServerAddress::Omit => None,
                ServerAddress::Custom(text) => Some(text.clone()),
            },
            read_only: options.read_only,
            options: options.clone(),
            cache,
            statistics: None,
            reads: ReadOptions::default(),
            writes,
            families: RwLock::new(families),
            poison: OnceLock::new(),
            events: None,
        }
    }
}

/// Returns the last component of the path as text.
fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Returns whether there is a database at `path`. Rejects paths where none can be created.
fn check_directory(path: &Path, options: &StorageOptions) -> Result<bool, OpenError> {
    let missing = || OpenError::Missing {
        path: path.to_owned(),
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Denied {
            path: path.to_owned(),
            source: Box::new(error),
        },
        _ => OpenError::Path {
            path: path.to_owned(),
            source: error,
        },
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(OpenError::NotADirectory {
            path: path.to_owned(),
        }),
        Ok(_) => {
            let directory = Directory::read(path).map_err(failed)?;
            if directory.misses_log() {
                Err(OpenError::MissingLog {
                    path: path.to_owned(),
                })
            } else if directory.is_database() {
                log::check(path, &directory.logs())?;
                Ok(true)
            } else if directory.holds_data() {
                Err(OpenError::Incomplete {
                    path: path.to_owned(),
                })
            } else if !options.create_if_missing || options.read_only {
                Err(missing())
            } else if let Some(found) = directory.in_the_way() {
                Err(OpenError::NotEmpty {
                    path: path.to_owned(),
                    found,
                })
            } else {
                Ok(false)
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if options.create_if_missing && !options.read_only {
                Ok(false)
            } else {
                Err(missing())
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(OpenError::NotADirectory {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Refuses a checkpoint at a path that exists, and one for which RocksDB would delete files of
/// others: it first empties the directory of this name with the suffix `.tmp`.
fn check_checkpoint(path: &Path) -> Result<(), MaintenanceError> {
    if path.exists() {
        return Err(MaintenanceError::TargetExists {
            path: path.to_owned(),
        });
    }
    let mut staging = path.components().as_path().as_os_str().to_owned();
    staging.push(".tmp");
    let found = Directory::read(Path::new(&staging))
        .ok()
        .and_then(|directory| directory.of_others());
    match found {
        None => Ok(()),
        Some(found) => Err(MaintenanceError::Occupied {
            path: path.to_owned(),
            staging: staging.into(),
            found,
        }),
    }
}

fn list_families(path: &Path) -> Result<Vec<String>, OpenError> {
    let options = column_families::database_options(false);
    Rocks::list_cf(&options, path)
        .map_err(|error| OpenError::from_storage(path.to_owned(), error.into()))
}

/// Rejects a database without the family `meta`, before anything is changed. A database that was
/// never written to is accepted: it may be percolate's own, if its creation was interrupted.
fn refuse_foreign(path: &Path, existing: &[String], cache: &Cache) -> Result<(), OpenError> {
    if existing.is_empty() || existing.iter().any(|name| name == META) {
        return Ok(());
    }
    let unwritten = open_rocks(
        path,
        existing,
        cache,
        &StorageOptions::new().read_only(true),
        &column_families::database_options(false),
    )?;
    match unwritten.latest_sequence_number() {
        0 => Ok(()),
        _ => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// Returns the families to open, sorted: all that exist, and the requested ones if they may be
/// created.
fn family_names(existing: &[String], options: &StorageOptions) -> Vec<String> {
    let mut names = existing.to_vec();
    if !options.read_only {
        names.extend([DEFAULT.to_owned(), META.to_owned()]);
        names.extend(options.column_families.iter().cloned());
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn open_rocks(
    path: &Path,
    names: &[String],
    cache: &Cache,
    options: &StorageOptions,
    database: &rocksdb::Options,
) -> Result<Rocks, OpenError> {
    let families = names.iter().map(|name| {
        ColumnFamilyDescriptor::new(name, column_families::family_options(name, cache))
    });
    let opened = if options.read_only {
        Rocks::open_cf_descriptors_read_only(database, path, families, false)
    } else {
        Rocks::open_cf_descriptors(database, path, families)
    };
    opened.map_err(|error| OpenError::from_storage(path.to_owned(), error.into()))
}

fn read(cf: &str, error: rocksdb::Error) -> ReadError {
    ReadError::Storage {
        column_family: cf.to_owned(),
        source: error.into(),
    }
}

fn maintenance(operation: &'static str, error: rocksdb::Error) -> MaintenanceError {
    MaintenanceError::Storage {
        operation,
        source: error.into(),
    }
}

#[cfg(test)]
mod tests;
