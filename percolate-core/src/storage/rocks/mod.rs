//! RocksDB in a directory: [`RocksEngine`]. The only folder that uses the `rocksdb` crate.
//!
//! After a write that failed halfway, an engine rejects all writes: data after an uncertain end of
//! the log would be lost at a restart.

mod batch;
mod cursor;
mod directory;
mod events;
mod families;
mod log;
mod metrics;
mod open;
mod options;
mod perf;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::BACKGROUND_ERRORS;
use rocksdb::{
    Cache, FlushOptions, ReadOptions, SnapshotWithThreadMode, WaitForCompactOptions, WriteBatch,
    WriteOptions,
};

use self::batch::RocksBatch;
use self::cursor::RocksCursor;
use self::directory::Directory;
use self::events::Events;
use self::families::{Family, Opened, Rocks};
use super::engine::{Batch, Cursor, Engine, Reads};
use super::error::{
    MaintenanceError, OpenError, ReadError, StatusCode, StorageError, UnknownColumnFamily,
    WriteError,
};
use super::iterator::ScanRange;
use super::options::StorageOptions;

/// `db.system.name` of RocksDB.
pub(super) const SYSTEM: &str = "rocksdb";

/// A RocksDB database in a directory.
pub(super) struct RocksEngine {
    db: Opened,
    path: PathBuf,
    options: StorageOptions,
    namespace: String,
    cache: Cache,
    /// The options own RocksDB's statistics, if these are enabled.
    statistics: Option<rocksdb::Options>,
    reads: ReadOptions,
    writes: WriteOptions,
    /// A copy, because RocksDB's own list can only be searched by name.
    families: RwLock<Vec<String>>,
    /// The status code of the write after which no write is allowed.
    poison: OnceLock<StatusCode>,
    /// It must come after everything that holds RocksDB's listener, because fields are dropped in
    /// order. `None` if the database was opened read-only: RocksDB then does nothing by itself.
    events: Option<Events>,
}

impl RocksEngine {
    /// Returns RocksDB's handle.
    #[cfg(feature = "unstable-rocksdb")]
    pub(super) fn handle(&self) -> &Rocks {
        &self.db
    }

    fn family(&self, name: &str) -> Result<Family<'_>, UnknownColumnFamily> {
        let unknown = || UnknownColumnFamily {
            name: name.to_owned(),
            known: self.column_families(),
        };
        self.db.family(name).ok_or_else(unknown)
    }

    fn get_with(
        &self,
        cf: &str,
        key: &[u8],
        reads: &ReadOptions,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let family = self.family(cf)?;
        let value = self
            .db
            .get_pinned_cf_opt(&*family, key, reads)
            .map_err(|error| read(cf, error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn multi_get_with(
        &self,
        cf: &str,
        keys: &[&[u8]],
        reads: &ReadOptions,
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let family = self.family(cf)?;
        let values = self
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

    fn scan_with(
        &self,
        cf: &str,
        range: ScanRange,
        reads: ReadOptions,
    ) -> Result<Box<dyn Cursor + '_>, ReadError> {
        let family = self.family(cf)?;
        Ok(Box::new(RocksCursor::new(&self.db, &*family, range, reads)))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        self.check_writable()?;
        self.after_write(self.db.write_opt(batch, &self.writes))
    }

    fn check_writable(&self) -> Result<(), WriteError> {
        match self.poison.get() {
            _ if self.options.read_only => Err(WriteError::ReadOnly),
            Some(&code) => Err(WriteError::Poisoned { code }),
            None => Ok(()),
        }
    }

    fn after_write(&self, result: Result<(), rocksdb::Error>) -> Result<(), WriteError> {
        let Err(error) = result.map_err(StorageError::from) else {
            return Ok(());
        };
        if error.leaves_log_uncertain() {
            self.poison.get_or_init(|| error.code());
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
        match self.db.wait_for_compact(&wait) {
            Err(error) if error.kind() == rocksdb::ErrorKind::TimedOut => Ok(()),
            result => result,
        }
    }

    fn check_maintainable(&self, operation: &'static str) -> Result<(), MaintenanceError> {
        if self.options.read_only {
            Err(MaintenanceError::ReadOnly { operation })
        } else {
            Ok(())
        }
    }

    /// Returns one of RocksDB's integer properties of a column family.
    fn property(&self, family: &str, name: &rocksdb::properties::PropName) -> Option<u64> {
        let family = self.db.family(family)?;
        self.db.property_int_value_cf(&*family, name).ok().flatten()
    }
}

impl Reads for RocksEngine {
    fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.get_with(cf, key, &self.reads)
    }

    fn multi_get(&self, cf: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.multi_get_with(cf, keys, &self.reads)
    }

    fn scan(&self, cf: &str, range: ScanRange) -> Result<Box<dyn Cursor + '_>, ReadError> {
        self.scan_with(cf, range, ReadOptions::default())
    }
}

/// A snapshot of RocksDB.
struct RocksSnapshot<'db> {
    engine: &'db RocksEngine,
    moment: SnapshotWithThreadMode<'db, Rocks>,
}

