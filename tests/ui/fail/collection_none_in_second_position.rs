//! `none` is said with the key.

use percolate_otel::db_op;

#[db_op(get, none)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
