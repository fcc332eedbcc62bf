//! A function has at most one annotation.

use percolate_otel::db_op;

#[db_op(get, cf, system = "rocksdb")]
#[db_op(get, cf, system = "rocksdb")]
fn get(cf: &str) {}

fn main() {
    get("a");
}
