//! Changes of entities: what is stored after each, and the batch that stores it with its index
//! entries, its vectors and its embedding mark, and without outdated vectors.
//!
//! The caller holds the locks of the entities. Of several changes of one entity, a later one sees
//! the earlier ones.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::computed::Computed;
use super::core::{Core, Old};
use super::error::Error;
use super::supplied::{Vector, Vectors};
use super::vector_changes::VectorChanges;
use crate::index;
use crate::schema::entity::{Record, Timestamp};
use crate::schema::system::remove_system_fields;
use crate::schema::{Embed, Schema};
use crate::storage::column_families::{ENTITIES, PENDING_EMBEDDINGS};
use crate::storage::{BatchWriter, keys};

/// A change of one entity. Its data was checked for shape, and has no system fields. Its
/// vectors were checked.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Insert(Value, Vectors),
    Upsert(Value, Vectors),
    Update(Value, Vectors),
    Delete,
}

impl Change {
    /// The vectors that are supplied with the entity.
    pub(super) fn vectors(&self) -> Cow<'_, Vectors> {
        match self {
            Self::Insert(_, vectors) | Self::Upsert(_, vectors) | Self::Update(_, vectors) => {
                Cow::Borrowed(vectors)
            }
            Self::Delete => Cow::Owned(Vectors::new()),
        }
    }
}

/// An entity to change.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) schema: Arc<Schema>,
    pub(crate) id: Uuid,
    /// The key by which the entity was named.
    pub(crate) key: Option<String>,
    /// The time of the last write that the caller has seen, if the change depends on it.
    pub(crate) seen: Option<Timestamp>,
}

impl Target {
    pub(crate) fn of(schema: Arc<Schema>, id: Uuid) -> Self {
        Self {
            schema,
            id,
            key: None,
            seen: None,
        }
    }

    pub(crate) fn seen(self, at: Timestamp) -> Self {
        Self {
            seen: Some(at),
            ..self
        }
    }
}

/// The entities that change, by table and id.
pub(super) struct Changes<'a> {
    core: &'a Core,
    computed: &'a Computed,
    entities: BTreeMap<(String, Uuid), Changed>,
}

struct Changed {
    schema: Arc<Schema>,
    old: Old,
    /// What is stored after the changes.
    new: Option<Old>,
    /// The vectors that were supplied for it.
    vectors: Vectors,
    /// Whether one of the changes deleted the entity, which removes its vectors.
    was_deleted: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn new(core: &'a Core, computed: &'a Computed) -> Self {
        Self {
            core,
            computed,
            entities: BTreeMap::new(),
        }
    }

    /// Applies a change to what was stored before and what earlier changes left.
    pub(super) fn apply(&mut self, target: &Target, change: &Change) -> Result<(), Error> {
        let (core, table) = (self.core, target.schema.table());
        self.apply_over(target, change, || core.old(table, target.id))
    }

    /// Like [`apply`](Self::apply). `stored` returns what was stored before.
    fn apply_over(
        &mut self,
        target: &Target,
        change: &Change,
        stored: impl FnOnce() -> Result<Old, Error>,
    ) -> Result<(), Error> {
        let name = (target.schema.table().to_owned(), target.id);
        let entity = match self.entities.entry(name) {
            Entry::Occupied(entity) => entity.into_mut(),
            Entry::Vacant(place) => place.insert(Changed {
                schema: Arc::clone(&target.schema),
                old: stored()?,
                new: None,
                vectors: Vectors::new(),
                was_deleted: false,
            }),
        };
        let now = entity.new.as_ref().unwrap_or(&entity.old);
        let new = changed(target, now, change)?;
        let vectors = change.vectors();
        entity.vectors.follow(&target.schema, now, &new, &vectors);
        entity.was_deleted |= matches!(new, Old::Deleted(_));
        entity.new = Some(new);
        Ok(())
    }

    /// Returns what earlier changes left of an entity, `None` if there were none.
    pub(super) fn stored_after(&self, table: &str, id: Uuid) -> Option<&Old> {
        let entity = self.entities.get(&(table.to_owned(), id))?;
        entity.new.as_ref()
    }

