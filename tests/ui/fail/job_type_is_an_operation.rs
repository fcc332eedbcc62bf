//! An operation has its own annotation.

use percolate_core::background_job;

#[background_job(compact, schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
