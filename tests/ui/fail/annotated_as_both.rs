//! A function is an operation or a job, not both.

use percolate_otel::{background_job, db_op};

#[db_op(compact, cf)]
#[background_job(db.compact, cf)]
fn compact(cf: &str) {}

fn main() {
    compact("a");
}
