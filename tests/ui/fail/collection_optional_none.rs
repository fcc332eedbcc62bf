//! `collection? = …` needs an `Option`.

use percolate_otel::db_op;

#[db_op(get, collection? = none)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
