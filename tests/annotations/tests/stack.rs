//! The stack that an annotated call takes in addition to its function. Recursive functions need to
//! know it.

use std::hint::black_box;

use percolate_otel::db_op;

const LEVELS: usize = 100;

/// Returns the address of a local variable of this level, in a place that the optimiser keeps.
fn address(local: &u8) -> usize {
    std::ptr::from_ref(black_box(local)).addr()
}

fn plain(levels: usize, top: usize) -> usize {
    let local = 0_u8;
    let here = address(&local);
    let top = if top == 0 { here } else { top };
    let taken = if levels == 0 {
        top - here
    } else {
        plain(levels - 1, top)
    };
    black_box(&local);
    taken
}

#[db_op(get, "articles", system = "rocksdb")]
fn annotated(levels: usize, top: usize) -> usize {
    let local = 0_u8;
    let here = address(&local);
    let top = if top == 0 { here } else { top };
    let taken = if levels == 0 {
        top - here
    } else {
        annotated(levels - 1, top)
    };
    black_box(&local);
    taken
}

#[test]
fn an_annotated_call_takes_few_bytes_of_stack() {
    let of_plain = plain(LEVELS, 0) / LEVELS;
    let of_annotated = annotated(LEVELS, 0) / LEVELS;
    let taken = of_annotated - of_plain;
    let bound = if cfg!(debug_assertions) { 1024 } else { 512 };
    assert!(
        taken <= bound,
        "{taken} bytes of stack: {of_annotated}, and {of_plain} without annotation"
    );
}
