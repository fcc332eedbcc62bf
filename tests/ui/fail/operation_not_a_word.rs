//! Something else in first position.

use percolate_otel::db_op;

#[db_op(3, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
