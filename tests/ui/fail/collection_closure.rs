//! The collection is evaluated at entry, so it cannot be a closure.

use percolate_otel::db_op;

#[db_op(get, collection = |out| cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
