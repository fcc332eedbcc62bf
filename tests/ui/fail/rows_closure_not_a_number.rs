//! The closure of `rows` must return an integer.

use percolate_otel::db_op;

#[db_op(get, cf, rows = |out| out.is_some(), system = "rocksdb")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
