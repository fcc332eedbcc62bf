//! The facade: tables of JSON entities. Python and the examples use it.
//!
//! It names and observes the operations on entities; those that write data are in
//! [`writes`](self::writes). The store, the schemas and the locks are in [`core`](self::core). Each
//! write reads the old record and writes the new one under the lock of the entity's id.

#[cfg(feature = "sql")]
pub(crate) mod among;
mod batch;
pub(crate) mod changes;
pub(crate) mod computed;
pub(crate) mod core;
mod entity_ref;
pub(crate) mod error;
mod export;
mod follower;
mod import;
pub(crate) mod nearest;
mod options;
mod pending;
mod schemas;
pub(crate) mod search;
mod slot;
mod stored;
pub(crate) mod supplied;
mod tasks;
mod vector_changes;
pub(crate) mod vector_scans;
pub(crate) mod vectors;
mod within;
mod writes;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

pub use self::batch::{Batch, Writes};
use self::changes::refuse_changed;
use self::core::{Core, Old};
pub use self::entity_ref::EntityRef;
pub use self::error::Error;
pub use self::export::ExportOptions;
pub use self::follower::Follower;
pub use self::import::options::{Existing, ImportOptions, OnError};
pub use self::import::report::{ImportReport, RowError};
pub use self::import::row::ImportRow;
pub use self::nearest::{Hit, SearchFilter};
pub use self::options::DatabaseOptions;
pub use self::pending::{EmbeddingStatus, RefusedField};
pub use self::schemas::{Mismatch, SchemaChange};
pub use self::supplied::Vectors;
pub use self::vectors::EmbeddingReport;
use crate::admin::indexing::IndexManager;
use crate::index;
use crate::schema::entity::{Entity, MalformedRecord, Record, RecordParts, Timestamp, field_value};
use crate::schema::{Schema, SchemaError};
use crate::storage::column_families::{ENTITIES, FIELD_INDEX, KEY_INDEX, RESOURCES};
use crate::storage::keys::{self, ValueRange};
use crate::storage::{Entry, ReadError, ScanRange, Snapshot, Storage};
use crate::{db_op, db_ops};

/// Tables of JSON entities in a directory, for one tenant. Clones share the database.
///
/// ```
/// use percolate_core::Database;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// db.register_schema("articles", &json!({
///     "properties": { "slug": { "type": "string" }, "year": { "type": "integer" } },
///     "key_field": "slug",
///     "indexed_fields": ["year"],
/// }))?;
/// let id = db.insert("articles", &json!({ "slug": "percolation", "year": 1957 }))?;
/// assert_eq!(db.lookup("articles", "percolation")?.map(|entity| entity.id), Some(id));
/// assert_eq!(db.find("articles", "year", 1950..1960)?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) core: Core,
}

/// How long [`Database::close`] waits.
pub const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

