//! `crate` must be a path without quotes.

use percolate_otel::db_op;

#[db_op(get, cf, crate = "percolate_otel")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
