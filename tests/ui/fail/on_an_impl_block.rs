//! An annotation needs a function, not an `impl` block.

use percolate_otel::db_op;

struct Store;

#[db_op(get, cf)]
impl Store {
    fn get() {}
}

fn main() {
    Store::get();
}
