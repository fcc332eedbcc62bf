//! Writes of single entities, and of several in one table: insertions, replacements and updates.
//!
//! Each reads the old records and writes the new ones under the locks of the entities' ids. Writes to
//! several tables are in [`batch`](super::batch).

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::Database;
use super::changes::{self, EntityWrite, data_record, refuse_changed, refuse_existing};
use super::computed::Computed;
use super::core::Old;
use super::entity_ref::EntityRef;
use super::error::Error;
use super::supplied::Vectors;
use super::vector_changes::VectorChanges;
use crate::schema::entity::{Entity, Record, Timestamp};
use crate::schema::system::Written;
use crate::schema::{EntityError, Schema};
use crate::{db_op, db_ops};

/// Writes of entities.
///
/// An entity that was read can be written back. In the data of a write, `_id` names the entity,
/// `_vectors` and `_embedded_by` are its [`Vectors`], and `_created_at` and `_updated_at` are ignored.
/// With a key field, `_id` must be the id of the key. A system field that is null is ignored.
#[db_ops(system = self.storage().system(), namespace = self.storage().namespace(), server_address = self.storage().server_address())]
impl Database {
    /// Inserts an entity and returns its id. If the table has a key field, the id is derived from
    /// the key, so that equal keys always have equal ids. Otherwise it is the `_id` in the data, or
    /// a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if an entity has the same key or id, also if it cannot be decoded;
    /// [`Error::Entity`] if the data does not match the schema, is nested deeper than
    /// [`MAX_DEPTH`](crate::schema::MAX_DEPTH), or has an `_id` that is not a UUID or belongs to
    /// another key; those of [`insert_with_vectors`](Self::insert_with_vectors) if the data has
    /// `_vectors`.
    #[db_op("insert", table, affected_rows = 1)]
    pub fn insert(&self, table: &str, data: &Value) -> Result<Uuid, Error> {
        self.insert_entity(table, data, &Vectors::new())
    }

    /// Like [`insert`](Self::insert), with vectors of embedded fields, which are stored in the same
    /// atomic write. [`Vectors`] describes how long they stay.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmbeddedField`] if a field is not embedded; [`Error::Vector`] if a vector has
    /// another length than the provider's, is all zeros, or contains NaN or an infinity; and those
    /// of [`insert`](Self::insert). Nothing is written then.
    #[db_op("insert", table, affected_rows = 1)]
    pub fn insert_with_vectors(
        &self,
        table: &str,
        data: &Value,
        vectors: &Vectors,
    ) -> Result<Uuid, Error> {
        self.insert_entity(table, data, vectors)
    }

    /// Inserts an entity, or replaces the data of the entity with the same key, also if that cannot
    /// be decoded. If the table has no key field, the `_id` in the data names the entity. Returns
    /// the id.
    ///
    /// # Errors
    ///
    /// [`Error::NoIdentity`] if the table has no key field and the data no `_id`; [`Error::Entity`]
    /// as for [`insert`](Self::insert).
    #[db_op("upsert", table, affected_rows = 1)]
    pub fn upsert(&self, table: &str, data: &Value) -> Result<Uuid, Error> {
        self.upsert_entity(table, data, &Vectors::new())
    }

    /// Like [`upsert`](Self::upsert), with vectors of embedded fields, as for
    /// [`insert_with_vectors`](Self::insert_with_vectors).
    ///
    /// # Errors
    ///
    /// Those of [`insert_with_vectors`](Self::insert_with_vectors) for the vectors, and those of
    /// [`upsert`](Self::upsert).
    #[db_op("upsert", table, affected_rows = 1)]
    pub fn upsert_with_vectors(
        &self,
        table: &str,
        data: &Value,
        vectors: &Vectors,
    ) -> Result<Uuid, Error> {
        self.upsert_entity(table, data, vectors)
    }

