//! A word must be a known job type.

use percolate_otel::background_job;

#[background_job(index.biuld, schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
