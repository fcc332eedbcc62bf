//! The parameter must implement `AsRef<str>`.

use percolate_otel::db_op;

#[db_op(get, cf, system = "rocksdb")]
fn get(cf: u64) -> Option<u8> {
    None
}

fn main() {
    get(1);
}
