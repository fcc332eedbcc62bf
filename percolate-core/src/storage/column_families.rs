//! The column families: their names, their keys and values, and RocksDB's options for them. No
//! other file has the name or an option of a family. [`keys`](super::keys) builds the bytes of
//! keys.
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

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

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
pub(super) const DEFAULT: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

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

/// Returns the options of the database.
pub(super) fn database_options(create_if_missing: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create_if_missing);
    options.create_missing_column_families(true);
    // After a crash, the last record of the log may be incomplete. Any other damage is an error.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A log that is missing, or shorter than it was when it was synced, is an error. Read-only opens
    // need the option too: RocksDB 11.8 crashes without it if the database was written with it.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_keep_log_file_num(4);
    options
}

/// Returns the options of the family `name`. All families share `cache`.
pub(super) fn family_options(name: &str, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    if !is_only_scanned(name) {
        blocks.set_bloom_filter(10.0, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options
}

/// Returns whether a family is never read by exact key, so that a Bloom filter would be useless.
fn is_only_scanned(name: &str) -> bool {
    matches!(name, FIELD_INDEX | PENDING_EMBEDDINGS)
}
