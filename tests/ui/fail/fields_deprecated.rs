//! A deprecated attribute name is reserved too.

use percolate_otel::db_op;

#[db_op(get, cf, fields("db.statement" = "x"))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
