//! An unknown kind, with the nearest one.

use percolate_otel::db_op;

#[db_op(get, cf, kind = intrenal)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
