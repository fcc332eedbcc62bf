//! `crate` must be a path.

use percolate_otel::db_op;

#[db_op(get, cf, crate = 3)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
