//! `record!` needs arguments of the form `key = value`.

use percolate_otel::{db_op, record};

#[db_op(get, "a", system = "rocksdb")]
fn get() {
    record!(app.key);
    record!("app.key", 1);
    record!();
}

fn main() {
    get();
}
