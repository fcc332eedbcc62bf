//! `#[db_ops]` has no operation.

use percolate_otel::{db_op, db_ops};

struct Store;

#[db_ops(get, system = "redb")]
impl Store {
    #[db_op(get, cf)]
    fn get(cf: &str) {}
}

fn main() {}
