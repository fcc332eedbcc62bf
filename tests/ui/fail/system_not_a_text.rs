//! An expression for the system must implement `AsRef<str>`.

use percolate_otel::db_op;

#[db_op(get, cf, system = cf.len())]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
