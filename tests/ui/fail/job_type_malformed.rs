//! A string literal must be a valid job type.

use percolate_otel::background_job;

#[background_job("Report", schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
