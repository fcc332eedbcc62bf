//! Changing the schema of a table, and bringing the entities in line with the change.
//!
//! A change is recorded in `meta` in the same batch as the schema, and the record is removed when
//! all entities follow it. Opening the database completes the changes that a crash interrupted.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::core::Core;
use super::error::Error;
use crate::admin::indexing::IndexManager;
use crate::schema::entity::Record;
use crate::schema::{Schema, SchemaError};
use crate::storage::column_families::{
    EMBEDDINGS, ENTITIES, FIELD_INDEX, KEY_INDEX, META, PENDING_EMBEDDINGS, SCHEMAS,
};
use crate::storage::{ScanRange, keys};

/// The result of a schema change: which entities do not match the new schema. They stay as they
/// are, and can be read, updated so that they match, and deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// The number of entities that were checked: all of the table if its rules changed, otherwise 0.
    pub checked: usize,
    /// The number of entities that do not match the schema.
    pub mismatched: usize,
    /// The first of them, at most [`EXAMPLES`](Self::EXAMPLES).
    pub examples: Vec<Mismatch>,
}

impl SchemaChange {
    /// The maximum number of examples.
    pub const EXAMPLES: usize = 100;
}

/// An entity that does not match the schema of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The id of the entity.
    pub id: Uuid,
    /// The key of the entity, if the table has a key field.
    pub key: Option<String>,
    /// The violated rules, with their places in the data.
    pub reason: String,
}

impl Core {
    /// Registers or changes the schema of a table, and waits until the indexes follow it. Returns
    /// the entities that do not match it.
    pub(super) fn register_schema(
        &self,
        table: &str,
        schema: &Value,
    ) -> Result<SchemaChange, Error> {
        Schema::check_source(table, schema)?;
        let schema = Arc::new(Schema::compile(table, schema.clone())?);
        let changing = self.change_schemas();
        let old = self.find_schema(table);
        let keeps_key = match &old {
            None => true,
            Some(Ok(old)) => old.key_field() == schema.key_field() || !self.holds_records(table)?,
            Some(Err(_)) => self.ids_follow(&schema)?,
        };
        if !keeps_key {
            return Err(SchemaError::KeyFieldChanged {
                table: table.to_owned(),
            }
            .into());
        }
        // Of a schema that cannot be read, everything may have changed.
        let changed = |changed: fn(&Schema, &Schema) -> bool| {
            let read = |old: &Result<Arc<Schema>, SchemaError>| {
                old.as_ref().map_or(true, |old| changed(old, &schema))
            };
            old.as_ref().is_some_and(read)
        };
        let reindex = changed(|old, new| old.indexed_fields() != new.indexed_fields());
        let reembed = changed(|old, new| old.embedding_fields() != new.embedding_fields());
        let rules_changed = changed(|old, new| !new.has_rules_of(old));
        let mut batch = self.storage().batch();
        batch.put(
            SCHEMAS,
            keys::schema_key(self.table_name(table)),
            schema.source().to_string(),
        )?;
        if reindex || reembed {
            batch.put(
                META,
                keys::unfinished_key(self.table_name(table)),
                [u8::from(reembed)],
            )?;
        }
        if rules_changed {
            batch.put(META, keys::changed_rules_key(self.table_name(table)), [])?;
        }
        batch.commit()?;
        self.set_schema(table, Arc::clone(&schema));
        drop(changing);
        if reindex || reembed {
            self.finish_schema_change(table, reembed)?;
        }
        if rules_changed {
            self.mismatched(&schema)
        } else {
            Ok(SchemaChange::default())
        }
    }

