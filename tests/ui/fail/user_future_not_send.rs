//! The future is `Send` only if the body of the user is.

use percolate_otel::db_op;

#[db_op(get, cf, system = "rocksdb")]
async fn get(cf: &str) {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn send(_: impl Send) {}

fn main() {
    send(get("a"));
}
