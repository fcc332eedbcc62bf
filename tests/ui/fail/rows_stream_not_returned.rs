//! `rows = stream` needs a function that returns a stream or an iterator.

use percolate_otel::db_op;

#[db_op(get, cf, rows = stream)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
