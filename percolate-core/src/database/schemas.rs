//! Changing the schema of a table, and bringing the entities in line with the change.
//!
//! A change is recorded in `meta` in the same batch as the schema, and the record is removed when
//! all entities follow it. Opening the database completes the changes that a crash interrupted.

use std::sync::Arc;

use serde_json::Value;

use super::core::Core;
use super::error::Error;
use crate::admin::indexing::IndexManager;
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
        if let Some(old) = &old
            && old.key_field() != schema.key_field()
            && self.holds_records(table)?
        {
            return Err(SchemaError::KeyFieldChanged {
                table: table.to_owned(),
            }
            .into());
        }
        let reindex = old
            .as_ref()
            .is_some_and(|old| old.indexed_fields() != schema.indexed_fields());
        let reembed = old
            .as_ref()
            .is_some_and(|old| old.embedding_fields() != schema.embedding_fields());
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
        if old.is_some_and(|old| !schema.has_rules_of(&old)) {
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
            self.for_tenant(&tenant)
                .finish_schema_change(&table, *reembed != [0])?;
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
