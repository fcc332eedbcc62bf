//! A key of a job in an operation.

use percolate_otel::db_op;

#[db_op(get, cf, target = cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
