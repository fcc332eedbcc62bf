//! Type errors of the user point to the user's code, in an `async fn` too.

use percolate_otel::db_op;

#[db_op(get, cf, system = "rocksdb")]
async fn tail(cf: &str) -> Result<u8, String> {
    cf.len()
}

#[db_op(get, cf, system = "rocksdb")]
async fn early(cf: &str) -> Result<u8, String> {
    if cf.is_empty() {
        return 3;
    }
    Ok(1)
}

#[db_op(get, cf, system = "rocksdb")]
async fn question_mark(cf: &str) -> Result<u8, String> {
    Ok(cf.parse::<u8>()?)
}

#[db_op(get, cf, system = "rocksdb")]
async fn nothing(cf: &str) -> Option<u8> {
    cf.len();
}

fn main() {}
