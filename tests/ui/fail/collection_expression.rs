//! An expression needs the key `collection`.

use percolate_otel::db_op;

#[db_op(get, &cf[1..])]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
