//! A word must be a known operation.

use percolate_otel::db_op;

#[db_op(gte, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
