//! Several writes to any tables as one atomic write.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::Database;
use super::changes::{Change, Changes, Target};
use super::computed::Computed;
use super::entity_ref::EntityRef;
use super::error::Error;
use super::supplied::Vectors;
use crate::schema::entity::Timestamp;
use crate::{db_op, db_ops};

/// Collects writes to any tables of a database and commits them atomically. Nothing is written
/// before [`commit`](Self::commit); dropping the batch discards the writes.
///
/// The data of each write is checked when it is added. Whether the entities exist is checked by the
/// commit, in the order of the writes: a later write sees the earlier ones.
///
/// ```
/// use percolate_core::Database;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// db.register_schema("articles", &json!({ "key_field": "slug" }))?;
/// db.register_schema("authors", &json!({ "key_field": "name" }))?;
/// let mut batch = db.batch();
/// batch.insert("authors", &json!({ "name": "hammersley", "articles": 1 }))?;
/// batch.insert("articles", &json!({ "slug": "percolation", "author": "hammersley" }))?;
/// batch.update("authors", "hammersley", &json!({ "articles": 2 }))?;
/// batch.commit()?;
/// assert_eq!(db.count("articles")?, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    database: Database,
    writes: Vec<(Target, Change)>,
}

/// The writes of a [`Batch`] without a handle of the database, so that it can be closed meanwhile.
#[derive(Default)]
pub struct Writes {
    /// The tenant whose tables are written. `None` without writes.
    tenant: Option<Arc<str>>,
    writes: Vec<(Target, Change)>,
}

impl Writes {
    /// Returns the number of writes.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Returns whether there are no writes.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

impl std::fmt::Debug for Writes {
    /// Prints the count only: the writes are the user's data.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Writes")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Batch {
    /// Prints counts only: the writes are the user's data.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Batch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Creates an empty batch of writes to the tables of this tenant.
    pub fn batch(&self) -> Batch {
        Batch {
            database: self.clone(),
            writes: Vec::new(),
        }
    }

    /// Creates a batch with the writes of another one.
    ///
    /// # Errors
    ///
    /// [`Error::OtherTenant`] if the writes are to tables of another tenant.
    pub fn batch_of(&self, writes: Writes) -> Result<Batch, Error> {
        match writes.tenant {
            Some(tenant) if *tenant != *self.core.tenant() => Err(Error::OtherTenant {
                tenant: self.core.tenant().to_owned(),
                other: tenant.as_ref().to_owned(),
            }),
            _ => Ok(Batch {
                database: self.clone(),
                writes: writes.writes,
            }),
        }
    }
}

impl Batch {
    /// Adds the insertion of an entity, as [`Database::insert`] does it, and returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`] or [`Error::UnusableTable`]; [`Error::Entity`] if the data does not
    /// match the schema. The batch is unchanged.
    pub fn insert(&mut self, table: &str, data: &Value) -> Result<Uuid, Error> {
        self.insert_with_vectors(table, data, Vectors::new())
    }

    /// Adds the insertion of an entity with vectors, as [`Database::insert_with_vectors`] does it,
    /// and returns its id. A later write of the batch that changes the text of a field removes its
    /// vector.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbeddedField`] or [`Error::Vector`] for the vectors, and those of
    /// [`insert`](Self::insert). The batch is unchanged.
    pub fn insert_with_vectors(
        &mut self,
        table: &str,
        data: &Value,
        vectors: Vectors,
    ) -> Result<Uuid, Error> {
        let schema = self.database.core.schema(table)?;
        let prepared = self.database.prepare(&schema, data, Cow::Owned(vectors))?;
        let id = prepared.named.unwrap_or_else(Uuid::now_v7);
        let (data, vectors) = prepared.into_owned();
        self.add(Target::of(schema, id), Change::Insert(data, vectors));
        Ok(id)
    }

    /// Adds the insertion of an entity, or the replacement of its data, as [`Database::upsert`]
    /// does it. Returns the id.
    ///
    /// # Errors
    ///
    /// [`Error::NoIdentity`], and those of [`insert`](Self::insert). The batch is unchanged.
    pub fn upsert(&mut self, table: &str, data: &Value) -> Result<Uuid, Error> {
        self.upsert_with_vectors(table, data, Vectors::new())
    }

    /// Adds the insertion or the replacement of an entity with vectors, as
    /// [`Database::upsert_with_vectors`] does it. Returns the id.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbeddedField`] or [`Error::Vector`] for the vectors, and those of
    /// [`upsert`](Self::upsert). The batch is unchanged.
    pub fn upsert_with_vectors(
        &mut self,
        table: &str,
        data: &Value,
        vectors: Vectors,
    ) -> Result<Uuid, Error> {
        let schema = self.database.core.schema(table)?;
        let prepared = self.database.prepare(&schema, data, Cow::Owned(vectors))?;
        let id = prepared.named.ok_or_else(|| Error::NoIdentity {
            table: table.to_owned(),
        })?;
        let (data, vectors) = prepared.into_owned();
        self.add(Target::of(schema, id), Change::Upsert(data, vectors));
        Ok(id)
    }

    /// Adds a change of the fields of an entity, named by id or key, as [`Database::update`] does
    /// it. Returns the id.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key; [`Error::Entity`] if `changes`
    /// is not an object or has the `_id` of another entity. The batch is unchanged.
    pub fn update<'a>(
        &mut self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
    ) -> Result<Uuid, Error> {
        self.update_with_vectors(table, entity, changes, Vectors::new(), None)
    }

