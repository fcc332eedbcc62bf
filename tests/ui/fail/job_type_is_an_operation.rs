//! An operation needs `#[db_op]`.

use percolate_otel::background_job;

#[background_job(compact, schema)]
fn run(schema: &str) {}

fn main() {
    run("a");
}