    /// Inserts several entities, all or none. Returns their ids in order.
    ///
    /// # Errors
    ///
    /// [`Error::InBatch`] with the index and the key of the first entity that cannot be written, and
    /// its error: one of [`insert`](Self::insert), or [`Error::Repeated`] if an earlier entity of the
    /// batch has the same key or id.
    #[db_op("insert", table, batch_size = data.len(), affected_rows = data.len(), rows = none)]
    pub fn insert_batch(&self, table: &str, data: &[Value]) -> Result<Vec<Uuid>, Error> {
        self.insert_entities(table, data, &[])
    }

    /// Like [`insert_batch`](Self::insert_batch), with the vectors of each entity, as for
    /// [`insert_with_vectors`](Self::insert_with_vectors).
    ///
    /// # Errors
    ///
    /// [`Error::InBatch`] with the index and the key of the first entity that cannot be written, and
    /// its error: one of [`insert_with_vectors`](Self::insert_with_vectors), or [`Error::Repeated`].
    #[db_op("insert", table, batch_size = entities.len(), affected_rows = entities.len(), rows = none)]
    pub fn insert_batch_with_vectors(
        &self,
        table: &str,
        entities: &[(Value, Vectors)],
    ) -> Result<Vec<Uuid>, Error> {
        let (data, vectors): (Vec<Value>, Vec<Vectors>) = entities.iter().cloned().unzip();
        self.insert_entities(table, &data, &vectors)
    }

    /// Replaces the fields of an entity, named by id or key, that are in `changes`, a JSON object.
    /// Returns the changed entity.
    ///
    /// A null is stored if the schema names null among the types of the field. Otherwise it removes
    /// the field.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such entity, [`Error::NoKeyField`] if a table without keys
    /// is given a key, [`Error::KeyChanged`] if its key would change, [`Error::Entity`] if the
    /// result does not match the schema, is nested deeper than
    /// [`MAX_DEPTH`](crate::schema::MAX_DEPTH), or `changes` has the `_id` of another entity.
    pub fn update<'a>(
        &self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
    ) -> Result<Entity, Error> {
        self.update_entity(table, entity.into(), changes, &Vectors::new(), None)
    }

    /// Like [`update`](Self::update), if the entity was not written after `seen`, its `updated_at`
    /// when it was read. Each write of an entity has a later time than the one before.
    ///
    /// ```
    /// use percolate_core::{Database, Error};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Database::open(dir.path())?;
    /// db.register_schema("articles", &json!({ "key_field": "slug" }))?;
    /// db.insert("articles", &json!({ "slug": "percolation", "reads": 1 }))?;
    /// let seen = db.lookup("articles", "percolation")?.expect("it exists").updated_at;
    /// db.update_if_unchanged("articles", "percolation", &json!({ "reads": 2 }), seen)?;
    /// let again = db.update_if_unchanged("articles", "percolation", &json!({ "reads": 2 }), seen);
    /// assert!(matches!(again, Err(Error::Changed { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if it was, and those of [`update`](Self::update).
    pub fn update_if_unchanged<'a>(
        &self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
        seen: Timestamp,
    ) -> Result<Entity, Error> {
        self.update_entity(table, entity.into(), changes, &Vectors::new(), Some(seen))
    }

    /// Like [`update`](Self::update), with vectors of embedded fields, as for
    /// [`insert_with_vectors`](Self::insert_with_vectors). If `seen` is given, the entity must not
    /// have been written after it, as for [`update_if_unchanged`](Self::update_if_unchanged).
    ///
    /// # Errors
    ///
    /// Those of [`insert_with_vectors`](Self::insert_with_vectors) for the vectors, and those of
    /// [`update_if_unchanged`](Self::update_if_unchanged).
    pub fn update_with_vectors<'a>(
        &self,
        table: &str,
        entity: impl Into<EntityRef<'a>>,
        changes: &Value,
        vectors: &Vectors,
        seen: Option<Timestamp>,
    ) -> Result<Entity, Error> {
        self.update_entity(table, entity.into(), changes, vectors, seen)
    }

    #[db_op("update", table, affected_rows = 1, rows = none)]
    fn update_entity(
        &self,
        table: &str,
        entity: EntityRef<'_>,
        changes: &Value,
        vectors: &Vectors,
        seen: Option<Timestamp>,
    ) -> Result<Entity, Error> {
        self.core.with_vectors(|computed| {
            self.try_update(table, entity, changes, vectors, seen, computed)
        })
    }
}

