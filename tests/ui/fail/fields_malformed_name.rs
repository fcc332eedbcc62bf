//! Attribute names are lower_snake words.

use percolate_otel::db_op;

#[db_op(get, cf, fields(App.Key = 1))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
