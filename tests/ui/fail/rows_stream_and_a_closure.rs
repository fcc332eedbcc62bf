//! A closure cannot read the value of `rows = stream`.

use percolate_otel::db_op;

#[db_op(scan, cf, rows = stream, batch_size = |out| 1, affected_rows = 1)]
fn get(cf: &str) -> impl Iterator<Item = u8> {
    [1].into_iter()
}

fn main() {
    get("a");
}