impl Database {
    /// Opens the database in the directory `path`. Creates it if there is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, DatabaseOptions::new())
    }

    /// Opens the database in the directory `path` with `options`.
    pub fn open_with(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Self, Error> {
        crate::otel::register_error_type::<Error>();
        let core = Core::open(path, options)?;
        if !core.storage().is_read_only() {
            core.finish_schema_changes()?;
        }
        Ok(Self { core })
    }

    /// Returns a handle of the current state of the directory, if this one was opened read-only: a
    /// read-only handle keeps the tables and entities that it found when it was opened, also if
    /// another process writes. Vector indexes in memory that are still current are shared. The clone
    /// of a handle that was opened for writing is returned, because it is current. A [`Follower`]
    /// calls this when it is read.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub fn refreshed(&self) -> Result<Self, Error> {
        Ok(Self {
            core: self.core.refreshed()?,
        })
    }

    /// Returns a handle of the same database for another tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: &str) -> Self {
        Self {
            core: self.core.for_tenant(tenant),
        }
    }

    /// Returns a handle of the same database that skips entities that cannot be decoded: in `scan`,
    /// `list`, `find`, `count`, searches and SQL. Other handles fail with
    /// [`Error::MalformedRecord`], which names the entity.
    ///
    /// Such entities come from damage, or from a version that did not limit the depth of data. They
    /// are counted and named by [`IndexManager::verify`], removed by [`delete`](Self::delete) and
    /// [`purge`](Self::purge), and replaced by [`upsert`](Self::upsert).
    #[must_use]
    pub fn skip_malformed(&self) -> Self {
        Self {
            core: self.core.skip_malformed(),
        }
    }

    /// Returns the tenant whose entities this handle sees.
    pub fn tenant(&self) -> &str {
        self.core.tenant()
    }

    /// Returns the underlying store.
    pub fn storage(&self) -> &Storage {
        self.core.storage()
    }

    /// Returns the manager that rebuilds and verifies this tenant's indexes.
    pub fn indexes(&self) -> IndexManager {
        IndexManager::over(self.core.clone())
    }

    /// Registers the schema of a table, or changes it. The module [`schema`](crate::schema) describes
    /// the keywords of percolate in it: `key_field`, `indexed_fields`, `embedding_fields`, and `embed`
    /// ([`Embed`](crate::schema::Embed)).
    ///
    /// A change of the indexed fields rebuilds the table's field indexes before this returns. A
    /// change of the embedded fields also removes the vectors of fields that are no longer embedded
    /// and marks the table's entities for embedding. If the stored schema cannot be read, both is
    /// done, and the ids of the entities show whether the key field is the same.
    ///
    /// If the rules for entities change, all entities of the table are checked, and those that do
    /// not match are reported. They stay as they are; the next write of each must match.
    ///
    /// # Errors
    ///
    /// [`SchemaError`](crate::schema::SchemaError) if the schema is invalid, is nested deeper than
    /// [`MAX_DEPTH`](crate::schema::MAX_DEPTH), uses a reserved name (`_id`, `_created_at`,
    /// `_updated_at`, `_vectors` or `_embedded_by`), or changes the key field of a table that has
    /// entities.
    pub fn register_schema(&self, table: &str, schema: &Value) -> Result<SchemaChange, Error> {
        self.core.register_schema(table, schema)
    }

    /// Returns the schema of a table.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`] if the table has no schema, [`Error::UnusableTable`] if it cannot be
    /// read.
    pub fn schema(&self, table: &str) -> Result<Arc<Schema>, Error> {
        self.core.schema(table)
    }

    /// Returns the names of the tables with a registered schema, sorted. They include the
    /// [`unusable_tables`](Self::unusable_tables).
    pub fn tables(&self) -> Vec<String> {
        self.core.all_tables()
    }

    /// Returns the tables whose stored schemas cannot be read, with the reasons. Their operations
    /// fail with [`Error::UnusableTable`] until a schema is registered; other tables are not
    /// affected.
    pub fn unusable_tables(&self) -> BTreeMap<String, SchemaError> {
        self.core.unusable_tables()
    }
}

