//! The closure of `rows` must have one argument.

use percolate_otel::db_op;

#[db_op(get, cf, rows = |a, b| 1)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
