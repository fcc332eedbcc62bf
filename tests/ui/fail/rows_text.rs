//! `rows` must be an integer.

use percolate_otel::db_op;

#[db_op(get, cf, rows = "1")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
