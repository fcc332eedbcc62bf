//! The keys of each column family: which parts they have, in which order.

use uuid::Uuid;

use super::parts::{KeyBuilder, KeyReader, MalformedKey};
use super::value::FieldValue;

/// The name of a table: its tenant and its name within the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The name of the table within the tenant.
    pub table: &'a str,
}

impl<'a> Table<'a> {
    /// Creates a name from a tenant and the name of a table of this tenant.
    pub const fn new(tenant: &'a str, table: &'a str) -> Self {
        Self { tenant, table }
    }

    /// Adds the two parts to a key.
    fn key(self, key: KeyBuilder) -> KeyBuilder {
        key.text(self.tenant).text(self.table)
    }
}

/// Returns the prefix of the keys of a tenant's table, in the column families ordered by tenant and
/// table.
pub fn table_prefix(table: Table<'_>) -> Vec<u8> {
    table.key(KeyBuilder::new()).build()
}

/// Returns the first key of a tenant's table, and the first one after it.
pub fn table_range(table: Table<'_>) -> (Vec<u8>, Vec<u8>) {
    let start = table_prefix(table);
    let mut end = start.clone();
    // A text ends with a byte that is not the last one.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (start, end)
}

/// Returns the prefix of the keys of a tenant.
pub fn tenant_prefix(tenant: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).build()
}

/// Returns a key of `schemas`.
pub fn schema_key(table: Table<'_>) -> Vec<u8> {
    table_prefix(table)
}

/// Reads the tenant and the table from a key of `schemas`.
pub fn parse_schema_key(key: &[u8]) -> Result<(String, String), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    let parts = (reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(parts)
}

/// Reads the table from a key of any column family ordered by tenant and table.
pub fn parse_table(key: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    reader.text()
}

/// Returns a key of `entities` or `pending_embeddings`.
pub fn entity_key(table: Table<'_>, id: Uuid) -> Vec<u8> {
    table.key(KeyBuilder::new()).id(id).build()
}

/// Reads the tenant, the table and the id from a key of `entities` or `pending_embeddings`.
pub fn parse_entity_key(key: &[u8]) -> Result<(String, String, Uuid), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    let parts = (reader.text()?, reader.text()?, reader.id()?);
    reader.finish()?;
    Ok(parts)
}

/// Returns a key of `key_index`.
pub fn key_index_key(table: Table<'_>, key: &str) -> Vec<u8> {
    table.key(KeyBuilder::new()).text(key).build()
}

/// Returns the prefix of a field's keys in `field_index` and `embeddings`.
pub fn field_prefix(table: Table<'_>, field: &str) -> Vec<u8> {
    table.key(KeyBuilder::new()).text(field).build()
}

/// Returns the prefix of the keys in `field_index` of one value of a field.
pub fn field_value_prefix(table: Table<'_>, field: &str, value: &FieldValue) -> Vec<u8> {
    table
        .key(KeyBuilder::new())
        .text(field)
        .value(value)
        .build()
}

/// Returns a key of `field_index`.
pub fn field_index_key(table: Table<'_>, field: &str, value: &FieldValue, id: Uuid) -> Vec<u8> {
    table
        .key(KeyBuilder::new())
        .text(field)
        .value(value)
        .id(id)
        .build()
}

/// Reads the value and the id from a key of `field_index`.
pub fn parse_field_index_key(key: &[u8]) -> Result<(FieldValue, Uuid), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    for _ in 0..3 {
        reader.bytes()?;
    }
    let parts = (reader.value()?, reader.id()?);
    reader.finish()?;
    Ok(parts)
}

/// Returns a key of `embeddings`.
pub fn embedding_key(table: Table<'_>, field: &str, id: Uuid) -> Vec<u8> {
    table.key(KeyBuilder::new()).text(field).id(id).build()
}

/// Reads the id from a key of `embeddings`.
pub fn parse_embedding_key(key: &[u8]) -> Result<Uuid, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    for _ in 0..3 {
        reader.bytes()?;
    }
    let id = reader.id()?;
    reader.finish()?;
    Ok(id)
}

/// Reads the field from a key of `embeddings`.
pub fn parse_embedding_field(key: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    reader.bytes()?;
    reader.text()
}

/// Returns the key of `meta` for the generation of a field's vectors.
pub fn generation_key(table: Table<'_>, field: &str) -> Vec<u8> {
    table
        .key(KeyBuilder::new().text("vectors"))
        .text(field)
        .build()
}

/// Returns the key of `meta` that marks an unfinished schema change of a table: some entities do
/// not follow the new schema yet.
pub fn unfinished_key(table: Table<'_>) -> Vec<u8> {
    table.key(KeyBuilder::new().text("unfinished")).build()
}

/// Returns the key of `meta` that marks a table whose validation rules have changed: its entities
/// may violate its present schema.
pub fn changed_rules_key(table: Table<'_>) -> Vec<u8> {
    table.key(KeyBuilder::new().text("changed_rules")).build()
}

/// Returns the prefix of every [`unfinished_key`].
pub fn unfinished_prefix() -> Vec<u8> {
    KeyBuilder::new().text("unfinished").build()
}

/// Reads the tenant and the table from an [`unfinished_key`].
pub fn parse_unfinished_key(key: &[u8]) -> Result<(String, String), MalformedKey> {
    let mut reader = KeyReader::new(key)?;
    reader.bytes()?;
    let parts = (reader.text()?, reader.text()?);
    reader.finish()?;
    Ok(parts)
}

/// Returns a key of `resources`.
pub fn resource_key(tenant: &str, id: &str) -> Vec<u8> {
    KeyBuilder::new().text(tenant).text(id).build()
}
