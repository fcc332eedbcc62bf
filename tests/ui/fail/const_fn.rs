//! A `const fn` cannot be annotated.

use percolate_otel::db_op;

#[db_op(get, cf)]
const fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
