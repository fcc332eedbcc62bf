//! The first position must be a job type.

use percolate_otel::background_job;

#[background_job]
fn run(schema: &str) {}

fn main() {
    run("a");
}
