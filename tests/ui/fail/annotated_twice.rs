//! A function is one operation.

use percolate_otel::db_op;

#[db_op(get, cf)]
#[db_op(get, cf)]
fn get(cf: &str) {}

fn main() {
    get("a");
}
