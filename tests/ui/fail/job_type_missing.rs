//! A job names its type first.

use percolate_core::background_job;

#[background_job]
fn run(schema: &str) {}

fn main() {
    run("a");
}
