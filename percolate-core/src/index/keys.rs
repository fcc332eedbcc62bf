//! The key index: from the value of a table's key field to the id of the entity that has it.

use uuid::Uuid;

use super::entry::{IndexEntry, Indexed};
use crate::storage::{column_families, keys};

/// The entry of an entity; none when its table has no key field.
pub(crate) fn entries(entity: Indexed<'_>) -> Vec<IndexEntry> {
    let key = entity.schema.key_of(entity.data).ok().flatten();
    let entry = |key: String| IndexEntry {
        family: column_families::KEY_INDEX,
        key: keys::key_index_key(entity.table(), &key),
        value: entity.id.as_bytes().to_vec(),
    };
    key.map(entry).into_iter().collect()
}

/// The id an entry points to; `None` when its bytes are no id.
pub(crate) fn owner(value: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(value).ok()
}
