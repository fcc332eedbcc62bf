//! The column families: their names, their keys and values, and the format version. No other file
//! has the name of a family. [`keys`](super::keys) builds the bytes of keys.
//!
//! | Family | Key | Value |
//! |---|---|---|
//! | `meta` | the word `format` | format version, u32, big-endian |
//! | `meta` | `vectors`, tenant, table, field | generation of the field's vectors, 16 bytes |
//! | `meta` | `unfinished`, tenant, table | not all entities follow a changed schema yet; 1 byte, 1 if they must be embedded again |
//! | `meta` | `changed_rules`, tenant, table | the table can contain entities that its schema forbids; empty |
//! | `schemas` | tenant, table | the registered schema, JSON |
//! | `entities` | tenant, table, id | entity record (see `schema::entity`) |
//! | `key_index` | tenant, table, key | id, 16 bytes |
//! | `field_index` | tenant, table, field, typed value, id | empty |
//! | `embeddings` | tenant, table, field, id | consecutive f32, little-endian; then a 1 if the vector was supplied with its entity |
//! | `pending_embeddings` | tenant, table, id | empty |
//! | `resources` | tenant, id | the bytes of the resource |

use std::path::Path;

use super::error::OpenError;

/// The store's own data.
pub const META: &str = "meta";
/// Registered schemas.
pub const SCHEMAS: &str = "schemas";
/// Entities.
pub const ENTITIES: &str = "entities";
/// The ids of entities by key.
pub const KEY_INDEX: &str = "key_index";
/// The ids of entities by field value.
pub const FIELD_INDEX: &str = "field_index";
/// Embedding vectors.
pub const EMBEDDINGS: &str = "embeddings";
/// Entities that wait for their embeddings.
pub const PENDING_EMBEDDINGS: &str = "pending_embeddings";
/// Resources: bytes by id.
pub const RESOURCES: &str = "resources";

/// The family that RocksDB always creates. percolate does not use it.
pub(super) const DEFAULT: &str = "default";

/// The families of a database. A [`Storage`](super::Storage) alone has only `meta`.
pub const DATABASE: [&str; 7] = [
    SCHEMAS,
    ENTITIES,
    KEY_INDEX,
    FIELD_INDEX,
    EMBEDDINGS,
    PENDING_EMBEDDINGS,
    RESOURCES,
];

/// The format version of databases that this build creates.
///
/// | Version | Since | Change |
/// |---|---|---|
/// | 1 | 0.1.0 | first |
pub const FORMAT_VERSION: u32 = 1;

/// The key of [`FORMAT_VERSION`] in `meta`.
pub(super) const FORMAT_KEY: &[u8] = b"format";

/// Compares the bytes that a database has at [`FORMAT_KEY`] with the versions that this build can
/// read. Returns the bytes to write there if the database is new.
pub(super) fn check_format(
    path: &Path,
    recorded: Option<&[u8]>,
    is_new: bool,
) -> Result<Option<[u8; 4]>, OpenError> {
    let recorded = recorded.map(|bytes| <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes));
    match recorded {
        Some(Ok(found)) if found > FORMAT_VERSION => Err(OpenError::NewerFormat {
            path: path.to_owned(),
            found,
            supported: FORMAT_VERSION,
        }),
        Some(Ok(_)) => Ok(None),
        None if is_new => Ok(Some(FORMAT_VERSION.to_be_bytes())),
        Some(Err(_)) | None => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// Returns whether a family is never read by exact key, so that a Bloom filter would be useless.
pub(super) fn is_only_scanned(name: &str) -> bool {
    matches!(name, FIELD_INDEX | PENDING_EMBEDDINGS)
}
