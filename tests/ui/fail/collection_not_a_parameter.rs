//! The second position must be a parameter.

use percolate_otel::db_op;

#[db_op(get, fc)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