/// Reads and deletions of entities, and of tables.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Removes a table: its schema, its entities, and everything derived from them. It is one write,
    /// and does not depend on the size of the table. The space is freed by compactions. A table
    /// whose schema cannot be read can be removed too.
    ///
    /// A query that is running reads the table to the end.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`] if there is no such table.
    #[db_op("drop_table", table, rows = none)]
    pub fn drop_table(&self, table: &str) -> Result<(), Error> {
        self.core.drop_table(table)
    }

    /// Returns the entity with this id or key.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key.
    pub fn get<'a>(
        &self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
    ) -> Result<Option<Entity>, Error> {
        self.get_entity(table, entity.into())
    }

    #[db_op(get, table)]
    fn get_entity(&self, table: &str, entity: EntityRef<'_>) -> Result<Option<Entity>, Error> {
        let schema = self.core.schema(table)?;
        let id = self.id_of(&schema, entity)?;
        let record = self.core.record(table, id)?;
        Ok(record.map(|record| record.into_entity(id)))
    }

    /// Returns the entities with these ids or keys, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key.
    pub fn get_batch<'a>(
        &self,
        table: &str,
        entities: impl IntoIterator<Item = impl Into<EntityRef<'a>>>,
    ) -> Result<Vec<Option<Entity>>, Error> {
        let entities: Vec<_> = entities.into_iter().map(Into::into).collect();
        self.get_entities(table, &entities)
    }

    #[db_op(multi_get, table, rows = |entities| entities.iter().flatten().count())]
    fn get_entities(
        &self,
        table: &str,
        entities: &[EntityRef<'_>],
    ) -> Result<Vec<Option<Entity>>, Error> {
        let schema = self.core.schema(table)?;
        let ids = entities
            .iter()
            .map(|entity| self.id_of(&schema, *entity))
            .collect::<Result<Vec<_>, _>>()?;
        let records = self.core.records(table, &ids)?.into_iter().zip(ids);
        Ok(records
            .map(|(record, id)| Some(record?.into_entity(id)))
            .collect())
    }

    /// Returns the entity whose key field has the value `key`.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if the table has no key field.
    #[db_op("lookup", table)]
    pub fn lookup(&self, table: &str, key: &str) -> Result<Option<Entity>, Error> {
        let schema = self.core.schema(table)?;
        require_key_field(&schema)?;
        let entry = self.storage().get(
            KEY_INDEX,
            keys::key_index_key(self.core.table_name(table), key),
        )?;
        let Some(id) = entry.as_deref().and_then(index::keys::owner) else {
            return Ok(None);
        };
        let record = self.core.record(table, id)?;
        Ok(record.map(|record| record.into_entity(id)))
    }

    /// Returns the entities whose indexed field is within `range`, ordered by that field.
    ///
    /// Values of another type than the bounds are not within the range: `0..` finds numbers and no
    /// texts. Without bounds, all values are found, null included.
    ///
    /// ```
    /// # use percolate_core::Database;
    /// # use serde_json::json;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({
    ///     "properties": { "title": { "type": "string" }, "year": { "type": "integer" } },
    ///     "indexed_fields": ["year", "title"],
    /// }))?;
    /// db.insert("articles", &json!({ "title": "b", "year": 2024 }))?;
    /// db.insert("articles", &json!({ "title": "a", "year": 2025 }))?;
    /// assert_eq!(db.find("articles", "year", 2025..)?.len(), 1);
    /// assert_eq!(db.find("articles", "title", "a"..="b")?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotIndexed`] if the field is not in the schema's `indexed_fields`.
    pub fn find<V>(
        &self,
        table: &str,
        field: &str,
        range: impl std::ops::RangeBounds<V>,
    ) -> Result<Vec<Entity>, Error>
    where
        V: Clone + Into<Value>,
    {
        let bound = |bound: Bound<&V>| bound.map(|value| value.clone().into());
        self.find_values(
            table,
            field,
            bound(range.start_bound()),
            bound(range.end_bound()),
        )
    }

    #[db_op("find", table)]
    fn find_values(
        &self,
        table: &str,
        field: &str,
        lower: Bound<Value>,
        upper: Bound<Value>,
    ) -> Result<Vec<Entity>, Error> {
        let ids = self.find_ids(table, field, lower, upper)?;
        let records = self.core.found_records(table, &ids)?.into_iter().zip(ids);
        Ok(records
            .filter_map(|(record, id)| Some(record?.into_entity(id)))
            .collect())
    }

    /// Returns the ids of the entities whose indexed field is within the bounds, ordered by that
    /// field.
    pub(crate) fn find_ids(
        &self,
        table: &str,
        field: &str,
        lower: Bound<Value>,
        upper: Bound<Value>,
    ) -> Result<Vec<Uuid>, Error> {
        let schema = self.core.schema(table)?;
        if !schema
            .indexed_fields()
            .iter()
            .any(|indexed| indexed == field)
        {
            return Err(Error::NotIndexed {
                table: table.to_owned(),
                field: field.to_owned(),
            });
        }
        let (lower, upper) = (
            lower.map(|value| field_value(Some(&value))),
            upper.map(|value| field_value(Some(&value))),
        );
        let (Some(lower), Some(upper)) = (transpose(lower), transpose(upper)) else {
            return Ok(Vec::new());
        };
        let table = self.core.table_name(table);
        let range = match ValueRange::between(lower.as_ref(), upper.as_ref()) {
            Some(values) if values.is_empty() => return Ok(Vec::new()),
            Some(values) => index::fields::value_range(table, field, &values),
            None => ScanRange::prefix(keys::field_prefix(table, field)),
        };
        let id = |entry: Result<_, ReadError>| {
            let (key, _): (Box<[u8]>, Box<[u8]>) = entry?;
            Ok(keys::parse_field_index_key(&key)?.1)
        };
        self.storage().scan(FIELD_INDEX, range)?.map(id).collect()
    }

    /// Iterates over the entities of a table, ordered by id. Entities are read as the iterator
    /// advances.
    ///
    /// An entity that cannot be decoded is an error between the other entities. An error of the store
    /// is the last item.
    #[db_op(scan, table, rows = stream)]
    pub fn scan<'db>(
        &'db self,
        table: &str,
    ) -> Result<impl Iterator<Item = Result<Entity, Error>> + use<'db>, Error> {
        self.core.schema(table)?;
        self.scan_after(table, None)
    }

    /// Returns at most `limit` entities of a table, ordered by id, starting after the id `after`.
    #[db_op("list", table)]
    pub fn list(
        &self,
        table: &str,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Entity>, Error> {
        self.core.schema(table)?;
        self.scan_after(table, after)?.take(limit).collect()
    }

    /// Returns the number of entities in a table.
    #[db_op("count", table, rows = none)]
    pub fn count(&self, table: &str) -> Result<usize, Error> {
        self.core.schema(table)?;
        if self.core.skips_malformed() {
            return self
                .scan_after(table, None)?
                .try_fold(0, |count, entity| entity.map(|_| count + 1));
        }
        let mut count = 0;
        for entry in self.storage().scan(
            ENTITIES,
            ScanRange::prefix(keys::table_prefix(self.core.table_name(table))),
        )? {
            let (key, value) = entry?;
            let parts = RecordParts::read(&value).map_err(|reason| malformed(&key, reason))?;
            count += usize::from(!parts.deleted);
        }
        Ok(count)
    }

    /// Marks an entity, named by id or key, as deleted. No read finds it any more; its data stays
    /// until [`purge`](Self::purge). Returns `true` if the entity existed.
    ///
    /// An entity that cannot be decoded is removed, as by [`purge`](Self::purge).
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key.
    pub fn delete<'a>(&self, table: &str, entity: impl Into<EntityRef<'a>>) -> Result<bool, Error> {
        self.delete_entity(table, entity.into(), None)
    }

    /// Like [`delete`](Self::delete), if the entity was not written after `seen`, its `updated_at`
    /// when it was read.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if it was, [`Error::NotFound`] if it does not exist, and those of
    /// [`delete`](Self::delete).
    pub fn delete_if_unchanged<'a>(
        &self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        seen: Timestamp,
    ) -> Result<(), Error> {
        self.delete_entity(table, entity.into(), Some(seen))
            .map(drop)
    }

    #[db_op(delete, table, affected_rows = |found| i64::from(*found), rows = none)]
    fn delete_entity(
        &self,
        table: &str,
        entity: EntityRef<'_>,
        seen: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let id = self.id_of(&schema, entity)?;
        let _lock = self.core.lock(id);
        let old = self.core.old(table, id)?;
        if let Some(seen) = seen
            && !matches!(old, Old::Malformed(..))
        {
            let live = changes::live(&schema, id, entity.key(), &old)?;
            refuse_changed(&schema, id, live, Some(seen))?;
        }
        self.core.delete(&schema, id, &old)
    }

    /// Removes an entity, named by id or key, and everything derived from it, whether it is marked
    /// as deleted or not. Returns `true` if the entity existed.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key.
    pub fn purge<'a>(&self, table: &str, entity: impl Into<EntityRef<'a>>) -> Result<bool, Error> {
        self.purge_entity(table, entity.into())
    }

    #[db_op("purge", table, affected_rows = |found| i64::from(*found), rows = none)]
    fn purge_entity(&self, table: &str, entity: EntityRef<'_>) -> Result<bool, Error> {
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let id = self.id_of(&schema, entity)?;
        let _lock = self.core.lock(id);
        let old = self.core.old(table, id)?;
        self.core.remove(&schema, id, &old)
    }
}