    /// Like [`update`](Self::update). The commit fails with [`Error::Changed`] if the entity was
    /// written after `seen`, its `updated_at` when it was read.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update).
    pub fn update_if_unchanged<'a>(
        &mut self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
        seen: Timestamp,
    ) -> Result<Uuid, Error> {
        self.update_with_vectors(table, entity, changes, Vectors::new(), Some(seen))
    }

    /// Adds a change of the fields of an entity with vectors, as [`Database::update_with_vectors`]
    /// does it. Returns the id.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbeddedField`] or [`Error::Vector`] for the vectors, and those of
    /// [`update`](Self::update). The batch is unchanged.
    pub fn update_with_vectors<'a>(
        &mut self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
        vectors: Vectors,
        seen: Option<Timestamp>,
    ) -> Result<Uuid, Error> {
        let target = self.database.target(table, entity.into())?;
        let database = &self.database;
        let vectors = Cow::Owned(vectors);
        let (changes, vectors) =
            database.changes_of(&target.schema, target.id, changes, vectors)?;
        let change = Change::Update(changes.into_owned(), vectors.into_owned());
        Ok(self.add(Target { seen, ..target }, change))
    }

    /// Adds the deletion of an entity, named by id or key, as [`Database::delete`] does it. Deleting
    /// an entity that does not exist succeeds. Returns the id.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyField`] if a table without keys is given a key.
    pub fn delete<'a>(
        &mut self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
    ) -> Result<Uuid, Error> {
        let target = self.database.target(table, entity.into())?;
        Ok(self.add(target, Change::Delete))
    }

    /// Like [`delete`](Self::delete). The commit fails with [`Error::Changed`] if the entity was
    /// written after `seen`, and with [`Error::NotFound`] if it does not exist.
    ///
    /// # Errors
    ///
    /// Those of [`delete`](Self::delete).
    pub fn delete_if_unchanged<'a>(
        &mut self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        seen: Timestamp,
    ) -> Result<Uuid, Error> {
        let target = self.database.target(table, entity.into())?;
        Ok(self.add(target.seen(seen), Change::Delete))
    }

    /// Returns the number of writes.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Returns whether the batch has no writes.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes all or nothing. Returns the number of writes.
    ///
    /// # Errors
    ///
    /// [`Error::InBatch`] with the index of the first write that cannot be done, and its error:
    /// [`Error::Exists`] for an insertion, [`Error::NotFound`], [`Error::KeyChanged`],
    /// [`Error::Entity`] or [`Error::MalformedRecord`] for an update, [`Error::Changed`] for a write
    /// that depends on what was seen. Nothing was written.
    pub fn commit(self) -> Result<usize, Error> {
        self.database.commit_batch(&self.writes)
    }

    /// Returns the writes.
    pub fn into_writes(self) -> Writes {
        Writes {
            tenant: (!self.writes.is_empty()).then(|| self.database.core.tenant().into()),
            writes: self.writes,
        }
    }

    fn add(&mut self, target: Target, change: Change) -> Uuid {
        let id = target.id;
        self.writes.push((target, change));
        id
    }
}

#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    #[db_op(batch_write, batch_size = writes.len(), affected_rows = writes.len(), rows = none)]
    fn commit_batch(&self, writes: &[(Target, Change)]) -> Result<usize, Error> {
        self.core
            .with_vectors(|computed| self.try_commit(writes, computed))?;
        Ok(writes.len())
    }
}

impl Database {
    fn try_commit(&self, writes: &[(Target, Change)], computed: &Computed) -> Result<(), Error> {
        let _steady = self.core.steady();
        let in_batch = |index: usize, error: Error| {
            let (target, change) = &writes[index];
            let key = match change {
                Change::Insert(data, _) | Change::Upsert(data, _) => {
                    target.schema.key_of(data).ok().flatten()
                }
                Change::Update(..) | Change::Delete => target.key.clone(),
            };
            Error::InBatch {
                index,
                key,
                error: Box::new(error),
            }
        };
        let ids: Vec<_> = writes.iter().map(|(target, _)| target.id).collect();
        let _locks = self.core.lock_all(&ids);
        let mut changes = Changes::new(&self.core, computed);
        for (index, (target, change)) in writes.iter().enumerate() {
            self.follow_schema(target, change)
                .and_then(|target| changes.apply(&target, change))
                .map_err(|error| in_batch(index, error))?;
        }
        changes.commit()
    }

    /// Returns the target under the current schema of its table. Data and vectors are
    /// checked again if the schema has changed.
    fn follow_schema(&self, target: &Target, change: &Change) -> Result<Target, Error> {
        let schema = self.core.schema(target.schema.table())?;
        if !Arc::ptr_eq(&schema, &target.schema) {
            if let Change::Insert(data, _) | Change::Upsert(data, _) = change {
                let prepared = self.prepare(&schema, data, Cow::default())?;
                super::writes::refuse_other_id(&schema, prepared.named, target.id)?;
            }
            self.core.check_supplied(&schema, &change.vectors())?;
        }
        Ok(Target {
            schema,
            ..target.clone()
        })
    }

    /// Returns an existing entity to change.
    fn target(&self, table: &str, entity: EntityRef<'_>) -> Result<Target, Error> {
        let schema = self.core.schema(table)?;
        let id = self.id_of(&schema, entity)?;
        Ok(Target {
            key: entity.key().map(str::to_owned),
            ..Target::of(schema, id)
        })
    }
}
