//! A misspelled `collection` is one mistake, not a missing collection too.

use percolate_otel::db_op;

#[db_op(get, colection = cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
