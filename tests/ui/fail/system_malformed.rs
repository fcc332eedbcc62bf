//! `system` must be a lower-case word.

use percolate_otel::db_op;

#[db_op(get, cf, system = "RocksDB")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
