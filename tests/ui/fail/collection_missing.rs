//! Some operations need a collection.

use percolate_otel::db_op;

#[db_op(get)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
