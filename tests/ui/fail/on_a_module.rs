//! An annotation goes above a function.

use percolate_otel::background_job;

#[background_job(wal.flush)]
mod jobs {}

fn main() {}
