//! Only `collection` supports `?`.

use percolate_otel::db_op;

#[db_op(get, cf, namespace? = None::<&str>)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