    /// Checks the entities of a table against a schema. Entities that cannot be decoded are left
    /// out.
    fn mismatched(&self, schema: &Schema) -> Result<SchemaChange, Error> {
        let mut change = SchemaChange::default();
        let range = ScanRange::prefix(keys::table_prefix(self.table_name(schema.table())));
        for entry in self.storage().scan(ENTITIES, range)? {
            let (key, value) = entry?;
            let Ok(Some(record)) = Record::decode_live(&value) else {
                continue;
            };
            change.checked += 1;
            let Err(error) = schema.check(&record.data) else {
                continue;
            };
            change.mismatched += 1;
            if change.examples.len() < SchemaChange::EXAMPLES {
                change.examples.push(Mismatch {
                    id: keys::parse_entity_key(&key)?.2,
                    key: schema.key_of(&record.data).ok().flatten(),
                    reason: error.to_string(),
                });
            }
        }
        Ok(change)
    }

    /// Removes a table: its schema, its entities and everything derived from them, in one write.
    pub(super) fn drop_table(&self, table: &str) -> Result<(), Error> {
        let _changing = self.change_schemas();
        let embedded = match self.find_schema(table) {
            Some(Ok(schema)) => schema.embedding_fields().to_vec(),
            // The fields that have vectors are found.
            Some(Err(_)) => Vec::new(),
            None => self.schema(table).map(|_| Vec::new())?,
        };
        let name = self.table_name(table);
        let (start, end) = keys::table_range(name);
        let mut batch = self.storage().batch();
        batch.delete(SCHEMAS, keys::schema_key(name))?;
        batch.delete(META, keys::unfinished_key(name))?;
        batch.delete(META, keys::changed_rules_key(name))?;
        for family in [
            ENTITIES,
            KEY_INDEX,
            FIELD_INDEX,
            EMBEDDINGS,
            PENDING_EMBEDDINGS,
        ] {
            batch.delete_range(family, &start, &end)?;
        }
        self.commit_dropping(batch, table, &embedded)?;
        self.remove_schema(table);
        Ok(())
    }

    /// Completes the schema changes of all tenants that a crash interrupted.
    pub(super) fn finish_schema_changes(&self) -> Result<(), Error> {
        let range = ScanRange::prefix(keys::unfinished_prefix());
        let unfinished = self
            .storage()
            .scan(META, range)?
            .collect::<Result<Vec<_>, _>>()?;
        for (key, reembed) in unfinished {
            let (tenant, table) = keys::parse_unfinished_key(&key)?;
            let core = self.for_tenant(&tenant);
            // The change of an unusable table is completed when its schema is registered again.
            if core.schema(&table).is_ok() {
                core.finish_schema_change(&table, *reembed != [0])?;
            }
        }
        Ok(())
    }

    fn finish_schema_change(&self, table: &str, reembed: bool) -> Result<(), Error> {
        IndexManager::over(self.clone()).rebuild_field_indexes(table)?;
        if reembed {
            self.forget_unembedded(table)?;
            self.mark_for_embedding(table)?;
        }
        Ok(self
            .storage()
            .delete(META, keys::unfinished_key(self.table_name(table)))?)
    }

    /// Returns whether the ids of a table's entities are those that the schema derives. The first
    /// entity that can be read decides.
    fn ids_follow(&self, schema: &Schema) -> Result<bool, Error> {
        let table = self.table_name(schema.table());
        let range = ScanRange::prefix(keys::table_prefix(table));
        for entry in self.storage().scan(ENTITIES, range)? {
            let (key, value) = entry?;
            let Ok(Some(record)) = Record::decode_live(&value) else {
                continue;
            };
            let id = keys::parse_entity_key(&key)?.2;
            return Ok(match schema.key_of(&record.data) {
                Ok(Some(key)) => self.id_of_key(schema.table(), &key) == id,
                // Only ids that are derived from keys are of version 5.
                Ok(None) => id.get_version_num() != 5,
                Err(_) => false,
            });
        }
        Ok(true)
    }

    fn holds_records(&self, table: &str) -> Result<bool, Error> {
        let range = ScanRange::prefix(keys::table_prefix(self.table_name(table)));
        Ok(self
            .storage()
            .scan(ENTITIES, range)?
            .next()
            .transpose()?
            .is_some())
    }
}
