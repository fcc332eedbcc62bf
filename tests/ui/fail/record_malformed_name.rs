//! An attribute name consists of lower_snake words joined by dots.

use percolate_otel::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(app.Key = 1);
}

fn main() {
    get();
}
