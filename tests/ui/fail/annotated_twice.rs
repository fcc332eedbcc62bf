//! A function has at most one annotation.

use percolate_otel::db_op;

#[db_op(get, cf)]
#[db_op(get, cf)]
fn get(cf: &str) {}

fn main() {
    get("a");
}
