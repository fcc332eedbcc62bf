//! The cell and its pool with real atomics and threads, for Miri and ThreadSanitizer: see
//! `docs/development.md`.

#![expect(dead_code, reason = "percolate-otel uses the rest")]

/// Includes files of percolate-otel's aggregation.
macro_rules! include_modules {
    ($($name:ident $path:literal)*) => {
        $(#[path = $path] mod $name;)*
    };
}

include_modules! {
    atomics "../../../percolate-otel/src/aggregation/atomics.rs"
    cell "../../../percolate-otel/src/aggregation/cell.rs"
    counts "../../../percolate-otel/src/aggregation/counts.rs"
    exemplars "../../../percolate-otel/src/aggregation/exemplars.rs"
    exponential "../../../percolate-otel/src/aggregation/exponential.rs"
    exponential_counts "../../../percolate-otel/src/aggregation/exponential_counts.rs"
    numbers "../../../percolate-otel/src/aggregation/numbers.rs"
    pool "../../../percolate-otel/src/aggregation/pool.rs"
    readers "../../../percolate-otel/src/aggregation/readers.rs"
    taken "../../../percolate-otel/src/aggregation/taken.rs"
    unit "../../../percolate-otel/src/aggregation/unit.rs"
    version "../../../percolate-otel/src/aggregation/version.rs"
}

use std::sync::{Arc, Mutex};

use cell::{Cell, Layout};
use counts::CellCounts;
use exemplars::CellExemplar;
use exponential_counts::Exponential;
use pool::CellPool;
use readers::{Readers, Temporality};
use unit::Unit;

const EXPONENTIAL: Exponential = Exponential {
    max_size: 20,
    max_scale: 20,
    unit: Unit::Nanoseconds,
};
const THREADS: u64 = 4;
const VALUES: u64 = if cfg!(miri) { 50 } else { 20_000 };

/// Records in one thread after the other, as the pool assigns a cell, while another one collects.
fn record_and_collect(layout: Layout, is_taken: bool) {
    let cell = Arc::new(Cell::new(layout, is_taken));
    let turn = Arc::new(Mutex::new(()));
    let writers: Vec<_> = (1..=THREADS)
        .map(|thread| {
            let (cell, turn) = (Arc::clone(&cell), Arc::clone(&turn));
            std::thread::spawn(move || {
                let _mine = turn.lock().expect("not poisoned");
                for n in 1..=VALUES {
                    let id = thread * VALUES + n;
                    if n % 3 == 0 {
                        cell.record_sampled(
                            1,
                            CellExemplar {
                                trace_id: id.into(),
                                span_id: id,
                                stamp: id,
                                value: n,
                            },
                        );
                    } else {
                        cell.record(0, n);
                    }
                }
            })
        })
        .collect();
    let mut collected = Vec::new();
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        collected.push(cell.collect());
    }
    for writer in writers {
        writer.join().expect("no panic");
    }
    collected.push(cell.collect());
    collected.iter().for_each(assert_whole);
    if !is_taken {
        collected.drain(..collected.len() - 1);
    }
    let total: u64 = collected.iter().map(CellCounts::count).sum();
    assert_eq!(total, THREADS * VALUES);
    let sum: u64 = collected.iter().map(|counts| counts.sum).sum();
    assert_eq!(sum, THREADS * VALUES * (VALUES + 1) / 2);
}

fn assert_whole(counts: &CellCounts) {
    let count = counts.count();
    assert!(count == 0 || counts.minimum * count <= counts.sum);
    assert!(counts.sum <= counts.maximum * count);
    for exemplar in counts.exemplars.iter().flatten() {
        assert_eq!(u128::from(exemplar.span_id), exemplar.trace_id);
        assert_eq!(exemplar.stamp, exemplar.span_id);
    }
}

#[test]
fn explicit_values_are_read_whole() {
    record_and_collect(Layout::Explicit(2), false);
}

#[test]
fn exponential_values_are_read_whole() {
    record_and_collect(Layout::Exponential(EXPONENTIAL), false);
}

#[test]
fn explicit_values_are_taken_once() {
    record_and_collect(Layout::Explicit(2), true);
}

#[test]
fn exponential_values_are_taken_once() {
    record_and_collect(Layout::Exponential(EXPONENTIAL), true);
}

#[test]
fn threads_that_come_and_go_lose_nothing_while_readers_collect() {
    const ROUNDS: u64 = if cfg!(miri) { 3 } else { 200 };
    let readers = Readers::new(vec![Temporality::Delta, Temporality::Cumulative]);
    let pool = CellPool::leak(Layout::Explicit(2), readers.has_delta());
    let collect = |reader: usize| {
        let interval = readers.begin(reader).expect("two readers");
        let counts = pool.collect(&readers, &interval);
        interval.end();
        assert_whole(&counts);
        counts.count()
    };
    let record = |value: u64| {
        let slot = usize::try_from(value).expect("few");
        pool.record(slot, (1, value), None);
        pool.record_shared((0, value), None);
    };
    let mut taken = 0;
    for round in 1..=ROUNDS {
        std::thread::scope(|scope| {
            for thread in 1..=THREADS {
                scope.spawn(move || record(round + thread));
            }
            taken += collect(0);
            collect(1);
        });
    }
    assert_eq!(taken + collect(0), 2 * ROUNDS * THREADS);
    assert_eq!(collect(1), 2 * ROUNDS * THREADS);
    assert_eq!(collect(0), 0);
}
