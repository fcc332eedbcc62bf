//! An annotation goes above a function.

use percolate_otel::db_op;

#[db_op(get, cf)]
struct Store;

fn main() {
    let _ = Store;
}
