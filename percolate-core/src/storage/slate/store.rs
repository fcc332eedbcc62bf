//! [`SlateEngine`]: the open database and its writes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use slatedb::config::{FlushOptions, FlushType, WriteOptions};
use slatedb::db_cache::DbCache;
use slatedb::{CloseReason, Db, DbReader, ErrorKind};

use super::NAME;
use super::keyspace::Keyspace;
use super::place::ObjectPlace;
use super::runtime::Blocking;
use super::view::View;
use crate::storage::error::{
    MaintenanceError, StatusCode, StorageError, UnknownColumnFamily, WriteError,
};
use crate::storage::options::StorageOptions;

/// An open SlateDB database.
pub(in crate::storage) struct SlateEngine {
    pub(super) place: ObjectPlace,
    pub(super) options: StorageOptions,
    pub(super) handle: Handle,
    pub(super) cache: Arc<dyn DbCache>,
    pub(super) families: RwLock<Keyspace>,
    pub(super) runtime: Arc<Blocking>,
}

/// SlateDB's handle of the database.
pub(super) enum Handle {
    Writer(Db),
    Reader(Arc<DbReader>),
}

impl SlateEngine {
    pub(super) fn view(&self) -> View {
        match &self.handle {
            Handle::Writer(db) => View::Writer(db.clone()),
            Handle::Reader(reader) => View::Reader(Arc::clone(reader)),
        }
    }

    pub(super) fn writer(&self) -> Option<&Db> {
        match &self.handle {
            Handle::Writer(db) => Some(db),
            Handle::Reader(_) => None,
        }
    }

    pub(super) fn maintained(&self, operation: &'static str) -> Result<&Db, MaintenanceError> {
        self.writer()
            .ok_or(MaintenanceError::ReadOnly { operation })
    }

    /// Returns the prefix of the keys of a family.
    pub(super) fn prefix(&self, family: &str) -> Result<Arc<[u8]>, UnknownColumnFamily> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        families.prefix(family)
    }

    /// Writes `writes`, the new value of each key, `None` to delete it. Waits until they are durable
    /// if the options say so.
    pub(super) fn write(
        &self,
        writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Result<(), WriteError> {
        let Some(db) = self.writer() else {
            return Err(WriteError::ReadOnly);
        };
        if writes.is_empty() {
            return Ok(());
        }
        let mut batch = slatedb::WriteBatch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put_bytes(key.into(), value.into()),
                None => batch.delete(key),
            }
        }
        let written = self.runtime.block_on(async {
            let written = db
                .write_with_options(batch, &WriteOptions::default())
                .await?;
            if self.options.sync {
                written.await_durable().await?;
            }
            Ok(())
        });
        written.map_err(|error| WriteError::from(storage_error(&error)))
    }

    pub(super) fn flush_as(
        &self,
        flush_type: FlushType,
        operation: &'static str,
    ) -> Result<(), MaintenanceError> {
        let db = self.maintained(operation)?;
        let flushed = self
            .runtime
            .block_on(db.flush_with_options(FlushOptions { flush_type }));
        flushed.map_err(|error| MaintenanceError::Storage {
            operation,
            source: storage_error(&error),
        })
    }

    pub(super) fn unsupported(
        &self,
        operation: &'static str,
        instead: &'static str,
    ) -> MaintenanceError {
        match self.maintained(operation) {
            Ok(_) => MaintenanceError::Unsupported {
                operation,
                engine: NAME,
                instead,
            },
            Err(error) => error,
        }
    }
}

/// Converts SlateDB's error. Its messages have names of objects, and neither keys nor values.
pub(super) fn storage_error(error: &slatedb::Error) -> StorageError {
    let code = match error.kind() {
        ErrorKind::Transaction => StatusCode::Busy,
        ErrorKind::Closed(CloseReason::Fenced) => StatusCode::Fenced,
        ErrorKind::Closed(_) => StatusCode::Closed,
        ErrorKind::Unavailable => StatusCode::Unavailable,
        ErrorKind::Invalid => StatusCode::InvalidArgument,
        ErrorKind::Data => StatusCode::Corruption,
        ErrorKind::Internal => StatusCode::Internal,
        _ => StatusCode::Unknown,
    };
    StorageError::new(NAME, code, error.to_string())
}
