//! `leaf` has no value.

use percolate_otel::db_op;

#[db_op(get, cf, leaf = true)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
