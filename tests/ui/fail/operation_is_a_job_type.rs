//! A job type needs `#[background_job]`.

use percolate_otel::db_op;

#[db_op(index.build, cf)]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
