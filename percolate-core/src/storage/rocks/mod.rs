//! RocksDB in a directory: [`RocksEngine`]. The only folder that uses the `rocksdb` crate.
//!
//! After a write that failed halfway, an engine rejects all writes: data after an uncertain end of
//! the log would be lost at a restart.

mod batch;
mod cursor;
mod directory;
mod engine;
mod events;
mod families;
mod log;
mod metrics;
mod open;
mod options;
mod perf;
mod store;

pub(super) use self::store::RocksEngine;

/// `db.system.name` of RocksDB.
pub(super) const SYSTEM: &str = "rocksdb";

#[cfg(test)]
mod tests;