impl Database {
    fn insert_entity(&self, table: &str, data: &Value, vectors: &Vectors) -> Result<Uuid, Error> {
        self.core
            .with_vectors(|computed| self.try_insert(table, data, vectors, computed))
    }

    fn try_insert(
        &self,
        table: &str,
        data: &Value,
        vectors: &Vectors,
        computed: &Computed,
    ) -> Result<Uuid, Error> {
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let prepared = self.prepare(&schema, data, Cow::Borrowed(vectors))?;
        let id = prepared.named.unwrap_or_else(Uuid::now_v7);
        let _lock = self.core.lock(id);
        let old = self.core.old(table, id)?;
        refuse_existing(&schema, id, &old)?;
        self.write(&schema, id, &old, &prepared, computed)?;
        Ok(id)
    }

    fn upsert_entity(&self, table: &str, data: &Value, vectors: &Vectors) -> Result<Uuid, Error> {
        self.core
            .with_vectors(|computed| self.try_upsert(table, data, vectors, computed))
    }

    fn try_upsert(
        &self,
        table: &str,
        data: &Value,
        vectors: &Vectors,
        computed: &Computed,
    ) -> Result<Uuid, Error> {
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let prepared = self.prepare(&schema, data, Cow::Borrowed(vectors))?;
        let id = prepared.named.ok_or_else(|| Error::NoIdentity {
            table: table.to_owned(),
        })?;
        let _lock = self.core.lock(id);
        let old = self.core.old(table, id)?;
        self.write(&schema, id, &old, &prepared, computed)?;
        Ok(id)
    }

    fn write(
        &self,
        schema: &Schema,
        id: Uuid,
        old: &Old,
        prepared: &Prepared<'_>,
        computed: &Computed,
    ) -> Result<(), Error> {
        let write = EntityWrite {
            schema,
            id,
            old,
            new: &data_record(&prepared.data, old),
            vectors: &prepared.vectors,
            keeps_vectors: true,
        };
        self.core.write(&write, computed)
    }

    fn try_update(
        &self,
        table: &str,
        entity: EntityRef<'_>,
        changes: &Value,
        vectors: &Vectors,
        seen: Option<Timestamp>,
        computed: &Computed,
    ) -> Result<Entity, Error> {
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let id = self.id_of(&schema, entity)?;
        let (changes, vectors) = self.changes_of(&schema, id, changes, Cow::Borrowed(vectors))?;
        let _lock = self.core.lock(id);
        let old = self.core.old(table, id)?;
        let live = changes::live(&schema, id, entity.key(), &old)?;
        refuse_changed(&schema, id, live, seen)?;
        let data = changes::updated(&schema, &live.data, &changes)?;
        let record = data_record(&data, &old);
        let write = EntityWrite {
            schema: &schema,
            id,
            old: &old,
            new: &record,
            vectors: &vectors,
            keeps_vectors: true,
        };
        self.core.write(&write, computed)?;
        let Record {
            created_at,
            updated_at,
            ..
        } = record;
        Ok(Entity {
            id,
            created_at,
            updated_at,
            data,
        })
    }

    /// Inserts entities with their vectors, or none of them with vectors.
    fn insert_entities(
        &self,
        table: &str,
        data: &[Value],
        vectors: &[Vectors],
    ) -> Result<Vec<Uuid>, Error> {
        self.core
            .with_vectors(|computed| self.try_insert_all(table, data, vectors, computed))
    }

