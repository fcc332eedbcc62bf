//! The key index: the id of an entity by the value of its key field.

use uuid::Uuid;

use super::entry::{IndexEntry, Indexed};
use crate::storage::{column_families, keys};

/// Returns the entry of an entity, none if its table has no key field.
pub(crate) fn entries(entity: Indexed<'_>) -> Vec<IndexEntry> {
    let key = entity.schema.key_of(entity.data).ok().flatten();
    let entry = |key: String| IndexEntry {
        family: column_families::KEY_INDEX,
        key: keys::key_index_key(entity.table(), &key),
        value: entity.id.as_bytes().to_vec(),
    };
    key.map(entry).into_iter().collect()
}

/// Returns the id in an entry, `None` if it is malformed.
pub(crate) fn owner(value: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(value).ok()
}
