//! A path is not a string.

use percolate_core::db_op;

#[db_op(get, cf, crate = "percolate_core")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
