//! A constant has no telemetry.

use percolate_core::db_op;

#[db_op(get, cf)]
const fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
