//! The sigils `%` and `?` of `tracing` are not supported.

use percolate_otel::db_op;

#[db_op(get, cf, fields(app.key = ?cf, %cf))]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
