//! A string literal is checked for form.

use percolate_otel::background_job;

#[background_job("Report", schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
