//! `metrics` must be `off` or `on`.

use percolate_otel::db_op;

#[db_op(get, cf, metrics = false)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
