//! There is no parameter to name.

use percolate_otel::db_op;

#[db_op(get, cf)]
fn get() {}

fn main() {
    get();
}
