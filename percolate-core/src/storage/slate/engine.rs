//! SlateDB as an engine of a store.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use slatedb::CloseReason;
use slatedb::config::FlushType;
use slatedb::object_store::{self, ObjectStoreExt as _, PutPayload};

use super::SYSTEM;
use super::batch::SlateBatch;
use super::keyspace;
use super::reads::SlateReads;
use super::store::{Handle, SlateEngine, flush_log, unfinished};
use super::view::View;
use crate::storage::engine::{Batch, Cursor, Engine, Reads};
use crate::storage::error::{MaintenanceError, OpenError, ReadError, WriteError};
use crate::storage::range::ScanRange;

impl Reads for SlateEngine {
    fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        SlateReads::new(self, self.view()).get(cf, key)
    }

    /// Of one state of the database, as RocksDB does it.
    fn multi_get(&self, cf: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.snapshot().multi_get(cf, keys)
    }

    fn scan(&self, cf: &str, range: ScanRange) -> Result<Box<dyn Cursor + '_>, ReadError> {
        SlateReads::new(self, self.view()).cursor(cf, range)
    }
}

impl Engine for SlateEngine {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn snapshot(&self) -> Box<dyn Reads + Send + Sync + '_> {
        let view = match &self.handle {
            Handle::Writer(db) => match db.snapshot() {
                Ok(snapshot) => View::Snapshot(snapshot),
                // The database is closed, so that each read of it returns the reason.
                Err(_) => View::Writer(db.clone()),
            },
            Handle::Reader(reader, _) => View::Reader(Arc::clone(reader)),
        };
        Box::new(SlateReads::new(self, view))
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(SlateBatch::new(self))
    }

    fn put(&self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let mut batch = Box::new(SlateBatch::new(self));
        batch.put(cf, key, value)?;
        batch.commit()
    }

    fn delete(&self, cf: &str, key: &[u8]) -> Result<(), WriteError> {
        let mut batch = Box::new(SlateBatch::new(self));
        batch.delete(cf, key)?;
        batch.commit()
    }

    /// Reads the keys of the range and deletes each, in one batch. SlateDB cannot delete a range.
    fn delete_range(&self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        let mut batch = Box::new(SlateBatch::new(self));
        batch.delete_range(cf, start, end)?;
        batch.commit()
    }

    fn flush(&self) -> Result<(), MaintenanceError> {
        self.flush_as(FlushType::MemTable, "flush")
    }

    /// The log is written to the object store, where it is durable.
    fn flush_wal(&self, _durable: bool) -> Result<(), MaintenanceError> {
        self.flush_as(FlushType::Wal, "flush the log of")
    }

    fn compact(&self, cf: &str) -> Result<(), MaintenanceError> {
        self.prefix(cf)?;
        Err(self.unsupported(
            "compact a column family of",
            "it compacts all families together in the background",
        ))
    }

    fn checkpoint(&self, _path: &Path) -> Result<(), MaintenanceError> {
        Err(self.unsupported(
            "make a checkpoint of",
            "copy it with `Storage::copy_to`, or with the tools of the object store",
        ))
    }

    fn create_column_family(&self, name: &str) -> Result<(), MaintenanceError> {
        const OPERATION: &str = "make a column family in";
        let db = self.maintained(OPERATION)?;
        if !keyspace::is_name(name) {
            return Err(MaintenanceError::ColumnFamilyName { size: name.len() });
        }
        // Held over the write. The list of families is not locked meanwhile, because all reads use it.
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if self.prefix(name).is_ok() {
            return Err(MaintenanceError::ColumnFamilyExists {
                name: name.to_owned(),
            });
        }
        let created = self.runtime.block_on(async {
            db.put(keyspace::catalogue_key(name), []).await?;
            flush_log(db).await
        });
        created.map_err(|error| MaintenanceError::Storage {
            operation: OPERATION,
            source: self.failure(&error),
        })?;
        let mut families = self
            .families
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        families.add(name);
        Ok(())
    }

    fn column_families(&self) -> Vec<String> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        families.names()
    }

    /// The cache and the threads are shared with the new engine.
    fn reopened(&self) -> Result<Arc<dyn Engine>, OpenError> {
        let engine = Self::open_with(
            self.place.reopened(&self.options)?,
            &self.options,
            Arc::clone(&self.cache),
            Arc::clone(&self.runtime),
        )?;
        Ok(Arc::new(engine))
    }

    fn write_file(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let (store, path) = (&self.place.store, self.place.file(name));
        let bytes = PutPayload::from(bytes);
        let written = self.place.request(|| store.put(&path, bytes.clone()));
        let written = self.runtime.block_on(written);
        written.map(|_| ()).map_err(|error| self.file_error(&error))
    }

    fn read_file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (store, path) = (&self.place.store, self.place.file(name));
        let read = || async { store.get(&path).await?.bytes().await };
        match self.runtime.block_on(self.place.request(read)) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.file_error(&error)),
        }
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        let (store, path) = (&self.place.store, self.place.file(name));
        let removed = self.place.request(|| store.delete(&path));
        match self.runtime.block_on(removed) {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => removed.map_err(|error| self.file_error(&error)),
        }
    }

    fn read_metric(&self, metric: &str, report: &mut dyn FnMut(u64, Option<KeyValue>)) {
        self.figures.read(metric, report);
    }
}

impl SlateEngine {
    fn file_error(&self, error: &object_store::Error) -> io::Error {
        io::Error::other(self.place.explain(error))
    }
}

/// How long closing waits for the tasks of a database that another writer has opened.
const FENCED_DEADLINE: Duration = Duration::from_secs(1);

impl Drop for SlateEngine {
    /// Writes what is only in memory to the object store, if that answers in time.
    fn drop(&mut self) {
        let before = self.close_reason();
        let closing = async {
            match &self.handle {
                Handle::Writer(db) => db.close().await,
                Handle::Reader(reader, _) => reader.close().await,
            }
        };
        // A database of another writer has nothing of this one to wait for.
        let deadline = match before {
            Some(CloseReason::Fenced) => self.options.close_deadline.min(FENCED_DEADLINE),
            _ => self.options.close_deadline,
        };
        let closed = self
            .runtime
            .block_on(async { tokio::time::timeout(deadline, closing).await });
        if before.is_none() {
            match closed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.log_failure(&self.place.explain(&error)),
                Err(_) => self.log_failure(unfinished(deadline).message()),
            }
        } else if before != Some(CloseReason::Fenced) {
            self.log_failure("an earlier write in the background failed");
        }
    }
}
