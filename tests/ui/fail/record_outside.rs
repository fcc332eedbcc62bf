//! `record!` adds to a call.

use percolate_otel::record;

fn get() {
    record!(app.key = 1);
}

fn main() {
    get();
}
