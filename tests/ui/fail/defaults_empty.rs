//! `#[db_ops]` needs at least one key.

use percolate_otel::{db_op, db_ops};

struct Store;

#[db_ops]
impl Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str) {}
}

fn main() {}
