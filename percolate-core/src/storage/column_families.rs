//! Every column family: its name, what its keys and values are, and RocksDB's options for it. No other file holds
//! a family's name or an option. The key bytes themselves are built in [`keys`](super::keys).
//!
//! | Family | Key | Value |
//! |---|---|---|
//! | `meta` | the word `format` | format version, u32, big-endian |
//! | `meta` | `vectors`, tenant, table, field | generation of the field's vectors, 16 bytes |
//! | `meta` | `unfinished`, tenant, table | entities do not all follow a changed schema yet; 1 byte, 1 if they are embedded anew |
//! | `meta` | `changed_rules`, tenant, table | the table may hold entities that its schema forbids; empty |
//! | `schemas` | tenant, table | the registered schema, JSON |
//! | `entities` | tenant, table, id | entity record (see `schema::entity`) |
//! | `key_index` | tenant, table, key | id, 16 bytes |
//! | `field_index` | tenant, table, field, typed value, id | empty |
//! | `embeddings` | tenant, table, field, id | f32, little-endian, one after the other |
//! | `pending_embeddings` | tenant, table, id | empty |
//! | `resources` | tenant, id | bytes as given |

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

/// What the store says about itself.
pub const META: &str = "meta";
/// Registered schemas.
pub const SCHEMAS: &str = "schemas";
/// Entities.
pub const ENTITIES: &str = "entities";
/// From an entity's key to its id.
pub const KEY_INDEX: &str = "key_index";
/// From a field's value to the ids of the entities that have it.
pub const FIELD_INDEX: &str = "field_index";
/// Embedding vectors.
pub const EMBEDDINGS: &str = "embeddings";
/// Entities whose embeddings are to be made.
pub const PENDING_EMBEDDINGS: &str = "pending_embeddings";
/// Resources: bytes under an id.
pub const RESOURCES: &str = "resources";

/// The family RocksDB makes by itself; percolate keeps nothing in it.
pub(super) const DEFAULT: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

/// The families of a database of entities. A bare [`Storage`](super::Storage) has `meta` alone.
pub const DATABASE: [&str; 7] = [
    SCHEMAS,
    ENTITIES,
    KEY_INDEX,
    FIELD_INDEX,
    EMBEDDINGS,
    PENDING_EMBEDDINGS,
    RESOURCES,
];

/// The format this build writes, recorded in every database it makes.
///
/// | Version | Since | What changed |
/// |---|---|---|
/// | 1 | 0.1.0 | first |
pub const FORMAT_VERSION: u32 = 1;

/// Where [`FORMAT_VERSION`] is kept in `meta`.
pub(super) const FORMAT_KEY: &[u8] = b"format";

/// Options of the database as a whole.
pub(super) fn database_options(create_if_missing: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create_if_missing);
    options.create_missing_column_families(true);
    // A log may end in a torn record after a crash; damage anywhere before that must be an error, not silent loss.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_keep_log_file_num(4);
    options
}

/// Options of the family `name`. All of them share `cache`.
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

/// Families never asked for one exact key: a filter for those would be paid and not used.
fn is_only_scanned(name: &str) -> bool {
    matches!(name, FIELD_INDEX | PENDING_EMBEDDINGS)
}
