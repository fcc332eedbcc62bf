//! An annotation goes above a function.

use percolate_core::db_op;

#[db_op(get, cf)]
struct Store;

fn main() {
    let _ = Store;
}
