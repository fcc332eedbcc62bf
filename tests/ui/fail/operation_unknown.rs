//! Operations known by name are a closed list.

use percolate_otel::db_op;

#[db_op(gte, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
