//! `#[db_ops]` is for blocks, not for functions.

use percolate_otel::db_ops;

#[db_ops(system = "redb")]
fn get(cf: &str) {}

fn main() {}
