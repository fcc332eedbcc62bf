//! What percolate records has its own key.

use percolate_otel::db_op;

#[db_op(get, cf, fields(db.namespace = "demo"))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
