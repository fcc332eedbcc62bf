//! An annotated function needs a body.

use percolate_otel::db_op;

trait Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str);
}

fn main() {}
