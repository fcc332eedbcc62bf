//! A type that no attribute can have.

use percolate_otel::db_op;

#[db_op(get, cf, fields(app.keys = vec![cf]))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
