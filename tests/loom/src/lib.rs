//! The files of the cell, with loom's atomics.

#![expect(dead_code, reason = "percolate-otel uses the rest")]

/// Includes files of percolate-otel's aggregation.
macro_rules! include_modules {
    ($($name:ident $path:literal)*) => {
        $(#[path = $path] mod $name;)*
    };
}

include_modules! {
    cell "../../../percolate-otel/src/aggregation/cell.rs"
    counts "../../../percolate-otel/src/aggregation/counts.rs"
    exemplars "../../../percolate-otel/src/aggregation/exemplars.rs"
    exponential "../../../percolate-otel/src/aggregation/exponential.rs"
    exponential_counts "../../../percolate-otel/src/aggregation/exponential_counts.rs"
    numbers "../../../percolate-otel/src/aggregation/numbers.rs"
    taken "../../../percolate-otel/src/aggregation/taken.rs"
    unit "../../../percolate-otel/src/aggregation/unit.rs"
    version "../../../percolate-otel/src/aggregation/version.rs"
}

/// Atomics that try every order.
mod atomics {
    pub(super) use loom::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

    /// Lets the other threads of the model run.
    pub(super) fn wait(_often: bool) {
        loom::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::Mutex;
    use loom::thread;

    use super::cell::{Cell, Layout};
    use super::counts::{BucketCounts, CellCounts};
    use super::exemplars::CellExemplar;
    use super::exponential_counts::Exponential;
    use super::unit::Unit;

    const LAYOUT: Layout = Layout::Explicit(2);

    fn buckets(counts: &CellCounts) -> &[u64] {
        match &counts.buckets {
            BucketCounts::Explicit(buckets) => buckets,
            BucketCounts::Exponential(_) => panic!("expected explicit buckets"),
        }
    }

    /// Asserts that the numbers are those of whole measurements of 3 in the first bucket and of 5
    /// in the second.
    fn assert_whole(counts: &CellCounts) {
        let buckets = buckets(counts);
        assert_eq!(counts.sum, 3 * buckets[0] + 5 * buckets[1]);
        for exemplar in counts.exemplars.iter().flatten() {
            assert_eq!(u128::from(exemplar.span_id), exemplar.trace_id);
            assert_eq!(exemplar.stamp, exemplar.span_id);
        }
    }

    fn exemplar(id: u64, value: u64) -> CellExemplar {
        CellExemplar {
            trace_id: id.into(),
            span_id: id,
            stamp: id,
            value,
        }
    }

    #[test]
    fn a_collection_sees_whole_measurements_while_a_thread_records() {
        loom::model(|| {
            let cell = Arc::new(Cell::new(LAYOUT, false));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    cell.record(0, 3);
                    cell.record(1, 5);
                })
            };
            assert_whole(&cell.collect());
            writer.join().expect("no panic");
            let counts = cell.collect();
            assert_eq!((counts.sum, buckets(&counts)), (8, &[1, 1][..]));
            assert_eq!((counts.minimum, counts.maximum), (3, 5));
        });
    }

    #[test]
    fn a_collection_sees_whole_exemplars() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(Layout::Explicit(1), false));
            cell.record_sampled(0, exemplar(1, 3));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record_sampled(0, exemplar(2, 3)))
            };
            let counts = cell.collect();
            assert_eq!(counts.sum, 3 * buckets(&counts)[0]);
            let seen = counts.exemplars[0].expect("an exemplar");
            assert_eq!(u128::from(seen.span_id), seen.trace_id);
            assert_eq!(seen.stamp, seen.span_id);
            writer.join().expect("no panic");
        });
    }

    #[test]
    fn two_collections_at_the_same_time_see_whole_measurements() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let cell = Arc::new(Cell::new(LAYOUT, false));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || assert_whole(&cell.collect()))
            };
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record(1, 5))
            };
            assert_whole(&cell.collect());
            reader.join().expect("no panic");
            writer.join().expect("no panic");
        });
    }

    /// The pool of percolate-otel gives the cell of an ended thread to the next one under a lock.
    #[test]
    fn a_thread_goes_on_in_the_cell_of_one_that_ended() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(LAYOUT, false));
            let free = Arc::new(Mutex::new(true));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (cell, free) = (Arc::clone(&cell), Arc::clone(&free));
                    thread::spawn(move || {
                        let is_mine = std::mem::take(&mut *free.lock().expect("not poisoned"));
                        if is_mine {
                            cell.record(0, 3);
                            *free.lock().expect("not poisoned") = true;
                        }
                        u64::from(is_mine)
                    })
                })
                .collect();
            let recorded: u64 = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum();
            assert_eq!(buckets(&cell.collect()), [recorded, 0]);
        });
    }

    /// Asserts that the minimum and the maximum are those of the counts.
    fn assert_extremes(counts: &CellCounts) {
        assert_whole(counts);
        let expected = match buckets(counts) {
            [0, 0] => (u64::MAX, 0),
            [_, 0] => (3, 3),
            [0, _] => (5, 5),
            _ => (3, 5),
        };
        assert_eq!((counts.minimum, counts.maximum), expected);
    }

    #[test]
    fn collections_take_each_value_once_while_a_thread_records() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(LAYOUT, true));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    cell.record(0, 3);
                    cell.record(1, 5);
                    cell.record(0, 3);
                })
            };
            let mut taken = vec![cell.collect(), cell.collect()];
            writer.join().expect("no panic");
            taken.push(cell.collect());
            taken.push(cell.collect());
            assert_eq!(buckets(&taken[3]), [0, 0]);
            taken.iter().for_each(assert_extremes);
            let taken_of =
                |bucket: usize| -> u64 { taken.iter().map(|counts| buckets(counts)[bucket]).sum() };
            assert_eq!((taken_of(0), taken_of(1)), (2, 1));
        });
    }

    #[test]
    fn a_taken_exemplar_is_whole_and_taken_once() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(LAYOUT, true));
            // Loom does not see that the first exemplar allocates before it is read.
            cell.record_sampled(0, exemplar(1, 3));
            cell.collect();
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record_sampled(0, exemplar(2, 3)))
            };
            let first = cell.collect();
            writer.join().expect("no panic");
            let taken = [first, cell.collect(), cell.collect()];
            taken.iter().for_each(assert_extremes);
            let exemplars = taken.iter().flat_map(|counts| &counts.exemplars);
            assert_eq!(exemplars.flatten().count(), 1);
            for counts in &taken {
                assert_eq!(
                    counts.exemplars.iter().flatten().count() as u64,
                    buckets(counts)[0]
                );
            }
        });
    }

    #[test]
    fn a_thread_that_ends_leaves_its_last_value_to_the_next_collection() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(LAYOUT, true));
            let free = Arc::new(Mutex::new(()));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (cell, free) = (Arc::clone(&cell), Arc::clone(&free));
                    thread::spawn(move || {
                        let _mine = free.lock().expect("not poisoned");
                        cell.record(0, 3);
                    })
                })
                .collect();
            let first = cell.collect();
            for thread in threads {
                thread.join().expect("no panic");
            }
            let last = cell.collect();
            assert_eq!(buckets(&first)[0] + buckets(&last)[0], 2);
            assert_extremes(&first);
            assert_extremes(&last);
        });
    }

    #[test]
    fn a_change_of_the_scale_is_seen_as_a_whole() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let cell = Arc::new(Cell::new(
                Layout::Exponential(Exponential {
                    max_size: 2,
                    max_scale: 1,
                    unit: Unit::Count,
                }),
                false,
            ));
            cell.record(0, 3);
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record(0, 100))
            };
            let counts = cell.collect();
            writer.join().expect("no panic");
            let count = counts.count();
            assert_eq!(counts.sum, [0, 3, 103][count as usize]);
            assert_eq!(cell.collect().count(), 2);
        });
    }
}
