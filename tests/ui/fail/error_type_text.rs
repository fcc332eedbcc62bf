//! `error_type` must be a function.

use percolate_otel::db_op;

#[db_op(get, cf, error_type = "Missing")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
