//! The key bytes of every column family. All keys are built and parsed here. Stored values are in
//! `schema::entity`.
//!
//! Keys sort in read order: by tenant, then by table, then by the remaining parts (`layout`). A key
//! is the version byte 1, followed by its parts (`parts`). Text is escaped so that order is kept
//! and no part is a prefix of another: byte 0 becomes `00 FF`, and `00 01` ends the part. So the
//! names of tenants, tables and fields may contain any byte. An id is its 16 bytes. Field values
//! are encoded by `value`.

mod layout;
mod parts;
mod range;
mod value;

pub use self::layout::{
    Table, changed_rules_key, embedding_key, entity_key, field_index_key, field_prefix,
    field_value_prefix, generation_key, key_index_key, parse_embedding_field, parse_embedding_key,
    parse_entity_key, parse_field_index_key, parse_schema_key, parse_table, parse_unfinished_key,
    resource_key, schema_key, table_prefix, table_range, tenant_prefix, unfinished_key,
    unfinished_prefix,
};
pub use self::parts::{KEY_VERSION, KeyBuilder, KeyReader, MalformedKey};
pub use self::range::ValueRange;
pub use self::value::FieldValue;

#[cfg(test)]
mod tests;
