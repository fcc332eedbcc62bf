//! An attribute is given once.

use percolate_otel::db_op;

#[db_op(get, cf, fields(app.key = 1, app.key = 2))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
