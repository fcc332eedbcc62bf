//! A mistake in the annotation is the only error.

use percolate_otel::{db_op, record};

#[db_op(gte, "a")]
fn get() -> u8 {
    let key = 1;
    record!(app.key = key);
    key
}

fn main() {
    let _: u8 = get();
}