    /// Returns whether an entity that is `now` has these vectors, by what earlier changes supplied and
    /// by `stored`, what is stored before the changes. No earlier change removed a vector.
    pub(super) fn has_vectors(
        &self,
        schema: &Schema,
        (id, now): (Uuid, &Old),
        vectors: &Vectors,
        stored: &HashMap<(Uuid, usize), Vec<u8>>,
    ) -> bool {
        let earlier = self.entities.get(&(schema.table().to_owned(), id));
        let mut fields = schema.embedding_fields().iter().enumerate();
        fields.all(|(position, field)| {
            let Some(vector) = vectors.vector(field) else {
                return true;
            };
            let text = now.text(field);
            let has = match earlier.and_then(|earlier| earlier.vectors.vector(field)) {
                Some(supplied) => Some(supplied.of_text(text)),
                None if earlier.is_some_and(|earlier| earlier.old.text(field) != text) => None,
                None => stored.get(&(id, position)).map(|it| Vector::from_bytes(it)),
            };
            has == Some(vector.of_text(text))
        })
    }

    /// Stores a record with its vectors, over what is stored before the changes and what earlier ones
    /// left.
    pub(super) fn store(
        &mut self,
        schema: &Arc<Schema>,
        id: Uuid,
        old: Old,
        new: Record,
        vectors: &Vectors,
    ) {
        let name = (schema.table().to_owned(), id);
        let entity = self.entities.entry(name).or_insert_with(|| Changed {
            schema: Arc::clone(schema),
            old,
            new: None,
            vectors: Vectors::new(),
            was_deleted: false,
        });
        let now = entity.new.as_ref().unwrap_or(&entity.old);
        let new = Old::Live(new);
        entity.vectors.follow(schema, now, &new, vectors);
        entity.new = Some(new);
    }

    /// Writes all changes in one batch, unless the vector of a text is missing.
    pub(super) fn commit(self) -> Result<(), Error> {
        let core = self.core;
        let mut batch = core.storage().batch();
        let mut changes = VectorChanges::new(self.computed);
        for ((_, id), entity) in &self.entities {
            let (schema, old) = (&entity.schema, &entity.old);
            if let Some(Old::Live(new)) = &entity.new {
                let write = EntityWrite {
                    schema,
                    id: *id,
                    old,
                    new: &new.borrowed(),
                    vectors: &entity.vectors,
                    keeps_vectors: !entity.was_deleted,
                };
                core.add_entity(&mut batch, &mut changes, &write)?;
            } else if entity.new.is_some() && core.add_deletion(&mut batch, schema, *id, old)? {
                changes.remove_all(core, schema, *id);
            }
        }
        core.commit_with_vectors(batch, &changes)
    }
}

/// A write of one entity.
pub(super) struct EntityWrite<'a> {
    pub(super) schema: &'a Schema,
    pub(super) id: Uuid,
    pub(super) old: &'a Old,
    pub(super) new: &'a Record<&'a Value>,
    /// The vectors that are supplied with it.
    pub(super) vectors: &'a Vectors,
    /// Whether vectors of unchanged texts stay.
    pub(super) keeps_vectors: bool,
}

