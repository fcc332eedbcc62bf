//! A key of `#[tracing::instrument]`.

use percolate_otel::db_op;

#[db_op(get, cf, err)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
