//! What percolate records has its own key.

use percolate_otel::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(db.response.returned_rows = 1);
}

fn main() {
    get();
}
