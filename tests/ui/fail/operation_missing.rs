//! The first position must be an operation.

use percolate_otel::db_op;

#[db_op]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
