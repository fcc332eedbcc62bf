//! The handle that all other modules of the database are built on: the store, the schemas and the
//! locks, seen by one tenant.
//!
//! One write is one batch: the entity, its index entries, its vectors and its embedding mark reach the
//! disk together or not at all. The public operations are in [`database`](super), schema changes in
//! [`schemas`](super::schemas), vectors in [`vectors`](super::vectors). This module uses none of
//! them.
//!
//! Lock order: `steady`, then entity locks (in the order of their positions), then vector index
//! slots.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use uuid::Uuid;

use super::error::Error;
use super::options::DatabaseOptions;
use super::slot::Slot;
use crate::embeddings::BatchEmbedder;
use crate::index::{self, Indexed};
use crate::otel::carry;
use crate::progress::{OnProgress, Running};
#[cfg(feature = "sql")]
use crate::query::engine::Engine;
use crate::schema::entity::{MalformedRecord, Record, RecordParts, Timestamp};
use crate::schema::{Schema, SchemaError};
use crate::storage::column_families::{DATABASE, ENTITIES, FIELD_INDEX, KEY_INDEX, SCHEMAS};
use crate::storage::keys::{self, Table};
use crate::storage::{BatchWriter, ScanRange, Snapshot, Storage};

/// The namespace of ids that are derived from keys: version 5 UUIDs of the key's bytes in the key
/// index.
const ID_NAMESPACE: Uuid = Uuid::from_u128(0x8f1c_5a0e_6d0b_4c53_9a44_70e7_c0a7_e001);

/// The number of locks that the entities share.
const LOCKS: usize = 64;

/// Schemas by tenant, then by table. A stored schema that cannot be read makes its table unusable
/// and no other.
type Schemas = BTreeMap<Arc<str>, BTreeMap<String, Result<Arc<Schema>, SchemaError>>>;

/// An open database as one tenant sees it. Clones share the database.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    inner: Arc<CoreInner>,
    tenant: Arc<str>,
    skips_malformed: bool,
    on_index_progress: OnProgress,
}

/// The record that a write replaces.
#[derive(Debug)]
pub(super) enum Old {
    Absent,
    /// Deleted at this time.
    Deleted(Timestamp),
    Live(Record),
    /// The record cannot be decoded. The times are known if its header is intact.
    Malformed(MalformedRecord, Option<Times>),
}

/// The times of the first and the last write of an entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Old {
    fn decode(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else {
            return Self::Absent;
        };
        let parts = match RecordParts::read(bytes) {
            Ok(parts) if parts.deleted => return Self::Deleted(parts.updated_at),
            Ok(parts) => parts,
            Err(reason) => return Self::Malformed(reason, None),
        };
        let times = Times {
            created_at: parts.created_at,
            updated_at: parts.updated_at,
        };
        Record::from_parts(parts)
            .map_or_else(|reason| Self::Malformed(reason, Some(times)), Self::Live)
    }

    /// Returns the text of a field, `None` if there is none to embed.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        match self {
            Self::Live(record) => record.text_to_embed(field),
            Self::Absent | Self::Deleted(_) | Self::Malformed(..) => None,
        }
    }
}

#[derive(Debug)]
struct CoreInner {
    storage: Storage,
    schemas: RwLock<Schemas>,
    /// Read-locked while an entity is written, write-locked while a schema changes, so that no
    /// entity is written under the rules of a schema that has been replaced.
    steady: RwLock<()>,
    locks: [Mutex<()>; LOCKS],
    embedder: BatchEmbedder,
    /// The vector indexes in memory, by the key prefix of their field.
    slots: Mutex<HashMap<Vec<u8>, Arc<Slot>>>,
    #[cfg(feature = "sql")]
    engine: Engine,
}

impl CoreInner {
    /// Loads the schemas of a store.
    fn new(
        storage: Storage,
        embedder: BatchEmbedder,
        #[cfg(feature = "sql")] query_memory_limit: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            schemas: RwLock::new(load_schemas(&storage)?),
            storage,
            steady: RwLock::new(()),
            locks: std::array::from_fn(|_| Mutex::new(())),
            embedder,
            slots: Mutex::default(),
            #[cfg(feature = "sql")]
            engine: Engine::new(query_memory_limit),
        })
    }
}