impl IndexManager {
    /// Creates a manager for the indexes of `database`'s tenant, as [`Database::indexes`] does.
    pub fn new(database: &Database) -> Self {
        Self::over(database.core.clone())
    }
}

impl Database {
    /// Stores bytes under an id. Replaces the bytes stored there before.
    pub fn store_resource(&self, id: &str, data: &[u8]) -> Result<(), Error> {
        Ok(self
            .storage()
            .put(RESOURCES, keys::resource_key(self.tenant(), id), data)?)
    }

    /// Returns the bytes stored under an id.
    pub fn load_resource(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .storage()
            .get(RESOURCES, keys::resource_key(self.tenant(), id))?)
    }

    /// Removes the bytes stored under an id. It is not an error if there are none.
    pub fn delete_resource(&self, id: &str) -> Result<(), Error> {
        Ok(self
            .storage()
            .delete(RESOURCES, keys::resource_key(self.tenant(), id))?)
    }

    /// Syncs the write-ahead log, so that everything written so far survives a power failure, and
    /// closes the files, unless there are other clones of the handle: the last one closes them. Waits
    /// for queries that were dropped to end, and at most for [`CLOSE_DEADLINE`].
    ///
    /// # Errors
    ///
    /// The errors of [`close_within`](Self::close_within).
    pub fn close(self) -> Result<(), Error> {
        self.close_within(CLOSE_DEADLINE)
    }

    /// Like [`close`](Self::close), and waits at most for `deadline`. RocksDB may wait for a disk that
    /// is full or does not answer.
    ///
    /// # Errors
    ///
    /// [`Error::CloseTimeout`] if it takes longer; [`MaintenanceError`](crate::storage::MaintenanceError)
    /// if the log cannot be synced.
    pub fn close_within(self, deadline: Duration) -> Result<(), Error> {
        let path = self.storage().path().to_owned();
        within::within(deadline, move || {
            let synced = if self.storage().is_read_only() {
                Ok(())
            } else {
                self.storage().flush_wal(true)
            };
            #[cfg(feature = "sql")]
            self.core.engine().threads().wait_for_dropped_queries();
            drop(self);
            synced.map_err(Error::from)
        })
        .unwrap_or(Err(Error::CloseTimeout { path, deadline }))
    }

    /// Returns the id of an entity. The id of a key is derived from it, so that the key index is not
    /// read.
    pub(super) fn id_of(&self, schema: &Schema, entity: EntityRef<'_>) -> Result<Uuid, Error> {
        match entity {
            EntityRef::Id(id) => Ok(id),
            EntityRef::Key(key) => {
                require_key_field(schema)?;
                Ok(self.core.id_of_key(schema.table(), key))
            }
        }
    }

    fn scan_after(&self, table: &str, after: Option<Uuid>) -> Result<EntityScan<'_>, Error> {
        let all = ScanRange::prefix(keys::table_prefix(self.core.table_name(table)));
        let range = match after {
            Some(id) => all.after(keys::entity_key(self.core.table_name(table), id)),
            None => all,
        };
        Ok(EntityScan {
            core: &self.core,
            entries: Box::new(self.storage().scan(ENTITIES, range)?),
            ended: false,
        })
    }

    /// Iterates over the entities of a table in a snapshot.
    fn scan_of<'s>(
        &'s self,
        snapshot: &'s Snapshot<'_>,
        table: &str,
    ) -> Result<EntityScan<'s>, Error> {
        let range = ScanRange::prefix(keys::table_prefix(self.core.table_name(table)));
        Ok(EntityScan {
            core: &self.core,
            entries: Box::new(snapshot.scan(ENTITIES, range)?),
            ended: false,
        })
    }
}

