//! The block has no annotated method.

use percolate_otel::db_ops;

struct Store;

#[db_ops(system = "redb")]
impl Store {
    fn get(&self, cf: &str) {}
}

fn main() {}