impl Core {
    /// Opens the store and loads the schemas. Does not complete interrupted schema changes.
    pub(super) fn open(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Self, Error> {
        let mut storage = options.storage;
        storage.column_families.extend(DATABASE.map(str::to_owned));
        let storage = Storage::open(path, storage)?;
        let inner = CoreInner::new(
            storage,
            BatchEmbedder::new(options.provider),
            #[cfg(feature = "sql")]
            options.query_memory_limit,
        )?;
        Ok(Self {
            inner: Arc::new(inner),
            tenant: options.tenant.into(),
            skips_malformed: false,
            on_index_progress: OnProgress::default(),
        })
    }

    /// Returns a core over the current state of the directory. Vector indexes in memory that are
    /// current are shared with this one.
    pub(super) fn refreshed(&self) -> Result<Self, Error> {
        let storage = self.storage().refreshed()?;
        if !storage.is_read_only() {
            return Ok(self.clone());
        }
        let inner = CoreInner::new(
            storage,
            self.embedder().clone(),
            #[cfg(feature = "sql")]
            self.engine().memory_limit(),
        )?;
        let refreshed = Self {
            inner: Arc::new(inner),
            ..self.clone()
        };
        refreshed.share_indexes_of(self)?;
        Ok(refreshed)
    }

    /// Takes over the vector indexes in memory of `other` whose vectors have not changed.
    fn share_indexes_of(&self, other: &Self) -> Result<(), Error> {
        let loaded = other
            .inner
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let tenants: Vec<Arc<str>> = self.schemas().keys().cloned().collect();
        for tenant in tenants {
            let core = self.for_tenant(&tenant);
            for table in core.tables() {
                for field in core.schema(&table)?.embedding_fields() {
                    let name = core.index_name(&table, field);
                    let Some(slot) = loaded.get(&name) else {
                        continue;
                    };
                    let generation = slot.read().loaded().map(|loaded| loaded.generation);
                    if generation.is_some() && generation == core.generation(&table, field)? {
                        let mut slots = self.inner.slots.lock();
                        let slots = slots.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
                        slots.insert(name, Arc::clone(slot));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns a handle of the same database for another tenant.
    pub(super) fn for_tenant(&self, tenant: &str) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            tenant: tenant.into(),
            skips_malformed: self.skips_malformed,
            on_index_progress: self.on_index_progress.clone(),
        }
    }

    /// Returns a handle of the same database that skips entities that cannot be decoded.
    pub(super) fn skip_malformed(&self) -> Self {
        Self {
            skips_malformed: true,
            ..self.clone()
        }
    }

    /// Returns a handle of the same database that calls a function while it loads vector indexes.
    pub(super) fn on_index_progress(&self, report: OnProgress) -> Self {
        Self {
            on_index_progress: report,
            ..self.clone()
        }
    }

    /// Starts the clock of the loading of vector indexes.
    pub(super) fn index_progress(&self) -> Running {
        self.on_index_progress.start()
    }

    /// Returns whether reads of several entities skip those that cannot be decoded.
    pub(crate) fn skips_malformed(&self) -> bool {
        self.skips_malformed
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns the full name of a table of this tenant.
    pub(crate) fn table_name<'a>(&'a self, table: &'a str) -> Table<'a> {
        Table::new(&self.tenant, table)
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub(crate) fn embedder(&self) -> &BatchEmbedder {
        &self.inner.embedder
    }

    #[cfg(feature = "sql")]
    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Returns the place of the vector index whose field has this key prefix. Creates an empty one
    /// on first use.
    pub(super) fn slot(&self, prefix: Vec<u8>) -> Arc<Slot> {
        let mut slots = self
            .inner
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(prefix).or_default())
    }

    /// Returns the schema of a table, [`Error::UnknownTable`] or [`Error::UnusableTable`].
    pub(crate) fn schema(&self, table: &str) -> Result<Arc<Schema>, Error> {
        match self.find_schema(table) {
            Some(Ok(schema)) => Ok(schema),
            Some(Err(reason)) => Err(Error::UnusableTable {
                table: table.to_owned(),
                reason,
            }),
            None => Err(Error::UnknownTable {
                table: table.to_owned(),
                known: self.all_tables(),
            }),
        }
    }

    /// Returns the schema of a table, or why it cannot be read.
    pub(super) fn find_schema(&self, table: &str) -> Option<Result<Arc<Schema>, SchemaError>> {
        self.schemas().get(&self.tenant)?.get(table).cloned()
    }

    /// Returns the names of the tenant's tables, usable or not, sorted.
    pub(super) fn all_tables(&self) -> Vec<String> {
        let schemas = self.schemas();
        let mine = schemas.get(&self.tenant).into_iter().flatten();
        mine.map(|(table, _)| table.clone()).collect()
    }

    /// Returns the names of the tenant's usable tables, sorted.
    pub(crate) fn tables(&self) -> Vec<String> {
        let schemas = self.schemas();
        let mine = schemas.get(&self.tenant).into_iter().flatten();
        mine.filter(|(_, schema)| schema.is_ok())
            .map(|(table, _)| table.clone())
            .collect()
    }

    /// Returns the tenant's tables whose stored schemas cannot be read, with the reasons.
    pub(crate) fn unusable_tables(&self) -> BTreeMap<String, SchemaError> {
        let schemas = self.schemas();
        let mine = schemas.get(&self.tenant).into_iter().flatten();
        mine.filter_map(|(table, schema)| Some((table.clone(), schema.clone().err()?)))
            .collect()
    }

    /// Replaces the schema of a table in memory. The caller holds the guard of
    /// [`change_schemas`](Self::change_schemas).
    pub(super) fn set_schema(&self, table: &str, schema: Arc<Schema>) {
        self.inner
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(Arc::clone(&self.tenant))
            .or_default()
            .insert(table.to_owned(), Ok(schema));
    }

    /// Removes the schema of a table in memory. The caller holds the guard of
    /// [`change_schemas`](Self::change_schemas).
    pub(super) fn remove_schema(&self, table: &str) {
        let mut schemas = self
            .inner
            .schemas
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = schemas.get_mut(&self.tenant) {
            mine.remove(table);
        }
    }

    fn schemas(&self) -> RwLockReadGuard<'_, Schemas> {
        self.inner
            .schemas
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a snapshot of the store and the schemas that belong to it: a schema change is in
    /// both or in neither.
    #[cfg(feature = "sql")]
    pub(crate) fn snapshot(&self) -> (Snapshot<'_>, BTreeMap<String, Arc<Schema>>) {
        let _steady = self.steady();
        let schemas = self.schemas();
        let mine = schemas.get(&self.tenant).into_iter().flatten();
        (
            self.storage().snapshot(),
            mine.filter_map(|(table, schema)| Some((table.clone(), schema.clone().ok()?)))
                .collect(),
        )
    }

    /// Returns a snapshot of the store, and the schema of a table that belongs to it.
    pub(crate) fn snapshot_of(&self, table: &str) -> Result<(Snapshot<'_>, Arc<Schema>), Error> {
        let _steady = self.steady();
        Ok((self.storage().snapshot(), self.schema(table)?))
    }

    /// Blocks schema changes until the guard is dropped.
    pub(super) fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.inner
            .steady
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks writes of entities until the guard is dropped.
    pub(super) fn change_schemas(&self) -> RwLockWriteGuard<'_, ()> {
        self.inner
            .steady
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self, id: Uuid) -> MutexGuard<'_, ()> {
        self.lock_at(lock_of(id))
    }

    /// Locks several entities, always in the order of the locks, so that two callers cannot
    /// deadlock.
    pub(crate) fn lock_all(&self, ids: &[Uuid]) -> Vec<MutexGuard<'_, ()>> {
        let mut positions: Vec<usize> = ids.iter().map(|id| lock_of(*id)).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
            .into_iter()
            .map(|position| self.lock_at(position))
            .collect()
    }

    fn lock_at(&self, position: usize) -> MutexGuard<'_, ()> {
        // A lock guards no data of its own, so a poisoned one can be used.
        self.inner.locks[position]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the id that belongs to a key.
    pub(super) fn id_of_key(&self, table: &str, key: &str) -> Uuid {
        let name = keys::key_index_key(self.table_name(table), key);
        Uuid::new_v5(&ID_NAMESPACE, &name)
    }

    /// Returns what is stored under an id.
    pub(super) fn old(&self, table: &str, id: Uuid) -> Result<Old, Error> {
        let bytes = self
            .storage()
            .get(ENTITIES, keys::entity_key(self.table_name(table), id))?;
        Ok(Old::decode(bytes.as_deref()))
    }

    /// Returns what is stored under several ids, in the order of the ids.
    pub(super) fn old_batch(&self, table: &str, ids: &[Uuid]) -> Result<Vec<Old>, Error> {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| keys::entity_key(self.table_name(table), *id))
            .collect();
        let values = self.storage().multi_get(ENTITIES, &keys)?;
        Ok(values
            .iter()
            .map(|bytes| Old::decode(bytes.as_deref()))
            .collect())
    }

    /// Returns the record of an entity, `None` if it is deleted or does not exist.
    pub(super) fn record(&self, table: &str, id: Uuid) -> Result<Option<Record>, Error> {
        live(table, id, self.old(table, id)?)
    }

    /// Returns the records of several entities, in the order of the ids.
    pub(super) fn records(&self, table: &str, ids: &[Uuid]) -> Result<Vec<Option<Record>>, Error> {
        let old = self.old_batch(table, ids)?.into_iter().zip(ids);
        old.map(|(old, id)| live(table, *id, old)).collect()
    }

    /// Like [`records`](Self::records). An entity that cannot be decoded is `None` if this handle
    /// skips them.
    pub(super) fn found_records(
        &self,
        table: &str,
        ids: &[Uuid],
    ) -> Result<Vec<Option<Record>>, Error> {
        let old = self.old_batch(table, ids)?.into_iter().zip(ids);
        old.map(|(old, id)| self.skipping(live(table, *id, old)))
            .collect()
    }

    /// Replaces the error of an entity that cannot be decoded by `None`, if this handle skips them.
    pub(crate) fn skipping<T>(&self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        match read {
            Err(Error::MalformedRecord { .. }) if self.skips_malformed => Ok(None),
            read => read,
        }
    }

    /// Adds the record and the index entries that turn `old` into `new`.
    pub(super) fn add_to_batch(
        &self,
        batch: &mut BatchWriter<'_>,
        schema: &Schema,
        id: Uuid,
        old: &Old,
        new: &Record<&Value>,
    ) -> Result<(), Error> {
        batch.put(
            ENTITIES,
            keys::entity_key(self.table_name(schema.table()), id),
            new.encode(),
        )?;
        let before = self.old_entries(schema, id, old)?;
        Ok(index::change(
            batch,
            &before,
            &self.entries(schema, id, new),
        )?)
    }

    /// Returns the index entries of what is stored under an id.
    pub(super) fn old_entries(
        &self,
        schema: &Schema,
        id: Uuid,
        old: &Old,
    ) -> Result<Vec<index::IndexEntry>, Error> {
        match old {
            Old::Absent | Old::Deleted(_) => Ok(Vec::new()),
            Old::Live(record) => Ok(self.entries(schema, id, record)),
            Old::Malformed(..) => self.stored_entries(schema.table(), id),
        }
    }

    /// Reads all index entries of a table and returns those of an entity. The entries of an entity
    /// that cannot be decoded are not known otherwise.
    fn stored_entries(&self, table: &str, id: Uuid) -> Result<Vec<index::IndexEntry>, Error> {
        let mut entries = Vec::new();
        for family in [KEY_INDEX, FIELD_INDEX] {
            let range = ScanRange::prefix(keys::table_prefix(self.table_name(table)));
            for entry in self.storage().scan(family, range)? {
                let (key, value) = entry?;
                let owner = if family == KEY_INDEX {
                    index::keys::owner(&value)
                } else {
                    keys::parse_field_index_key(&key).ok().map(|(_, id)| id)
                };
                if owner == Some(id) {
                    let (key, value) = (key.into_vec(), value.into_vec());
                    entries.push(index::IndexEntry { family, key, value });
                }
            }
        }
        Ok(entries)
    }

    /// Returns the index entries of a record. A deleted record has none.
    fn entries(
        &self,
        schema: &Schema,
        id: Uuid,
        record: &Record<impl Borrow<Value>>,
    ) -> Vec<index::IndexEntry> {
        if record.deleted {
            return Vec::new();
        }
        index::entries(Indexed {
            tenant: &self.tenant,
            schema,
            id,
            data: record.data.borrow(),
        })
    }

    /// Runs blocking work on tokio's blocking pool, in the current context. Outside a tokio
    /// runtime, runs it on the current thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return work(self);
        }
        let core = self.clone();
        match tokio::task::spawn_blocking(carry(move || work(&core))).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::ShuttingDown),
            },
        }
    }
}

fn lock_of(id: Uuid) -> usize {
    usize::from(id.as_bytes()[15]) % LOCKS
}

/// Returns the record of an entity, or the error if it cannot be decoded.
fn live(table: &str, id: Uuid, old: Old) -> Result<Option<Record>, Error> {
    match old {
        Old::Absent | Old::Deleted(_) => Ok(None),
        Old::Live(record) => Ok(Some(record)),
        Old::Malformed(reason, _) => Err(Error::MalformedRecord {
            table: table.to_owned(),
            id,
            reason,
        }),
    }
}

fn load_schemas(storage: &Storage) -> Result<Schemas, Error> {
    let mut schemas = Schemas::new();
    for entry in storage.scan(SCHEMAS, ScanRange::all())? {
        let (key, source) = entry?;
        let (tenant, table) = keys::parse_schema_key(&key)?;
        let source = serde_json::from_slice(&source).map_err(|error| SchemaError::Invalid {
            table: table.clone(),
            reason: error.to_string(),
        });
        // Older versions did not limit the depth.
        let schema = source.and_then(|source| Schema::compile(&table, source));
        schemas
            .entry(tenant.into())
            .or_default()
            .insert(table, schema.map(Arc::new));
    }
    Ok(schemas)
}
