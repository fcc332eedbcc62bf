//! Something else in first position.

use percolate_core::db_op;

#[db_op(3, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
