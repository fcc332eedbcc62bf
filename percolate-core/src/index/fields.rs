//! Field indexes: the ids of entities by the value of an indexed field, in typed order.
//!
//! Lists and objects are not indexed. An absent field is indexed as null.

use super::entry::{IndexEntry, Indexed};
use crate::schema::entity::field_value;
use crate::storage::keys::{self, Table, ValueRange};
use crate::storage::{ScanRange, column_families};

/// Returns the entries of an entity, one for each indexed field.
pub(crate) fn entries(entity: Indexed<'_>) -> Vec<IndexEntry> {
    let entry = |field: &String| {
        let value = field_value(entity.data.get(field))?;
        let key = keys::field_index_key(entity.table(), field, &value, entity.id);
        Some(IndexEntry {
            family: column_families::FIELD_INDEX,
            key,
            value: Vec::new(),
        })
    };
    entity
        .schema
        .indexed_fields()
        .iter()
        .filter_map(entry)
        .collect()
}

/// Returns the range of entries with a value in `values`.
pub(crate) fn value_range(table: Table<'_>, field: &str, values: &ValueRange) -> ScanRange {
    let (first, end) = values.field_index_keys(table, field);
    ScanRange::all().from(first).before(end)
}
