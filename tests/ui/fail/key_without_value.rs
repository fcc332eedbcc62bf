//! A key needs a value.

use percolate_otel::db_op;

#[db_op(get, cf, namespace)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
