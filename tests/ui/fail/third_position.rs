//! Everything after the collection has a name.

use percolate_otel::db_op;

#[db_op(get, cf, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
