//! Attribute names are lower_snake words.

use percolate_otel::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(app.Key = 1);
}

fn main() {
    get();
}
