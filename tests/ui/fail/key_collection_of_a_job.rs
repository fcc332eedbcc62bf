//! A job has a target, not a collection.

use percolate_otel::background_job;

#[background_job(wal.flush, collection = schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
