//! An annotation needs a function, not a struct.

use percolate_otel::db_op;

#[db_op(get, cf)]
struct Store;

fn main() {
    let _ = Store;
}
