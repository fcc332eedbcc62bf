//! [`VectorChanges`], the vectors that a batch stores and removes, and its commit, which changes the
//! vector indexes in memory too.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::computed::Computed;
use super::core::{Core, Old};
use super::error::Error;
use super::slot::Field;
use super::supplied::{Vector, Vectors};
use crate::schema::Schema;
use crate::schema::entity::Record;
use crate::storage::column_families::{EMBEDDINGS, META};
use crate::storage::{BatchWriter, keys};

/// Vectors to store or to remove with the commit of a batch, by the table and the position of the
/// field in its schema. This is the order in which their slots are locked. Of several changes of one
/// vector, the last one counts.
pub(super) struct VectorChanges<'a> {
    computed: &'a Computed,
    fields: BTreeMap<(String, usize), FieldChanges>,
}

struct FieldChanges {
    field: Field,
    /// The new vector of each entity, `None` if it is removed.
    vectors: BTreeMap<Uuid, Option<Vector>>,
}

impl<'a> VectorChanges<'a> {
    /// Creates an empty set of changes of a write with these computed vectors.
    pub(super) fn new(computed: &'a Computed) -> Self {
        Self {
            computed,
            fields: BTreeMap::new(),
        }
    }

    /// Removes all vectors of an entity.
    pub(super) fn remove_all(&mut self, core: &Core, schema: &Schema, id: Uuid) {
        self.change(core, schema, id, |_| Some(None));
    }

    /// Removes the vectors of texts that are different in `old` and `new`, so that a search does not
    /// find `new` by them. The vector of a field without a text was supplied.
    pub(super) fn remove_outdated(
        &mut self,
        core: &Core,
        schema: &Schema,
        id: Uuid,
        old: &Old,
        new: &Record<&Value>,
    ) {
        self.change(core, schema, id, |field| match old {
            Old::Absent | Old::Deleted(_) => None,
            Old::Live(_) => (old.text(field) != new.text_to_embed(field)).then_some(None),
            Old::Malformed(..) => Some(None),
        });
    }

    /// Adds the vectors that were supplied with an entity.
    pub(super) fn supply(
        &mut self,
        core: &Core,
        schema: &Schema,
        id: Uuid,
        new: &Record<&Value>,
        vectors: &Vectors,
    ) {
        for (field, vector) in vectors.iter() {
            let vector = || Some(vector?.of_text(new.text_to_embed(field)));
            self.change(core, schema, id, |name| (name == field).then(vector));
        }
    }

    /// Adds the vectors of texts that are embedded on write.
    pub(super) fn compute<'t>(
        &mut self,
        core: &Core,
        schema: &Schema,
        id: Uuid,
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) {
        for (field, text) in texts {
            let Some(numbers) = self.computed.vector(schema.table(), text) else {
                continue;
            };
            let vector = || {
                Some(Vector {
                    numbers: numbers.to_vec(),
                    is_supplied: false,
                })
            };
            self.change(core, schema, id, |name| (name == field).then(vector));
        }
    }

    /// Stores the vector that the provider has returned for the field at this position of the schema,
    /// or removes the one that is stored.
    pub(super) fn replace(
        &mut self,
        core: &Core,
        schema: &Schema,
        entity_field: (Uuid, usize),
        vector: Option<Vec<f32>>,
    ) {
        let vector = vector.map(|numbers| Vector {
            numbers,
            is_supplied: false,
        });
        self.set(core, schema, entity_field, vector);
    }

    fn change(
        &mut self,
        core: &Core,
        schema: &Schema,
        id: Uuid,
        change: impl Fn(&str) -> Option<Option<Vector>>,
    ) {
        for (position, name) in schema.embedding_fields().iter().enumerate() {
            if let Some(vector) = change(name) {
                self.set(core, schema, (id, position), vector);
            }
        }
    }

    fn set(
        &mut self,
        core: &Core,
        schema: &Schema,
        (id, position): (Uuid, usize),
        vector: Option<Vector>,
    ) {
        let place = (schema.table().to_owned(), position);
        let changes = self.fields.entry(place).or_insert_with(|| FieldChanges {
            field: core.field(schema.table(), &schema.embedding_fields()[position]),
            vectors: BTreeMap::new(),
        });
        changes.vectors.insert(id, vector);
    }
}

impl Core {
    /// Commits `batch` and changes vectors with the same commit, and then the indexes in memory.
    /// Does nothing if the vector of a text is missing.
    pub(super) fn commit_with_vectors(
        &self,
        mut batch: BatchWriter<'_>,
        changes: &VectorChanges<'_>,
    ) -> Result<(), Error> {
        if changes.computed.is_incomplete() {
            return Ok(());
        }
        let changes = changes.fields.iter();
        let mut slots: Vec<_> = changes
            .clone()
            .map(|(_, changes)| (changes.field.slot.change(), &changes.vectors))
            .collect();
        for (slot, vectors) in &mut slots {
            slot.note(vectors.keys().copied());
        }
        let generation = Uuid::now_v7();
        for ((table, _), FieldChanges { field, vectors }) in changes {
            for (id, vector) in vectors {
                let key = keys::embedding_key(self.table_name(table), &field.name, *id);
                match vector {
                    Some(vector) => batch.put(EMBEDDINGS, key, vector.to_bytes())?,
                    None => batch.delete(EMBEDDINGS, key)?,
                }
            }
            batch.put(
                META,
                self.generation_key(table, &field.name),
                generation.as_bytes(),
            )?;
        }
        batch.commit()?;
        for (slot, vectors) in &mut slots {
            slot.apply(generation, |index| {
                vectors.iter().try_for_each(|(id, vector)| match vector {
                    Some(vector) => index.set(*id, &vector.numbers),
                    None => index.remove(*id),
                })
            });
        }
        Ok(())
    }
}
