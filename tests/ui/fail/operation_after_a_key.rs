//! The operation must come first.

use percolate_otel::db_op;

#[db_op(collection = cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
