//! SlateDB on an object store: [`SlateEngine`]. The only folder that uses the `slatedb` and
//! `object_store` crates.
//!
//! SlateDB is asynchronous and has one space of keys. The engine owns a runtime for SlateDB's tasks
//! ([`runtime`]), and gives each column family a prefix ([`keyspace`]). One writer at a time has the
//! database: a second one that opens it ends the rights of the first. Readers keep the state that
//! they found when they were opened.

mod batch;
mod keyspace;
mod place;
mod runtime;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use slatedb::admin::AdminBuilder;
use slatedb::config::{
    CompressionCodec, DbReaderOptions, FlushOptions, FlushType, PutOptions, Settings, WriteOptions,
};
use slatedb::db_cache::DbCache;
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::object_store::{self, ObjectStoreExt as _, PutPayload};
use slatedb::{CloseReason, Db, DbReader, DbReaderMode, ErrorKind};

use self::batch::SlateBatch;
use self::keyspace::{Keyspace, MAX_NAME};
pub(super) use self::place::ObjectPlace;
use self::runtime::Blocking;
use self::view::{SlateReads, View};
use super::column_families::{FORMAT_KEY, META, check_format};
use super::engine::{Batch, Cursor, Engine, Reads};
use super::error::{
    MaintenanceError, OpenError, ReadError, StatusCode, StorageError, UnknownColumnFamily,
    WriteError,
};
use super::iterator::ScanRange;
use super::options::StorageOptions;

/// `db.system.name` of SlateDB.
const SYSTEM: &str = "slatedb";

/// How SlateDB is called in messages.
const NAME: &str = "SlateDB";

/// How long a reader keeps its state at most, if it is not refreshed before. The files of the state
/// are kept for twice as long, in case that the reader ends without a word.
const READER_AGE: Duration = Duration::from_hours(24);

/// How long the end of an engine waits for an object store that does not answer.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// An open SlateDB database.
pub(super) struct SlateEngine {
    place: ObjectPlace,
    options: StorageOptions,
    /// `None` only while the engine is dropped.
    handle: Handle,
    cache: Arc<dyn DbCache>,
    families: RwLock<Keyspace>,
    runtime: Arc<Blocking>,
}

/// SlateDB's handle of the database.
enum Handle {
    Writer(Db),
    Reader(Arc<DbReader>),
}

impl SlateEngine {
    /// Opens the database at `place`, or creates it if the options allow that.
    pub(super) fn open(place: ObjectPlace, options: &StorageOptions) -> Result<Self, OpenError> {
        let bytes = u64::try_from(options.cache_size).unwrap_or(u64::MAX);
        let cache = MokaCache::new_with_opts(MokaCacheOptions {
            max_capacity: bytes,
            ..MokaCacheOptions::default()
        });
        let runtime = Blocking::new().map_err(|source| OpenError::Path {
            path: place.path(),
            source,
        })?;
        Self::open_with(place, options, Arc::new(cache), Arc::new(runtime))
    }

    fn open_with(
        place: ObjectPlace,
        options: &StorageOptions,
        cache: Arc<dyn DbCache>,
        runtime: Arc<Blocking>,
    ) -> Result<Self, OpenError> {
        let opening = Opening {
            place: &place,
            options,
            cache: &cache,
        };
        let (handle, families) = runtime.block_on(opening.open())?;
        Ok(Self {
            place,
            options: options.clone(),
            handle,
            cache,
            families: RwLock::new(families),
            runtime,
        })
    }

    fn view(&self) -> View {
        match &self.handle {
            Handle::Writer(db) => View::Writer(db.clone()),
            Handle::Reader(reader) => View::Reader(Arc::clone(reader)),
        }
    }

    fn writer(&self) -> Option<&Db> {
        match &self.handle {
            Handle::Writer(db) => Some(db),
            Handle::Reader(_) => None,
        }
    }

    fn maintained(&self, operation: &'static str) -> Result<&Db, MaintenanceError> {
        self.writer()
            .ok_or(MaintenanceError::ReadOnly { operation })
    }

