//! A default uses `self`, which one of the functions does not have.

use percolate_otel::{db_op, db_ops};

struct Store;

#[db_ops(namespace = self.name())]
impl Store {
    fn name(&self) -> &str {
        "demo"
    }

    #[db_op(get, cf)]
    fn get(cf: &str) {}
}

fn main() {}
