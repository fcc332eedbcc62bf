//! SlateDB as an engine of a store.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use slatedb::ErrorKind;
use slatedb::config::FlushType;
use slatedb::object_store::{self, ObjectStoreExt as _, PutPayload};

use super::SYSTEM;
use super::batch::SlateBatch;
use super::keyspace::{self, MAX_NAME};
use super::reads::SlateReads;
use super::store::{Handle, SlateEngine, storage_error};
use super::view::View;
use crate::storage::engine::{Batch, Cursor, Engine, Reads};
use crate::storage::error::{MaintenanceError, OpenError, ReadError, WriteError};
use crate::storage::range::ScanRange;

/// How long the end of an engine waits for an object store that does not answer.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

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
                Err(error) => View::Closed(storage_error(&error)),
            },
            Handle::Reader(reader) => View::Reader(Arc::clone(reader)),
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
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(MaintenanceError::ColumnFamilyName { size: name.len() });
        }
        // Held over the write, so that a family is created once.
        let mut families = self
            .families
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if families.prefix(name).is_ok() {
            return Err(MaintenanceError::ColumnFamilyExists {
                name: name.to_owned(),
            });
        }
        let created = self.runtime.block_on(async {
            let created = db.put(keyspace::catalogue_key(name), []).await?;
            created.await_durable().await
        });
        created.map_err(|error| MaintenanceError::Storage {
            operation: OPERATION,
            source: storage_error(&error),
        })?;
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
            self.place.clone(),
            &self.options,
            Arc::clone(&self.cache),
            Arc::clone(&self.runtime),
        )?;
        Ok(Arc::new(engine))
    }

    fn write_file(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let (store, path) = (&self.place.store, self.place.file(name));
        let written = self
            .runtime
            .block_on(store.put(&path, PutPayload::from(bytes)));
        written.map(|_| ()).map_err(io::Error::from)
    }

    fn read_file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (store, path) = (&self.place.store, self.place.file(name));
        let read = self
            .runtime
            .block_on(async { store.get(&path).await?.bytes().await });
        match read {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        let (store, path) = (&self.place.store, self.place.file(name));
        match self.runtime.block_on(store.delete(&path)) {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => removed.map_err(io::Error::from),
        }
    }

    fn register_metrics(self: Arc<Self>, _meter: &Meter, _about: Vec<KeyValue>) {}
}

impl Drop for SlateEngine {
    /// Writes what is only in memory to the object store, if that answers in time.
    fn drop(&mut self) {
        let closing = async {
            match &self.handle {
                Handle::Writer(db) => db.close().await,
                Handle::Reader(reader) => reader.close().await,
            }
        };
        let deadline = CLOSE_DEADLINE;
        let closed = self
            .runtime
            .block_on(async { tokio::time::timeout(deadline, closing).await });
        let reason = match closed {
            Ok(Ok(())) => return,
            // Another writer has the database, so there is nothing to close.
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Closed(_)) => return,
            Ok(Err(error)) => storage_error(&error).to_string(),
            Err(_) => format!("the object store did not answer within {deadline:?}"),
        };
        crate::otel::tracing::warn!(
            target: "percolate",
            error = reason,
            "the database on the object store was not closed; writes that were not durable may be lost"
        );
    }
}
