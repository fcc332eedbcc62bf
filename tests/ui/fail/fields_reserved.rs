//! An attribute that percolate records is reserved.

use percolate_otel::db_op;

#[db_op(get, cf, fields(db.namespace = "demo"))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
