//! A key needs a value after `=`.

use percolate_otel::db_op;

#[db_op(get, cf, namespace = , leaf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
