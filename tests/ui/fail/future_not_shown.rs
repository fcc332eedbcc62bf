//! A future whose type the signature does not show cannot be replaced by one that ends the call.

use percolate_otel::{background_job, db_op};
use std::future::{Ready, ready};

#[db_op(get, "a", system = "rocksdb")]
fn get() -> Ready<u8> {
    ready(1)
}

#[background_job(index.build, "a")]
fn build() -> Box<dyn Future<Output = ()> + Unpin> {
    Box::new(ready(()))
}

fn main() {
    _ = (get(), build());
}
