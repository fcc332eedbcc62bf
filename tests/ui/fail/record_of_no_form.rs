//! `record!` takes `key = value`.

use percolate_core::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(app.key);
    record!("app.key", 1);
    record!();
}

fn main() {
    get();
}
