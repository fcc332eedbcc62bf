//! A string literal is checked for form.

use percolate_otel::db_op;

#[db_op("get;", cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