impl<'a> EntityWrite<'a> {
    /// Returns the texts to embed before the write, with their fields: those that it changes, if the
    /// table embeds on write, except those of supplied vectors.
    fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let Self {
            schema,
            old,
            new,
            vectors,
            keeps_vectors,
            ..
        } = *self;
        let embeds = schema.embed() == Embed::OnWrite;
        let is_new = move |field: &str, text: &str| {
            !keeps_vectors || vectors.removes(field) || old.text(field) != Some(text)
        };
        let fields = schema.embedding_fields().iter().map(String::as_str);
        fields
            .filter(move |field| embeds && !vectors.has(field))
            .filter_map(move |field| Some((field, new.text_to_embed(field)?)))
            .filter(move |(field, text)| is_new(field, text))
    }

    /// Returns what happens to the mark for embedding.
    fn mark(&self) -> Mark {
        let fields = || self.schema.embedding_fields().iter();
        let is_same = |field: &String| match self.old {
            Old::Live(old) => self.keeps_vectors && old.data.get(field) == self.new.data.get(field),
            Old::Absent | Old::Deleted(_) | Old::Malformed(..) => false,
        };
        let computed: Vec<&str> = self.texts().map(|(field, _)| field).collect();
        let has_vector =
            |field: &&String| self.vectors.has(field) || computed.contains(&field.as_str());
        let mut left = fields().filter(|field| !has_vector(field));
        let is_changed = left
            .clone()
            .any(|field| !is_same(field) || self.vectors.removes(field));
        let is_marked = is_changed && self.schema.embed() == Embed::Queued;
        if !fields().any(|field| has_vector(&field)) {
            return if is_marked { Mark::Set } else { Mark::Keep };
        }
        let is_text_left = left.any(|field| self.new.text_to_embed(field).is_some());
        if is_text_left && is_marked {
            return Mark::Set;
        }
        if is_text_left {
            return Mark::Renew;
        }
        match self.old {
            Old::Absent => Mark::Keep,
            Old::Deleted(_) | Old::Live(_) | Old::Malformed(..) => Mark::Remove,
        }
    }
}

/// What a write does with the mark for embedding of its entity.
enum Mark {
    Keep,
    Set,
    /// Sets it if it names refused texts, which may have a vector now.
    Renew,
    Remove,
}

impl Core {
    /// Applies one change to several entities of a table in one write, unless the vector of a text is
    /// missing. Returns those that were not written because they had changed, or no longer existed.
    #[cfg(feature = "sql")]
    pub(crate) fn write_if_unchanged(
        &self,
        schema: &Arc<Schema>,
        seen: &[(Uuid, Timestamp)],
        change: &Change,
        computed: &Computed,
    ) -> Result<Vec<Uuid>, Error> {
        let _steady = self.steady();
        let schema = if Arc::ptr_eq(schema, &self.schema(schema.table())?) {
            schema
        } else {
            // The condition was evaluated under another schema.
            return Ok(seen.iter().map(|(id, _)| *id).collect());
        };
        let ids: Vec<Uuid> = seen.iter().map(|(id, _)| *id).collect();
        let _locks = self.lock_all(&ids);
        let old = self.old_batch(schema.table(), &ids)?;
        let mut changes = Changes::new(self, computed);
        let mut left = Vec::new();
        for ((id, seen), old) in seen.iter().zip(old) {
            let is_unchanged = matches!(&old, Old::Live(live) if live.updated_at == *seen);
            if is_unchanged {
                let target = Target::of(Arc::clone(schema), *id);
                changes.apply_over(&target, change, || Ok(old))?;
            } else {
                left.push(*id);
            }
        }
        changes.commit()?;
        Ok(left)
    }

    /// Writes everything that turns `old` into `new`, unless the vector of a text is missing.
    pub(super) fn write(&self, write: &EntityWrite<'_>, computed: &Computed) -> Result<(), Error> {
        let mut batch = self.storage().batch();
        let mut changes = VectorChanges::new(computed);
        self.add_entity(&mut batch, &mut changes, write)?;
        self.commit_with_vectors(batch, &changes)
    }

    /// Adds everything that turns `old` into `new`: the record, its index entries, its vectors and
    /// its mark for embedding.
    pub(super) fn add_entity(
        &self,
        batch: &mut BatchWriter<'_>,
        changes: &mut VectorChanges<'_>,
        write: &EntityWrite<'_>,
    ) -> Result<(), Error> {
        let EntityWrite {
            schema, id, old, ..
        } = *write;
        self.add_to_batch(batch, schema, id, old, write.new)?;
        let mark = || keys::entity_key(self.table_name(schema.table()), id);
        match write.mark() {
            Mark::Keep => {}
            Mark::Set => batch.put(PENDING_EMBEDDINGS, mark(), [])?,
            Mark::Renew => {
                let marked = self.storage().get(PENDING_EMBEDDINGS, mark())?;
                if marked.is_some_and(|refused| !refused.is_empty()) {
                    batch.put(PENDING_EMBEDDINGS, mark(), [])?;
                }
            }
            Mark::Remove => batch.delete(PENDING_EMBEDDINGS, mark())?,
        }
        if write.keeps_vectors {
            changes.remove_outdated(self, schema, id, old, write.new);
        } else {
            changes.remove_all(self, schema, id);
        }
        changes.supply(self, schema, id, write.new, write.vectors);
        // After the removals, which are among the supplied: the text is embedded again.
        changes.compute(self, schema, id, write.texts());
        Ok(())
    }

