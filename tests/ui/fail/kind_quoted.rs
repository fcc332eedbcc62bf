//! `kind` must be a word without quotes.

use percolate_otel::db_op;

#[db_op(get, cf, kind = "internal")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
