//! The collection must be a string.

use percolate_otel::db_op;

#[db_op(get, collection = 7)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
