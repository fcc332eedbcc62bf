//! A job names its type first.

use percolate_otel::background_job;

#[background_job]
fn run(schema: &str) {}

fn main() {
    run("a");
}
