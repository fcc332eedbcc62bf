//! A string literal is checked for form.

use percolate_core::db_op;

#[db_op("get;", cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
