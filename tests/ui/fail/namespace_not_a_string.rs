//! The expression must implement `AsRef<str>`.

use percolate_otel::db_op;

#[db_op(get, cf, namespace = cf.len(), system = "rocksdb")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
