//! Changing the schema of a table, and bringing the entities in line with the change.
//!
//! A change is recorded in `meta` in the same batch as the schema, and the record is removed when
//! all entities follow it. Opening the database completes the changes that a crash interrupted.

use std::sync::Arc;

use serde_json::Value;

use super::core::Core;
use super::error::Error;
use crate::admin::indexing::IndexManager;
use crate::schema::entity::Record;
use crate::schema::{Schema, SchemaError};
use crate::storage::column_families::{ENTITIES, META, SCHEMAS};
use crate::storage::{ScanRange, keys};

impl Core {
    /// Registers or changes the schema of a table, and waits until all entities follow it.
    pub(super) fn register_schema(&self, table: &str, schema: &Value) -> Result<(), Error> {
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
        self.set_schema(table, schema);
        drop(changing);
        if reindex || reembed {
            self.finish_schema_change(table, reembed)?;
        }
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
