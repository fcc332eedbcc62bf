//! The value of an attribute has an unsupported type.

use percolate_otel::{db_op, record};

#[db_op(get, "a", system = "rocksdb")]
fn get() {
    record!(app.key = ());
}

fn main() {
    get();
}
