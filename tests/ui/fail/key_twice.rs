//! A key is given once.

use percolate_otel::db_op;

#[db_op(get, cf, system = "redb", system = "sled")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
