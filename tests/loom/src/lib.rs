//! The file of the cell, with loom's atomics.

#![expect(dead_code, reason = "percolate-otel uses the rest")]

#[path = "../../../percolate-otel/src/aggregation/cell.rs"]
mod cell;

/// Atomics that try every order.
mod atomics {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};

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

    use super::cell::{Cell, CellCounts, CellExemplar};

    const BUCKETS: usize = 2;

    /// Asserts that the numbers are those of whole measurements of 3 in the first bucket and of 5
    /// in the second.
    fn assert_whole(counts: &CellCounts) {
        assert_eq!(counts.sum, 3 * counts.buckets[0] + 5 * counts.buckets[1]);
        for exemplar in counts.exemplars.iter().flatten() {
            assert_eq!(u128::from(exemplar.span_id), exemplar.trace_id);
            assert_eq!(exemplar.time, exemplar.span_id);
        }
    }

    fn exemplar(id: u64, value: u64) -> CellExemplar {
        CellExemplar {
            trace_id: id.into(),
            span_id: id,
            time: id,
            value,
        }
    }

    #[test]
    fn a_collection_sees_whole_measurements_while_a_thread_records() {
        loom::model(|| {
            let cell = Arc::new(Cell::new(BUCKETS));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    cell.record(0, 3);
                    cell.record(1, 5);
                })
            };
            assert_whole(&cell.read());
            writer.join().expect("no panic");
            let counts = cell.read();
            assert_eq!((counts.sum, counts.buckets), (8, vec![1, 1]));
            assert_eq!((counts.minimum, counts.maximum), (3, 5));
        });
    }

    #[test]
    fn a_collection_sees_whole_exemplars() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let cell = Arc::new(Cell::new(1));
            cell.record_sampled(0, exemplar(1, 3));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record_sampled(0, exemplar(2, 3)))
            };
            let counts = cell.read();
            assert_eq!(counts.sum, 3 * counts.buckets[0]);
            let seen = counts.exemplars[0].expect("an exemplar");
            assert_eq!(u128::from(seen.span_id), seen.trace_id);
            assert_eq!(seen.time, seen.span_id);
            writer.join().expect("no panic");
        });
    }

    #[test]
    fn two_collections_at_the_same_time_see_whole_measurements() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let cell = Arc::new(Cell::new(BUCKETS));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || assert_whole(&cell.read()))
            };
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.record(1, 5))
            };
            assert_whole(&cell.read());
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
            let cell = Arc::new(Cell::new(BUCKETS));
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
            assert_eq!(cell.read().buckets, [recorded, 0]);
        });
    }
}
