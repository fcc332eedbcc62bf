//! An annotation needs a function, not a module.

use percolate_otel::background_job;

#[background_job(wal.flush)]
mod jobs {}

fn main() {}
