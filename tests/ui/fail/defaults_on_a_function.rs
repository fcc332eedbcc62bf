//! Defaults belong to a block.

use percolate_otel::db_ops;

#[db_ops(system = "redb")]
fn get(cf: &str) {}

fn main() {}
