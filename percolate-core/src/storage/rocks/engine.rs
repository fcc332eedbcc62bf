//! RocksDB as an engine of a store.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use opentelemetry::KeyValue;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::BACKGROUND_ERRORS;
use rocksdb::{FlushOptions, ReadOptions, SnapshotWithThreadMode};

use super::batch::RocksBatch;
use super::directory::Directory;
use super::families::Rocks;
use super::store::RocksEngine;
use super::{SYSTEM, metrics, options};
use crate::storage::engine::{Batch, Cursor, Engine, Reads};
use crate::storage::error::{MaintenanceError, OpenError, ReadError, WriteError};
use crate::storage::range::ScanRange;

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
        let names = self.names();
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
        self.names()
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

    fn read_metric(&self, metric: &str, report: &mut dyn FnMut(u64, Option<KeyValue>)) {
        metrics::read(self, metric, report);
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

fn maintenance(operation: &'static str, error: rocksdb::Error) -> MaintenanceError {
    MaintenanceError::Storage {
        operation,
        source: error.into(),
    }
}
