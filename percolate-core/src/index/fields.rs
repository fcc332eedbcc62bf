//! Field indexes: the ids of entities by the value of an indexed field, in typed order.
//!
//! Lists and objects are not indexed. An absent field is indexed as null.

use std::ops::Bound;

use super::entry::{IndexEntry, Indexed};
use crate::schema::entity::field_value;
#[cfg(feature = "sql")]
use crate::storage::keys::ValueRange;
use crate::storage::keys::{self, FieldValue, Table};
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

/// Returns the range of entries with a value within the bounds.
pub(crate) fn range(
    table: Table<'_>,
    field: &str,
    (lower, upper): (Bound<&FieldValue>, Bound<&FieldValue>),
) -> ScanRange {
    let of = |value| keys::field_value_prefix(table, field, value);
    let all = ScanRange::prefix(keys::field_prefix(table, field));
    let from_lower = match lower {
        Bound::Included(value) => all.from(of(value)),
        Bound::Excluded(value) => all.after_prefix(of(value)),
        Bound::Unbounded => all,
    };
    match upper {
        Bound::Included(value) => from_lower.through_prefix(of(value)),
        Bound::Excluded(value) => from_lower.before(of(value)),
        Bound::Unbounded => from_lower,
    }
}

/// Returns the range of entries with a value in `values`.
#[cfg(feature = "sql")]
pub(crate) fn value_range(table: Table<'_>, field: &str, values: &ValueRange) -> ScanRange {
    let (first, end) = values.field_index_keys(table, field);
    ScanRange::all().from(first).before(end)
}
