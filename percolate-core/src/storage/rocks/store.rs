//! [`RocksEngine`]: the open database, its reads and its writes.

use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock};

use rocksdb::{Cache, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions};

use super::cursor::RocksCursor;
use super::events::Events;
#[cfg(feature = "unstable-rocksdb")]
use super::families::Rocks;
use super::families::{Family, Opened};
use super::perf;
use crate::storage::engine::Cursor;
use crate::storage::error::{
    MaintenanceError, ReadError, StatusCode, StorageError, UnknownColumnFamily, WriteError,
};
use crate::storage::options::StorageOptions;
use crate::storage::range::ScanRange;

/// A RocksDB database in a directory.
pub(in crate::storage) struct RocksEngine {
    pub(super) db: Opened,
    pub(super) path: PathBuf,
    pub(super) options: StorageOptions,
    pub(super) namespace: String,
    pub(super) cache: Cache,
    /// The options own RocksDB's statistics, if these are enabled.
    pub(super) statistics: Option<rocksdb::Options>,
    pub(super) reads: ReadOptions,
    pub(super) writes: WriteOptions,
    /// A copy, because RocksDB's own list can only be searched by name.
    pub(super) families: RwLock<Vec<String>>,
    /// The status code of the write after which no write is allowed.
    pub(super) poison: OnceLock<StatusCode>,
    /// It must come after everything that holds RocksDB's listener, because fields are dropped in
    /// order. `None` if the database was opened read-only: RocksDB then does nothing by itself.
    pub(super) events: Option<Events>,
}

impl RocksEngine {
    /// Returns RocksDB's handle.
    #[cfg(feature = "unstable-rocksdb")]
    pub(in crate::storage) fn handle(&self) -> &Rocks {
        &self.db
    }

    pub(super) fn family(&self, name: &str) -> Result<Family<'_>, UnknownColumnFamily> {
        let unknown = || UnknownColumnFamily {
            name: name.to_owned(),
            known: self.names(),
        };
        self.db.family(name).ok_or_else(unknown)
    }

    /// Returns the names of all families, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.families
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn get_with(
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

    pub(super) fn multi_get_with(
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

    pub(super) fn scan_with(
        &self,
        cf: &str,
        range: ScanRange,
        reads: ReadOptions,
    ) -> Result<Box<dyn Cursor + '_>, ReadError> {
        let family = self.family(cf)?;
        Ok(Box::new(RocksCursor::new(&self.db, &*family, range, reads)))
    }

    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        self.check_writable()?;
        self.after_write(self.db.write_opt(batch, &self.writes))
    }

    pub(super) fn check_writable(&self) -> Result<(), WriteError> {
        match self.poison.get() {
            _ if self.options.read_only => Err(WriteError::ReadOnly),
            Some(&code) => Err(WriteError::Poisoned { code }),
            None => Ok(()),
        }
    }

    pub(super) fn after_write(&self, result: Result<(), rocksdb::Error>) -> Result<(), WriteError> {
        if let Some(events) = &self.events {
            perf::keep_if_waited(events.waits());
        }
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
    pub(super) fn check_background(&self) -> Result<(), rocksdb::Error> {
        let mut wait = WaitForCompactOptions::default();
        wait.set_timeout(1);
        match self.db.wait_for_compact(&wait) {
            Err(error) if error.kind() == rocksdb::ErrorKind::TimedOut => Ok(()),
            result => result,
        }
    }

    pub(super) fn check_maintainable(
        &self,
        operation: &'static str,
    ) -> Result<(), MaintenanceError> {
        if self.options.read_only {
            Err(MaintenanceError::ReadOnly { operation })
        } else {
            Ok(())
        }
    }

    /// Returns one of RocksDB's integer properties of a column family.
    pub(super) fn property(
        &self,
        family: &str,
        name: &rocksdb::properties::PropName,
    ) -> Option<u64> {
        let family = self.db.family(family)?;
        self.db.property_int_value_cf(&*family, name).ok().flatten()
    }
}

fn read(cf: &str, error: rocksdb::Error) -> ReadError {
    ReadError::Storage {
        column_family: cf.to_owned(),
        source: error.into(),
    }
}
