//! RocksDB's options for the database and its column families.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

use crate::storage::column_families::is_only_scanned;

/// Returns the options of the database.
pub(super) fn database(create_if_missing: bool) -> Options {
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
pub(super) fn family(name: &str, cache: &Cache) -> Options {
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
