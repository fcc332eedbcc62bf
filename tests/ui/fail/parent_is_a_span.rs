//! `parent` is the relation to the current span, not a span as in `#[instrument]`.

use percolate_otel::db_op;

#[db_op(get, cf, parent = tracing::Span::current(), system = "rocksdb")]
fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
