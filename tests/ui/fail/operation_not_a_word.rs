//! The first position must be a word or a string literal.

use percolate_otel::db_op;

#[db_op(3, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
