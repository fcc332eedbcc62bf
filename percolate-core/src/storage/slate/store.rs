//! [`SlateEngine`]: the open database and its writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use slatedb::config::{FlushOptions, FlushType, WriteOptions};
use slatedb::db_cache::DbCache;
use slatedb::{CloseReason, Db, DbReader, ErrorKind};

use super::NAME;
use super::figures::Figures;
use super::keyspace::Keyspace;
use super::note::Note;
use super::place::ObjectPlace;
use super::refused::{Reason, Refused, lacks_object};
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
    /// Held while a family is created, so that it is created once.
    pub(super) creating: Mutex<()>,
    /// Whether it has been logged that SlateDB closed the database.
    pub(super) is_failure_logged: AtomicBool,
    pub(super) runtime: Arc<Blocking>,
    pub(super) figures: Arc<Figures>,
}

/// SlateDB's handle of the database.
pub(super) enum Handle {
    Writer(Db),
    Reader(
        Arc<DbReader>,
        #[expect(
            dead_code,
            reason = "it renews the note of the reader until it is dropped"
        )]
        Note,
    ),
}

impl SlateEngine {
    pub(super) fn view(&self) -> View {
        match &self.handle {
            Handle::Writer(db) => View::Writer(db.clone()),
            Handle::Reader(reader, _) => View::Reader(Arc::clone(reader)),
        }
    }

    pub(super) fn writer(&self) -> Option<&Db> {
        match &self.handle {
            Handle::Writer(db) => Some(db),
            Handle::Reader(..) => None,
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

    /// Returns why SlateDB has closed the database. It does so after a write in the background, of the
    /// log or of the list of files, whose retries are exhausted.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match &self.handle {
            Handle::Writer(db) => db.status().close_reason,
            Handle::Reader(reader, _) => reader.status().close_reason,
        }
    }

    /// Converts SlateDB's error. If SlateDB has closed the database, the message says what to do.
    pub(super) fn failure(&self, error: &slatedb::Error) -> StorageError {
        if self.writer().is_none() && lacks_object(error) {
            return StorageError::new(
                NAME,
                StatusCode::Expired,
                format!(
                    "{}; files of the state that this reader has were deleted, because the reader did not renew its \
                     note in the store in time, or with the database; refresh it",
                    self.place.describe(error)
                ),
            );
        }
        let failure = storage_error(&self.place, error);
        match self.close_reason() {
            None | Some(CloseReason::Fenced) => failure,
            Some(_) => {
                self.log_failure(failure.message());
                StorageError::new(
                    NAME,
                    failure.code(),
                    format!(
                        "{}; it has closed the database after this error, so close this handle and open the \
                         database again",
                        failure.message()
                    ),
                )
            }
        }
    }

    /// Converts the error of a write that SlateDB has refused.
    pub(super) fn refused(&self, error: &slatedb::Error) -> WriteError {
        let failure = self.failure(error);
        match self.close_reason() {
            None | Some(CloseReason::Fenced) => failure.into(),
            Some(_) => WriteError::Poisoned {
                code: failure.code(),
            },
        }
    }

    /// Logs once that SlateDB has closed the database, because the writes that are lost with it have
    /// been acknowledged, unless they waited for the object store.
    pub(super) fn log_failure(&self, reason: &str) {
        if self.is_failure_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        crate::otel::tracing::warn!(
            target: "percolate",
            error = reason,
            "SlateDB has closed the database on the object store after an error; writes that were not durable may be lost"
        );
    }

    /// Writes `writes`, the new value of each key, `None` to delete it. With the option `sync`, waits
    /// until they are durable.
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
        self.runtime.block_on(async {
            let options = WriteOptions::default();
            let written = db.write_with_options(batch, &options).await;
            let written = written.map_err(|error| self.refused(&error))?;
            if self.options.sync {
                let durable = written.await_durable().await;
                durable.map_err(|error| self.failure(&error))?;
            }
            Ok(())
        })
    }

    pub(super) fn flush_as(
        &self,
        flush_type: FlushType,
        operation: &'static str,
    ) -> Result<(), MaintenanceError> {
        let db = self.maintained(operation)?;
        // SlateDB repeats uploads of memory tables without a limit.
        let deadline = 2 * self.options.store_deadline();
        let flushed = self.runtime.block_on(async {
            let flushing = db.flush_with_options(FlushOptions { flush_type });
            tokio::time::timeout(deadline, flushing).await
        });
        let source = match flushed {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => self.failure(&error),
            Err(_) => unfinished(deadline),
        };
        Err(MaintenanceError::Storage { operation, source })
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

/// Makes what was written durable now, without a wait for the interval.
pub(super) async fn flush_log(db: &Db) -> Result<(), slatedb::Error> {
    let flush_type = FlushType::Wal;
    db.flush_with_options(FlushOptions { flush_type }).await
}

/// Returns the error for an object store that does not answer in time.
pub(super) fn unfinished(deadline: Duration) -> StorageError {
    StorageError::new(
        NAME,
        StatusCode::TimedOut,
        format!("the object store did not answer, or only with errors, within {deadline:?}"),
    )
}

/// Converts SlateDB's error. Its messages have names of objects, and neither keys nor values.
pub(super) fn storage_error(place: &ObjectPlace, error: &slatedb::Error) -> StorageError {
    if let Some(refused) = Refused::find(error) {
        return refusal(place, refused);
    }
    let code = match error.kind() {
        ErrorKind::Transaction => StatusCode::Busy,
        _ if is_fenced(error) => StatusCode::Fenced,
        ErrorKind::Closed(_) => StatusCode::Closed,
        ErrorKind::Unavailable => StatusCode::Unavailable,
        ErrorKind::Invalid => StatusCode::InvalidArgument,
        ErrorKind::Data => StatusCode::Corruption,
        ErrorKind::Internal => StatusCode::Internal,
        _ => StatusCode::Unknown,
    };
    StorageError::new(NAME, code, place.describe(error))
}

/// Converts the error of a request that the object store refuses for good.
pub(super) fn refusal(place: &ObjectPlace, refused: &Refused) -> StorageError {
    let code = match refused.reason() {
        Reason::Gone => StatusCode::NotFound,
        _ => StatusCode::Refused,
    };
    let mut text = place.describe(refused);
    if refused.reason() == Reason::NoCredentials {
        text = format!(
            "there are no credentials ({text}); set `aws_access_key_id` and `aws_secret_access_key` as options, or in \
             the environment; the files of AWS profiles are not read"
        );
    }
    StorageError::new(NAME, code, text)
}

/// Returns whether another writer was faster in writing a version of the manifest, which happens while
/// both open the database. SlateDB reports this as [`ErrorKind::Data`].
pub(super) fn is_overtaken(error: &slatedb::Error) -> bool {
    error.kind() == ErrorKind::Data && error.to_string().contains("version already exists")
}

/// Returns whether another writer has the database.
pub(super) fn is_fenced(error: &slatedb::Error) -> bool {
    error.kind() == ErrorKind::Closed(CloseReason::Fenced) || is_overtaken(error)
}
