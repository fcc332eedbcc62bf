//! The engine below the stores of a test: RocksDB, or SlateDB with `PERCOLATE_TEST_ENGINE=slatedb`.

use std::path::{Path, PathBuf};

/// Returns where the tests open a store: the directory itself, or an object store of its files.
pub(crate) fn place(directory: &Path) -> PathBuf {
    if name() == "slatedb" {
        return PathBuf::from(format!("file://{}", directory.display()));
    }
    directory.to_owned()
}

/// Returns the name of the engine, `db.system.name`.
pub(crate) fn name() -> &'static str {
    match std::env::var("PERCOLATE_TEST_ENGINE") {
        Ok(name) if name == "slatedb" => "slatedb",
        Ok(name) => panic!("PERCOLATE_TEST_ENGINE is `{name}`; only `slatedb` is supported"),
        Err(_) => "rocksdb",
    }
}

/// Returns whether the engine is RocksDB. A test that needs it says why before it returns.
#[allow(
    dead_code,
    reason = "each test program includes this file, and some need no such test"
)]
pub(crate) fn is_rocksdb_or_skip(reason: &str) -> bool {
    let is_rocksdb = name() == "rocksdb";
    if !is_rocksdb {
        let out = &mut std::io::stderr();
        _ = std::io::Write::write_fmt(out, format_args!("skipped over {}: {reason}\n", name()));
    }
    is_rocksdb
}
