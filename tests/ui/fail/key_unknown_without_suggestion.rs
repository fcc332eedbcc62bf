//! An unknown key that is not near any other.

use percolate_otel::db_op;

#[db_op(get, cf, colour = "x")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
