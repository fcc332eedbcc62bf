//! Job types known by name are a closed list.

use percolate_otel::background_job;

#[background_job(index.biuld, schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
