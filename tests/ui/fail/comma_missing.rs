//! Arguments are separated by commas.

use percolate_otel::db_op;

#[db_op(get, cf namespace = "demo")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
