//! The keys of defaults are checked.

use percolate_otel::{background_job, background_jobs};

struct Store;

#[background_jobs(laef)]
impl Store {
    #[background_job(wal.flush)]
    fn flush() {}
}

fn main() {}
