//! The collection is given once: in the second position or with the key.

use percolate_otel::db_op;

#[db_op(get, cf, collection = cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
