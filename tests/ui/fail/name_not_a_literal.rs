//! A span's name is fixed.

use percolate_otel::db_op;

#[db_op(get, cf, name = cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
