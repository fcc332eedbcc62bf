//! The count of calls that a pipeline missed, because they ended or started after its shutdown.
//!
//! A thread adds to one of several counts, so that threads rarely wait for each other's cache line.
//! The memory is bounded, and a runtime that misses no call has none.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The number of counts, each in a cache line of its own.
const COUNTS: usize = 16;

thread_local! {
    /// The index of the count of this thread.
    static MINE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The calls that one pipeline missed.
#[derive(Debug, Default)]
pub(crate) struct LaterCalls {
    counts: OnceLock<Box<[Count; COUNTS]>>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Count {
    /// The calls that have no span, or whose span the recorder counts.
    others: AtomicU64,
    /// The calls that are sampled, and whose span was not made.
    sampled: AtomicU64,
}

impl LaterCalls {
    /// Counts a call. `is_sampled` is whether it has a span that nothing else counts.
    pub(crate) fn add(&self, is_sampled: bool) {
        let counts = self.counts.get_or_init(Box::default);
        let count = &counts[mine()];
        let count = if is_sampled {
            &count.sampled
        } else {
            &count.others
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of all calls.
    #[cfg(feature = "pipeline")]
    pub(crate) fn calls(&self) -> u64 {
        self.sum(|count| &count.others) + self.spans()
    }

    /// Returns the number of calls that are sampled, and whose span was not made.
    #[cfg(feature = "pipeline")]
    pub(crate) fn spans(&self) -> u64 {
        self.sum(|count| &count.sampled)
    }

    #[cfg(feature = "pipeline")]
    fn sum(&self, of: impl Fn(&Count) -> &AtomicU64) -> u64 {
        let counts = self.counts.get().into_iter().flat_map(|counts| &**counts);
        counts.map(|count| of(count).load(Ordering::Relaxed)).sum()
    }
}

/// Returns the index of the count of this thread.
fn mine() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    MINE.get().unwrap_or_else(|| {
        let mine = THREADS.fetch_add(1, Ordering::Relaxed) % COUNTS;
        MINE.set(Some(mine));
        mine
    })
}

#[cfg(all(test, feature = "pipeline"))]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_all_threads_are_counted() {
        let calls = LaterCalls::default();
        assert_eq!((calls.calls(), calls.spans()), (0, 0));
        std::thread::scope(|scope| {
            for _ in 0..2 * COUNTS {
                scope.spawn(|| {
                    calls.add(true);
                    calls.add(false);
                    calls.add(false);
                });
            }
        });
        let threads = 2 * COUNTS as u64;
        assert_eq!((calls.calls(), calls.spans()), (3 * threads, threads));
    }
}
