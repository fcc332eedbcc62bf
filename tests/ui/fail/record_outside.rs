//! `record!` needs an annotated function around it.

use percolate_otel::record;

fn get() {
    record!(app.key = 1);
}

fn main() {
    get();
}
