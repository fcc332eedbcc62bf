//! A name is read at entry.

use percolate_otel::db_op;

#[db_op(get, collection = |out| cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
