//! The span name must not be empty.

use percolate_otel::db_op;

#[db_op(get, cf, name = "")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
