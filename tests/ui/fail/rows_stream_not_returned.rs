//! Nothing is returned that can be counted later.

use percolate_otel::db_op;

#[db_op(get, cf, rows = stream)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
