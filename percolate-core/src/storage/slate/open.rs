//! Opening SlateDB: the checks before, the writer or the reader, and the column families.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use futures_util::TryStreamExt as _;
use slatedb::config::{CompressionCodec, DbReaderOptions, Settings};
use slatedb::db_cache::DbCache;
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::object_store;
use slatedb::{CompactorBuilder, Db, DbReader, DbReaderMode};

use super::NAME;
use super::claim::{CLAIMS, Claimed, Epochs, Scheduler};
use super::figures::Figures;
use super::keyspace::{self, Keyspace, MAX_NAME};
use super::note::{Note, ReaderClock};
use super::place::ObjectPlace;
use super::refused::{Reason, Refused};
use super::runtime::Blocking;
use super::store::{
    Handle, SlateEngine, flush_log, is_fenced, is_overtaken, refusal, storage_error, unfinished,
};
use super::view::View;
use crate::storage::column_families::{FORMAT_KEY, FORMAT_VERSION, META, check_format};
use crate::storage::error::{OpenError, StatusCode, StorageError};
use crate::storage::options::StorageOptions;

/// The smallest limit of the memory tables together.
const SMALLEST_LIMIT: usize = 64 << 10;

impl SlateEngine {
    /// Opens the database at `place`, or creates it if the options allow that.
    pub(in crate::storage) fn open(
        place: ObjectPlace,
        options: &StorageOptions,
    ) -> Result<Self, OpenError> {
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

    pub(super) fn open_with(
        place: ObjectPlace,
        options: &StorageOptions,
        cache: Arc<dyn DbCache>,
        runtime: Arc<Blocking>,
    ) -> Result<Self, OpenError> {
        let figures = Arc::new(Figures::default());
        let opening = Opening {
            place: &place,
            options,
            cache: &cache,
            figures: &figures,
        };
        let (handle, families) = runtime.block_on(opening.open())?;
        Ok(Self {
            place,
            options: options.clone(),
            handle,
            cache,
            families: RwLock::new(families),
            creating: Mutex::new(()),
            is_failure_logged: AtomicBool::new(false),
            runtime,
            figures,
        })
    }
}

/// An attempt to open a database.
struct Opening<'a> {
    place: &'a ObjectPlace,
    options: &'a StorageOptions,
    cache: &'a Arc<dyn DbCache>,
    figures: &'a Arc<Figures>,
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
            let note = Note::of(&reader, self.place, self.options.note_lifetime);
            return Ok((Handle::Reader(reader, note), families));
        }
        let db = self.writer(exists).await?;
        let families = self.create_families(&db).await?;
        Ok((Handle::Writer(db), families))
    }

    /// Returns whether there is a database: a list of its files, in any version.
    async fn exists(&self) -> Result<bool, OpenError> {
        let place = self.place;
        let folder = place.file("manifest");
        self.answer(|| {
            let mut listed = place.store.list(Some(&folder));
            async move {
                while let Some(object) = listed.try_next().await? {
                    if object.location.extension() == Some("manifest") {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        })
        .await
    }

    /// A new database is not mixed with objects that are there already.
    async fn refuse_files_of_others(&self) -> Result<(), OpenError> {
        let place = self.place;
        let list = || place.store.list_with_delimiter(Some(&place.prefix));
        let found = self.answer(list).await?;
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

    /// Opens the database for writing, or creates it. Of several openings at the same time, exactly one
    /// claims it after what they have found. The others fail, and do not disturb it.
    async fn writer(&self, exists: bool) -> Result<Db, OpenError> {
        let mut found = if exists {
            self.found().await?
        } else {
            Epochs::default()
        };
        let mut attempt = 1;
        loop {
            let claimed = Arc::new(Claimed::default());
            let error = match self.claim(found, &claimed).await {
                Ok(db) => return Ok(db),
                Err(error) if attempt < CLAIMS && is_fenced(&error) => error,
                Err(error) => return Err(self.failed(&error)),
            };
            attempt += 1;
            if claimed.is_writer() {
                let now = self.found().await?;
                if now.writer != found.writer + 1 {
                    return Err(self.failed(&error));
                }
                // An opening that lost the claim of the writer had that of the compaction.
                found = now;
            } else if !is_overtaken(&error) {
                return Err(self.failed(&error));
            }
            // Else another opening has created the list of files, which is to be claimed.
        }
    }

    /// Checks the database that exists, before this opening ends the rights of another writer. Returns
    /// its epochs.
    async fn found(&self) -> Result<Epochs, OpenError> {
        let reader = Arc::new(self.reader(DbReaderMode::FollowLatest).await?);
        let epochs = reader.manifest().into();
        self.families(&View::Reader(Arc::clone(&reader))).await?;
        _ = reader.close().await;
        Ok(epochs)
    }

    /// Opens the database for writing, if its epochs are still those that were found.
    async fn claim(&self, found: Epochs, claimed: &Arc<Claimed>) -> Result<Db, slatedb::Error> {
        let options = self.options;
        let mut settings = Settings {
            flush_interval: Some(options.flush_interval),
            compression_codec: Some(CompressionCodec::Lz4),
            object_store_max_retries: Some(options.store_retries),
            ..Settings::default()
        };
        if options.memory_table_limit > 0 {
            // SlateDB needs room for more than one table.
            let limit = options.memory_table_limit.max(SMALLEST_LIMIT);
            settings.max_unflushed_bytes = limit;
            settings.l0_sst_size_bytes = settings.l0_sst_size_bytes.min(limit / 2);
        }
        let place = self.place;
        let compactor = CompactorBuilder::new(place.prefix.clone(), Arc::clone(&place.store))
            .with_options(settings.compactor_options.take().unwrap_or_default())
            .with_scheduler_supplier(Arc::new(Scheduler(Arc::clone(claimed))))
            .with_expected_epoch(found.compaction);
        Db::builder(place.prefix.clone(), Arc::clone(&place.store))
            .with_settings(settings)
            .with_expected_epoch(found.writer)
            .with_compactor_builder(compactor)
            .with_db_cache(Arc::clone(self.cache), 0)
            .with_metrics_recorder(Arc::clone(self.figures) as Arc<_>)
            .build()
            .await
    }

    async fn reader(&self, mode: DbReaderMode) -> Result<DbReader, OpenError> {
        let options = DbReaderOptions {
            // It is not used, and may not be longer.
            manifest_poll_interval: self.options.note_lifetime / 2,
            checkpoint_lifetime: self.options.note_lifetime,
            object_store_max_retries: Some(self.options.store_retries),
            ..DbReaderOptions::default()
        };
        let place = self.place;
        DbReader::builder(place.prefix.clone(), Arc::clone(&place.store))
            .with_options(options)
            .with_system_clock(Arc::new(ReaderClock::default()))
            .with_reader_mode(mode)
            .with_db_cache(Arc::clone(self.cache), 0)
            .with_metrics_recorder(Arc::clone(self.figures) as Arc<_>)
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
            if !keyspace::is_name(name) {
                return Err(OpenError::Url {
                    url: self.place.url.clone(),
                    reason: format!(
                        "a column family has a name of {} bytes; choose one of 1 to {MAX_NAME} bytes",
                        name.len()
                    ),
                });
            }
            if families.add(name) {
                batch.put(keyspace::catalogue_key(name), []);
            }
        }
        if batch.is_empty() {
            return Ok(families);
        }
        let version = FORMAT_VERSION.to_be_bytes();
        batch.put(keyspace::key(META, FORMAT_KEY), version);
        let written = async {
            db.write(batch).await?;
            flush_log(db).await
        };
        written.await.map_err(|error| self.failed(&error))?;
        Ok(families)
    }

    /// Returns the answer to a request to the object store.
    async fn answer<T, R>(&self, request: impl Fn() -> R) -> Result<T, OpenError>
    where
        R: Future<Output = object_store::Result<T>>,
    {
        let deadline = self.options.store_deadline();
        let answer = tokio::time::timeout(deadline, self.place.request(request));
        let path = self.place.path();
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if let Some(refused) = Refused::find(&error) {
                    return Err(self.refused(refused));
                }
                let code = StatusCode::Unavailable;
                let source = StorageError::new(NAME, code, self.place.describe(&error));
                Err(OpenError::from_storage(path, source))
            }
            Err(_) => Err(OpenError::from_storage(path, unfinished(deadline))),
        }
    }

    fn failed(&self, error: &slatedb::Error) -> OpenError {
        match Refused::find(error) {
            Some(refused) => self.refused(refused),
            None => OpenError::from_storage(self.place.path(), storage_error(self.place, error)),
        }
    }

    /// Returns the error for a request that the object store refuses for good.
    fn refused(&self, refused: &Refused) -> OpenError {
        let path = self.place.path();
        let source = refusal(self.place, refused);
        match (refused.reason(), &self.place.bucket, refused.of_system()) {
            (Reason::Denied | Reason::NoCredentials, ..) => OpenError::Denied {
                path,
                source: Box::new(source),
            },
            (Reason::NoBucket, Some(bucket), _) => OpenError::NoBucket {
                path,
                bucket: bucket.clone(),
                source,
            },
            (Reason::OtherRegion, ..) => OpenError::OtherRegion { path, source },
            (Reason::Path, ..) if self.place.is_file() => OpenError::NotADirectory { path },
            (Reason::Path, _, Some(source)) => OpenError::Path { path, source },
            _ => OpenError::from_storage(path, source),
        }
    }
}
