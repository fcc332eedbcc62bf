//! An attribute name consists of lower_snake words joined by dots.

use percolate_otel::db_op;

#[db_op(get, cf, fields(App.Key = 1))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
