//! An attribute that percolate records is reserved.

use percolate_otel::{db_op, record};

#[db_op(get, "a")]
fn get() {
    record!(db.response.returned_rows = 1);
}

fn main() {
    get();
}
