//! A job has a target.

use percolate_otel::background_job;

#[background_job(wal.flush, collection = schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