    /// Marks an entity as deleted. Returns whether it existed.
    pub(super) fn delete(&self, schema: &Schema, id: Uuid, old: &Old) -> Result<bool, Error> {
        let mut batch = self.storage().batch();
        let exists = self.add_deletion(&mut batch, schema, id, old)?;
        if exists {
            self.commit_without_vectors(batch, schema, id)?;
        }
        Ok(exists)
    }

    /// Removes what is stored under an id, also if it is marked as deleted. Returns whether there
    /// was something.
    pub(super) fn remove(&self, schema: &Schema, id: Uuid, old: &Old) -> Result<bool, Error> {
        if matches!(old, Old::Absent) {
            return Ok(false);
        }
        let mut batch = self.storage().batch();
        self.add_removal(&mut batch, schema, id, old)?;
        self.commit_without_vectors(batch, schema, id)?;
        Ok(true)
    }

    fn commit_without_vectors(
        &self,
        batch: BatchWriter<'_>,
        schema: &Schema,
        id: Uuid,
    ) -> Result<(), Error> {
        let computed = Computed::default();
        let mut changes = VectorChanges::new(&computed);
        changes.remove_all(self, schema, id);
        self.commit_with_vectors(batch, &changes)
    }

    /// Adds the deletion of an entity, except its vectors. An entity that cannot be decoded is
    /// removed. Returns whether it existed.
    fn add_deletion(
        &self,
        batch: &mut BatchWriter<'_>,
        schema: &Schema,
        id: Uuid,
        old: &Old,
    ) -> Result<bool, Error> {
        match old {
            Old::Absent | Old::Deleted(_) => return Ok(false),
            Old::Live(live) => {
                let record = Record {
                    deleted: true,
                    updated_at: Timestamp::now_after(live.updated_at),
                    ..live.borrowed()
                };
                self.add_to_batch(batch, schema, id, old, &record)?;
                self.add_unmarking(batch, schema, id)?;
            }
            Old::Malformed(..) => self.add_removal(batch, schema, id, old)?,
        }
        Ok(true)
    }

    /// Adds the removal of a record and everything derived from it, except its vectors.
    fn add_removal(
        &self,
        batch: &mut BatchWriter<'_>,
        schema: &Schema,
        id: Uuid,
        old: &Old,
    ) -> Result<(), Error> {
        let key = keys::entity_key(self.table_name(schema.table()), id);
        batch.delete(ENTITIES, key)?;
        index::change(batch, &self.old_entries(schema, id, old)?, &[])?;
        self.add_unmarking(batch, schema, id)
    }

    fn add_unmarking(
        &self,
        batch: &mut BatchWriter<'_>,
        schema: &Schema,
        id: Uuid,
    ) -> Result<(), Error> {
        if !schema.embedding_fields().is_empty() {
            let key = keys::entity_key(self.table_name(schema.table()), id);
            batch.delete(PENDING_EMBEDDINGS, key)?;
        }
        Ok(())
    }
}

