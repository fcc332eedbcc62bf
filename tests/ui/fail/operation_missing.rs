//! An annotation names its operation first.

use percolate_otel::db_op;

#[db_op]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
