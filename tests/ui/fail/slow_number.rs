//! `slow` must be a string literal.

use percolate_otel::db_op;

#[db_op(get, cf, slow = 5)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
