//! `none` needs the key `collection`.

use percolate_otel::db_op;

#[db_op(get, none)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
