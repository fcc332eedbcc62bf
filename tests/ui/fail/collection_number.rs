//! A name is a text.

use percolate_otel::db_op;

#[db_op(get, collection = 7)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
