//! An expression needs its key.

use percolate_otel::db_op;

#[db_op(get, &cf[1..])]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
