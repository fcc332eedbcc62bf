//! Indexes over entities. An index is derived: everything in it follows from an entity and its schema, so it can be
//! compared with what it should be, and made anew.
//!
//! `keys` and `fields` say which entries an entity has; writing them is the business of whoever writes the entity,
//! in the same batch. `vectors`, `hnsw` and `saved` are the indexes that searches by meaning use. Rebuilding and verifying are in [`admin`](crate::admin).

pub(crate) mod fields;
#[cfg(feature = "hnsw")]
pub(crate) mod hnsw;
pub(crate) mod keys;
pub(crate) mod saved;
pub(crate) mod vectors;

use serde_json::Value;
use uuid::Uuid;

use crate::schema::Schema;
use crate::storage::{BatchWriter, WriteError};

/// One entry of an index: where it lies and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) family: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// An entity as an index sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indexed<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) schema: &'a Schema,
    pub(crate) id: Uuid,
    pub(crate) data: &'a Value,
}

/// All entries of an entity.
pub(crate) fn entries(entity: Indexed<'_>) -> Vec<IndexEntry> {
    let mut entries = keys::entries(entity);
    entries.extend(fields::entries(entity));
    entries
}

/// Adds to `batch` what turns the entries `old` into `new`; what is in both is left alone.
pub(crate) fn change(
    batch: &mut BatchWriter<'_>,
    old: &[IndexEntry],
    new: &[IndexEntry],
) -> Result<(), WriteError> {
    for entry in old
        .iter()
        .filter(|entry| !new.iter().any(|new| new.key == entry.key))
    {
        batch.delete(entry.family, &entry.key)?;
    }
    for entry in new.iter().filter(|entry| !old.contains(entry)) {
        batch.put(entry.family, &entry.key, &entry.value)?;
    }
    Ok(())
}
