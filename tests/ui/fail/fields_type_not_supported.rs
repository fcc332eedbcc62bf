//! The value of an attribute has an unsupported type.

use percolate_otel::db_op;

#[db_op(get, cf, fields(app.keys = vec![cf]), system = "rocksdb")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
