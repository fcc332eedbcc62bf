//! `fields` needs parentheses.

use percolate_otel::db_op;

#[db_op(get, cf, fields = 3)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