    fn try_insert_all(
        &self,
        table: &str,
        data: &[Value],
        vectors: &[Vectors],
        computed: &Computed,
    ) -> Result<Vec<Uuid>, Error> {
        let none = Vectors::new();
        let vectors_of = |index: usize| vectors.get(index).unwrap_or(&none);
        let _steady = self.core.steady();
        let schema = self.core.schema(table)?;
        let in_batch = |index: usize, error: Error| Error::InBatch {
            index,
            key: schema.key_of(&data[index]).ok().flatten(),
            error: Box::new(error),
        };
        let prepared = data
            .iter()
            .enumerate()
            .map(|(index, data)| {
                self.prepare(&schema, data, Cow::Borrowed(vectors_of(index)))
                    .map_err(|error| in_batch(index, error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Uuid> = prepared
            .iter()
            .map(|prepared| prepared.named.unwrap_or_else(Uuid::now_v7))
            .collect();
        if let Some((first, index)) = first_repeated(&ids) {
            return Err(in_batch(index, Error::Repeated { first }));
        }
        let _locks = self.core.lock_all(&ids);
        let old = self.core.old_batch(table, &ids)?;
        let mut batch = self.storage().batch();
        let mut changes = VectorChanges::new(computed);
        for (index, old) in old.iter().enumerate() {
            refuse_existing(&schema, ids[index], old).map_err(|error| in_batch(index, error))?;
        }
        for (index, (old, Prepared { data, vectors, .. })) in old.iter().zip(&prepared).enumerate()
        {
            let write = EntityWrite {
                schema: &schema,
                id: ids[index],
                old,
                new: &data_record(data, old),
                vectors,
                keeps_vectors: true,
            };
            self.core.add_entity(&mut batch, &mut changes, &write)?;
        }
        self.core.commit_with_vectors(batch, &changes)?;
        Ok(ids)
    }

    /// Checks data against the schema and determines the id that its key or its `_id` names, and its
    /// vectors.
    pub(super) fn prepare<'a>(
        &self,
        schema: &Schema,
        data: &'a Value,
        vectors: Cow<'a, Vectors>,
    ) -> Result<Prepared<'a>, Error> {
        let Written {
            id,
            vectors: named,
            data,
        } = schema.written(data)?;
        let vectors = self.core.vectors_of(schema, named, vectors)?;
        schema.check_rules(&data)?;
        let named = match schema.key_of(&data)? {
            Some(key) => {
                let id_of_key = self.core.id_of_key(schema.table(), &key);
                refuse_other_id(schema, id, id_of_key)?;
                Some(id_of_key)
            }
            None => id,
        };
        Ok(Prepared {
            named,
            data,
            vectors,
        })
    }

    /// Checks the shape of changes of an entity, and that they do not name another one. Returns them,
    /// and the vectors.
    pub(super) fn changes_of<'a>(
        &self,
        schema: &Schema,
        id: Uuid,
        changes: &'a Value,
        vectors: Cow<'a, Vectors>,
    ) -> Result<(Cow<'a, Value>, Cow<'a, Vectors>), Error> {
        let Written {
            id: named,
            vectors: given,
            data,
        } = schema.written(changes)?;
        refuse_other_id(schema, named, id)?;
        Ok((data, self.core.vectors_of(schema, given, vectors)?))
    }
}

/// Data that was checked.
pub(super) struct Prepared<'a> {
    /// The id that its key or its `_id` names.
    pub(super) named: Option<Uuid>,
    /// The data without system fields.
    pub(super) data: Cow<'a, Value>,
    /// The vectors of the data and those that were passed with it.
    pub(super) vectors: Cow<'a, Vectors>,
}

impl Prepared<'_> {
    pub(super) fn into_owned(self) -> (Value, Vectors) {
        (self.data.into_owned(), self.vectors.into_owned())
    }
}

/// Refuses data whose `_id` is not `id`, the entity to write.
pub(super) fn refuse_other_id(
    schema: &Schema,
    named: Option<Uuid>,
    id: Uuid,
) -> Result<(), EntityError> {
    match named {
        Some(named) if named != id => Err(EntityError::OtherId {
            table: schema.table().to_owned(),
            id,
        }),
        _ => Ok(()),
    }
}

/// Returns the first index whose id is at an earlier index, which is returned before it.
fn first_repeated(ids: &[Uuid]) -> Option<(usize, usize)> {
    let mut sorted: Vec<_> = ids.iter().zip(0..).collect();
    sorted.sort_unstable();
    sorted
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| (pair[0].1, pair[1].1))
        .min_by_key(|(_, index)| *index)
}
