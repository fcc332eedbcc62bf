//! Borrow errors of the user point to the user's code.

use percolate_otel::db_op;

#[db_op(get, cf, system = "rocksdb")]
fn get(cf: &str, key: String) -> usize {
    drop(key);
    key.len()
}

fn main() {}
