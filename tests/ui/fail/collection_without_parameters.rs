//! The function has no parameters.

use percolate_otel::db_op;

#[db_op(get, cf)]
fn get() {}

fn main() {
    get();
}