/// Returns what is stored after a change.
fn changed(target: &Target, now: &Old, change: &Change) -> Result<Old, Error> {
    let Target {
        schema,
        id,
        key,
        seen,
    } = target;
    if let Old::Live(live) = now {
        refuse_changed(schema, *id, live, *seen)?;
    }
    let data = match change {
        Change::Insert(data, _) => {
            refuse_existing(schema, *id, now)?;
            data.clone()
        }
        Change::Upsert(data, _) => data.clone(),
        Change::Update(changes, _) => {
            let live = live(schema, *id, key.as_deref(), now)?;
            updated(schema, &live.data, changes)?
        }
        Change::Delete => {
            if seen.is_some() && !matches!(now, Old::Malformed(..)) {
                live(schema, *id, key.as_deref(), now)?;
            }
            return Ok(Old::Deleted(next_time(now)));
        }
    };
    let Record {
        created_at,
        updated_at,
        ..
    } = data_record(&data, now);
    Ok(Old::Live(Record {
        deleted: false,
        created_at,
        updated_at,
        data,
    }))
}

/// Returns the record of an entity to update.
pub(super) fn live<'a>(
    schema: &Schema,
    id: Uuid,
    key: Option<&str>,
    old: &'a Old,
) -> Result<&'a Record, Error> {
    let table = schema.table().to_owned();
    match old {
        Old::Live(record) => Ok(record),
        Old::Absent | Old::Deleted(_) => Err(Error::NotFound {
            table,
            id,
            key: key.map(str::to_owned),
        }),
        Old::Malformed(reason, _) => Err(Error::MalformedRecord {
            table,
            id,
            reason: *reason,
        }),
    }
}

/// Refuses to change an entity that was written after `seen`.
pub(super) fn refuse_changed(
    schema: &Schema,
    id: Uuid,
    live: &Record,
    seen: Option<Timestamp>,
) -> Result<(), Error> {
    match seen {
        Some(seen) if seen != live.updated_at => Err(Error::Changed {
            table: schema.table().to_owned(),
            id,
            at: live.updated_at,
        }),
        _ => Ok(()),
    }
}

/// Returns data with changed fields, checked against the schema.
pub(super) fn updated(schema: &Schema, data: &Value, changes: &Value) -> Result<Value, Error> {
    let updated = merged(schema, data, changes);
    schema.check(&updated)?;
    if schema.key_of(&updated)? != schema.key_of(data)? {
        return Err(Error::KeyChanged {
            table: schema.table().to_owned(),
        });
    }
    Ok(updated)
}

/// Returns data with changed fields, both objects. Older versions stored system fields, which are
/// left out.
fn merged(schema: &Schema, data: &Value, changes: &Value) -> Value {
    let mut merged = data.as_object().cloned().unwrap_or_default();
    remove_system_fields(&mut merged);
    for (field, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null if !schema.allows_null(field) => merged.remove(field),
            value => merged.insert(field.clone(), value.clone()),
        };
    }
    Value::Object(merged)
}

/// Refuses to insert over an entity, also over one that cannot be decoded.
pub(super) fn refuse_existing(schema: &Schema, id: Uuid, old: &Old) -> Result<(), Error> {
    match old {
        Old::Absent | Old::Deleted(_) => Ok(()),
        Old::Live(_) | Old::Malformed(..) => Err(Error::Exists {
            table: schema.table().to_owned(),
            id,
        }),
    }
}

/// Returns the record of new data. An entity that replaces a live one keeps its creation time.
pub(super) fn data_record<'a>(data: &'a Value, old: &Old) -> Record<&'a Value> {
    let now = next_time(old);
    let created_at = match old {
        Old::Live(old) => Some(old.created_at),
        Old::Malformed(_, times) => times.map(|times| times.created_at),
        Old::Absent | Old::Deleted(_) => None,
    };
    Record {
        deleted: false,
        created_at: created_at.unwrap_or(now),
        updated_at: now,
        data,
    }
}

/// Returns the time of a write after what was stored under its id. It is later than that of the write
/// before, also if the clock went back, so that two states of an entity never have one time.
fn next_time(old: &Old) -> Timestamp {
    let last = match old {
        Old::Live(old) => Some(old.updated_at),
        Old::Deleted(at) => Some(*at),
        Old::Malformed(_, times) => times.map(|times| times.updated_at),
        Old::Absent => None,
    };
    last.map_or_else(Timestamp::now, Timestamp::now_after)
}
