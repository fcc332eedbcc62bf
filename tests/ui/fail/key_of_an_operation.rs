//! A key of an operation in a job.

use percolate_otel::background_job;

#[background_job(wal.flush, schema, rows = 1)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