    /// Returns the prefix of the keys of a family.
    fn prefix(&self, family: &str) -> Result<Arc<[u8]>, UnknownColumnFamily> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        families.prefix(family)
    }

    /// Writes `writes`, the new value of each key, `None` to delete it. Waits until they are durable
    /// if the options say so.
    fn write(&self, writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<(), WriteError> {
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

    fn flush_as(
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

    fn unsupported(&self, operation: &'static str, instead: &'static str) -> MaintenanceError {
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

/// An attempt to open a database.
struct Opening<'a> {
    place: &'a ObjectPlace,
    options: &'a StorageOptions,
    cache: &'a Arc<dyn DbCache>,
}

impl Opening<'_> {
    async fn open(&self) -> Result<(Handle, Keyspace), OpenError> {
        let exists = self.exists().await?;
        if !exists && (self.options.read_only || !self.options.create_if_missing) {
            return Err(OpenError::Missing {
                path: self.place.path(),
            });
        }
        if !exists {
            self.refuse_files_of_others().await?;
        }
        if self.options.read_only {
            let reader = Arc::new(self.reader(DbReaderMode::ManagedCheckpoint).await?);
            let families = self.families(&View::Reader(Arc::clone(&reader))).await?;
            return Ok((Handle::Reader(reader), families));
        }
        if exists {
            // Before this handle ends the rights of another writer.
            let reader = Arc::new(self.reader(DbReaderMode::FollowLatest).await?);
            self.families(&View::Reader(Arc::clone(&reader))).await?;
            _ = reader.close().await;
        }
        let db = self.writer().await?;
        let families = self.create_families(&db).await?;
        Ok((Handle::Writer(db), families))
    }

    /// Returns whether there is a database.
    async fn exists(&self) -> Result<bool, OpenError> {
        let place = self.place;
        let admin = AdminBuilder::new(place.prefix.clone(), Arc::clone(&place.store)).build();
        // The administration has no limit of its own for a store that does not answer.
        let manifest =
            tokio::time::timeout(self.options.store_deadline(), admin.read_manifest(None));
        match manifest.await {
            Ok(Ok(manifest)) => Ok(manifest.is_some()),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.unavailable("no answer")),
        }
    }

    /// A new database is not mixed with objects that are there already.
    async fn refuse_files_of_others(&self) -> Result<(), OpenError> {
        let listed = self
            .place
            .store
            .list_with_delimiter(Some(&self.place.prefix))
            .await;
        let found = listed.map_err(|error| self.unavailable(&object_error(&error)))?;
        let objects = found.objects.into_iter().map(|object| object.location);
        let names: Vec<_> = found
            .common_prefixes
            .into_iter()
            .chain(objects)
            .filter_map(|path| path.filename().map(str::to_owned))
            // An interrupted creation may have left the folders of a database.
            .filter(|name| !["manifest", "wal", "compacted", "compactions"].contains(&&**name))
            .take(3)
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(OpenError::NotEmpty {
            path: self.place.path(),
            found: format!("`{}`", names.join("`, `")),
        })
    }

    async fn writer(&self) -> Result<Db, OpenError> {
        let options = self.options;
        let mut settings = Settings {
            flush_interval: Some(options.flush_interval),
            compression_codec: Some(CompressionCodec::Lz4),
            object_store_max_retries: Some(options.store_retries),
            ..Settings::default()
        };
        if options.memory_table_limit > 0 {
            settings.max_unflushed_bytes = options.memory_table_limit;
            settings.l0_sst_size_bytes = settings.l0_sst_size_bytes.min(options.memory_table_limit);
        }
        let place = self.place;
        Db::builder(place.prefix.clone(), Arc::clone(&place.store))
            .with_settings(settings)
            .with_db_cache(Arc::clone(self.cache), 0)
            .build()
            .await
            .map_err(|error| self.failed(&error))
    }

    async fn reader(&self, mode: DbReaderMode) -> Result<DbReader, OpenError> {
        let options = DbReaderOptions {
            manifest_poll_interval: READER_AGE,
            checkpoint_lifetime: 2 * READER_AGE + Duration::from_hours(1),
            object_store_max_retries: Some(self.options.store_retries),
            ..DbReaderOptions::default()
        };
        let place = self.place;
        DbReader::builder(place.prefix.clone(), Arc::clone(&place.store))
            .with_options(options)
            .with_reader_mode(mode)
            .with_db_cache(Arc::clone(self.cache), 0)
            .build()
            .await
            .map_err(|error| self.failed(&error))
    }

    /// Reads the column families, and rejects databases of other programs and of newer versions.
    async fn families(&self, view: &View) -> Result<Keyspace, OpenError> {
        let failed = |error| self.failed(&error);
        let families = Keyspace::read(view).await.map_err(failed)?;
        let format = keyspace::key(META, FORMAT_KEY);
        let recorded = view.get(&format).await.map_err(failed)?;
        let is_empty = recorded.is_none() && view.is_empty().await.map_err(failed)?;
        check_format(
            &self.place.path(),
            recorded.as_deref(),
            is_empty && !self.options.read_only,
        )?;
        Ok(families)
    }

    /// Creates the families that are missing and records the format, with one durable write.
    async fn create_families(&self, db: &Db) -> Result<Keyspace, OpenError> {
        let mut families = self.families(&View::Writer(db.clone())).await?;
        let mut batch = slatedb::WriteBatch::new();
        let names = self.options.column_families.iter().map(String::as_str);
        for name in names.chain([META]) {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(OpenError::Url {
                    url: self.place.url.clone(),
                    reason: format!(
                        "a column family has a name of {} bytes; choose one of 1 to {MAX_NAME} bytes",
                        name.len()
                    ),
                });
            }
            if families.add(name) {
                batch.put_with_options(keyspace::catalogue_key(name), [], &PutOptions::default());
            }
        }
        if batch.is_empty() {
            return Ok(families);
        }
        let version = super::column_families::FORMAT_VERSION.to_be_bytes();
        batch.put(keyspace::key(META, FORMAT_KEY), version);
        let written = async {
            let written = db.write(batch).await?;
            written.await_durable().await
        };
        written.await.map_err(|error| self.failed(&error))?;
        Ok(families)
    }

    fn failed(&self, error: &slatedb::Error) -> OpenError {
        OpenError::from_storage(self.place.path(), storage_error(error))
    }

    fn unavailable(&self, reason: &str) -> OpenError {
        let source = StorageError::new(NAME, StatusCode::Unavailable, reason.to_owned());
        OpenError::from_storage(self.place.path(), source)
    }
}

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

/// Converts SlateDB's error. Its messages have names of objects, and neither keys nor values.
fn storage_error(error: &slatedb::Error) -> StorageError {
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

/// Describes an error of the object store.
fn object_error(error: &object_store::Error) -> String {
    error.to_string()
}

impl ObjectPlace {
    /// Returns the URL as a path, for errors.
    fn path(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }
}

#[cfg(test)]
mod tests;
