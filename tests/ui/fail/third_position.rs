//! Arguments after the second position need a key.

use percolate_otel::db_op;

#[db_op(get, cf, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
