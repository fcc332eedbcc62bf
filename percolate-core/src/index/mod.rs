//! Indexes over entities. An index is derived data: it follows from the entities and their schema,
//! so it can be verified against them and rebuilt.
//!
//! `keys` and `fields` compute the index entries of an entity; the caller writes them in the same
//! batch as the entity. `vectors` and `saved` are the indexes of semantic search. Rebuilding and
//! verification are in [`admin`](crate::admin).

mod entry;
pub(crate) mod fields;
pub(crate) mod keys;
pub(crate) mod report;
pub(crate) mod saved;
pub(crate) mod vectors;

pub(crate) use entry::{IndexEntry, Indexed};

use crate::storage::{BatchWriter, WriteError};

/// Returns all index entries of an entity.
pub(crate) fn entries(entity: Indexed<'_>) -> Vec<IndexEntry> {
    let mut entries = keys::entries(entity);
    entries.extend(fields::entries(entity));
    entries
}

/// Adds to `batch` the deletes and puts that replace the entries `old` with `new`. Entries in both
/// are not written.
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
