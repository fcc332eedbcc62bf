//! A trait's method has no body to run.

use percolate_otel::db_op;

trait Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str);
}

fn main() {}
