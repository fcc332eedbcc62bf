//! A type that no attribute can have.

use percolate_core::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(app.key = ());
}

fn main() {
    get();
}