/// Iterates over the entities of a table. Ends after the first error of the store.
struct EntityScan<'db> {
    core: &'db Core,
    entries: Box<dyn Iterator<Item = Result<Entry, ReadError>> + 'db>,
    ended: bool,
}

impl Iterator for EntityScan<'_> {
    type Item = Result<Entity, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let (key, value) = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
            };
            let entity = self.core.skipping(decode_entity(&key, &value));
            if let Some(entity) = entity.transpose() {
                return Some(entity);
            }
        }
        None
    }
}

fn decode_entity(key: &[u8], value: &[u8]) -> Result<Option<Entity>, Error> {
    let record = Record::decode_live(value).map_err(|reason| malformed(key, reason))?;
    let Some(record) = record else {
        return Ok(None);
    };
    let (_, _, id) = keys::parse_entity_key(key)?;
    Ok(Some(record.into_entity(id)))
}

/// Returns the error of a record that cannot be decoded, with the name that its key contains.
fn malformed(key: &[u8], reason: MalformedRecord) -> Error {
    match keys::parse_entity_key(key) {
        Ok((_, table, id)) => Error::MalformedRecord { table, id, reason },
        Err(error) => error.into(),
    }
}

fn require_key_field(schema: &Schema) -> Result<(), Error> {
    match schema.key_field() {
        Some(_) => Ok(()),
        None => Err(Error::NoKeyField {
            table: schema.table().to_owned(),
        }),
    }
}

fn transpose<T>(bound: Bound<Option<T>>) -> Option<Bound<T>> {
    match bound {
        Bound::Included(value) => value.map(Bound::Included),
        Bound::Excluded(value) => value.map(Bound::Excluded),
        Bound::Unbounded => Some(Bound::Unbounded),
    }
}

#[cfg(test)]
mod tests;
