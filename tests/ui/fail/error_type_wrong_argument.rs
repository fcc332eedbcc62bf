//! `error_type` must accept the error of the function.

use percolate_otel::db_op;

#[db_op(get, cf, error_type = name, system = "rocksdb")]
fn get(cf: &str) -> Result<(), u8> {
    Err(1)
}

fn name(_: &String) -> &'static str {
    "x"
}

fn main() {
    let _ = get("a");
}