impl RocksSnapshot<'_> {
    fn reads(&self) -> ReadOptions {
        let mut reads = ReadOptions::default();
        reads.set_snapshot(&self.moment);
        reads
    }
}

impl Reads for RocksSnapshot<'_> {
    fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.engine.get_with(cf, key, &self.reads())
    }

    fn multi_get(&self, cf: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.engine.multi_get_with(cf, keys, &self.reads())
    }

    fn scan(&self, cf: &str, range: ScanRange) -> Result<Box<dyn Cursor + '_>, ReadError> {
        self.engine.scan_with(cf, range, self.reads())
    }
}

impl Engine for RocksEngine {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn snapshot(&self) -> Box<dyn Reads + Send + Sync + '_> {
        Box::new(RocksSnapshot {
            engine: self,
            moment: self.db.snapshot(),
        })
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(RocksBatch::new(self))
    }

    fn put(&self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        self.after_write(self.db.put_cf_opt(&*family, key, value, &self.writes))
    }

    fn delete(&self, cf: &str, key: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        self.after_write(self.db.delete_cf_opt(&*family, key, &self.writes))
    }

    fn delete_range(&self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.check_writable()?;
        self.after_write(
            self.db
                .delete_range_cf_opt(&*family, start, end, &self.writes),
        )
    }

    fn flush(&self) -> Result<(), MaintenanceError> {
        self.check_maintainable("flush")?;
        let names = self.column_families();
        let families: Vec<_> = names
            .iter()
            .filter_map(|name| self.db.family(name))
            .collect();
        let families: Vec<_> = families.iter().map(AsRef::as_ref).collect();
        let result = self.db.flush_cfs_opt(&families, &FlushOptions::default());
        result.map_err(|error| maintenance("flush", error))
    }

    fn flush_wal(&self, durable: bool) -> Result<(), MaintenanceError> {
        const OPERATION: &str = "flush the log of";
        self.check_maintainable(OPERATION)?;
        self.db
            .flush_wal(durable)
            .map_err(|error| maintenance(OPERATION, error))
    }

    fn compact(&self, cf: &str) -> Result<(), MaintenanceError> {
        let family = self.family(cf)?;
        self.check_maintainable("compact")?;
        let failures = || self.property(cf, BACKGROUND_ERRORS);
        let before = failures();
        self.db
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

    fn checkpoint(&self, path: &Path) -> Result<(), MaintenanceError> {
        const OPERATION: &str = "make a checkpoint of";
        // A reader has writes of the log in memory only, and RocksDB copies neither these nor the log.
        self.check_maintainable(OPERATION)?;
        check_checkpoint(path)?;
        let made =
            Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(path));
        made.map_err(|error| maintenance(OPERATION, error))
    }

    fn create_column_family(&self, name: &str) -> Result<(), MaintenanceError> {
        const OPERATION: &str = "make a column family in";
        self.check_maintainable(OPERATION)?;
        let mut known = self
            .families
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Err(position) = known.binary_search_by(|known| known.as_str().cmp(name)) else {
            return Err(MaintenanceError::ColumnFamilyExists {
                name: name.to_owned(),
            });
        };
        self.db
            .create_cf(name, &options::family(name, &self.cache))
            .map_err(|error| maintenance(OPERATION, error))?;
        known.insert(position, name.to_owned());
        Ok(())
    }

    fn column_families(&self) -> Vec<String> {
        self.families
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The block cache is shared with the new engine.
    fn reopened(&self) -> Result<Arc<dyn Engine>, OpenError> {
        let engine =
            Self::open_with_cache(&self.path, &self.options, &self.namespace, &self.cache)?;
        Ok(Arc::new(engine))
    }

    fn write_file(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let path = self.path.join(name);
        let directory = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(directory)?;
        let unfinished = path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(directory)?.sync_all()
    }

    fn read_file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        or_missing(fs::read(self.path.join(name)))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        or_missing(fs::remove_file(self.path.join(name))).map(|_| ())
    }

    fn register_metrics(self: Arc<Self>, meter: &Meter, about: Vec<KeyValue>) {
        metrics::register(&self, meter, &about);
    }

    #[cfg(any(test, feature = "unstable-rocksdb"))]
    fn rocks(&self) -> Option<&Self> {
        Some(self)
    }
}

/// Returns `None` if the file does not exist.
fn or_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
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
