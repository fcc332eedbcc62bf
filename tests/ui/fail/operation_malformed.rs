//! A string literal must be a valid operation name.

use percolate_otel::db_op;

#[db_op("get;", cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
