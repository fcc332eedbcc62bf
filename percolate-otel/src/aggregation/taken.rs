//! [`TakenCell`]: a cell whose numbers a collection takes, for delta temporality.
//!
//! It has two banks of numbers. The writer reads the generation inside its change, and adds to the
//! bank of that generation. A collection begins the next generation, waits for a writer that may
//! have read the one before, and then has the other bank to itself: it copies and clears it. So
//! each value is taken once, and the minimum and the maximum are those of the counts.

use super::atomics::{AtomicU64, Ordering, fence};
use super::counts::CellCounts;
use super::exemplars::CellExemplar;
use super::numbers::Numbers;
use super::version::Version;

/// A cell with two banks of numbers.
#[derive(Debug)]
pub(crate) struct TakenCell<N> {
    version: Version,
    generation: AtomicU64,
    banks: [N; 2],
}

impl<N: Numbers> TakenCell<N> {
    pub(crate) fn new(numbers: impl Fn() -> N) -> Self {
        Self {
            version: Version::new(),
            generation: AtomicU64::new(0),
            banks: [numbers(), numbers()],
        }
    }

    fn bank(&self, generation: u64) -> &N {
        &self.banks[usize::from(!generation.is_multiple_of(2))]
    }

    pub(crate) fn record(&self, bucket: usize, value: u64) {
        self.write(|numbers| numbers.add(bucket, value));
    }

    pub(crate) fn record_sampled(&self, bucket: usize, exemplar: CellExemplar) {
        for numbers in &self.banks {
            numbers.prepare_exemplars();
        }
        self.write(|numbers| {
            numbers.add(bucket, exemplar.value);
            numbers.keep(bucket, exemplar);
        });
    }

    fn write(&self, change: impl FnOnce(&N)) {
        self.version.write(|| {
            // Either this change sees the next generation, or the collection that began it sees the
            // odd version and waits.
            fence(Ordering::SeqCst);
            change(self.bank(self.generation.load(Ordering::Acquire)));
        });
    }

    /// Takes the numbers since the last call. Two threads must not do so at the same time.
    pub(crate) fn take(&self) -> CellCounts {
        let generation = self.generation.load(Ordering::Relaxed);
        // The bank that becomes current was cleared before.
        self.generation.store(generation + 1, Ordering::Release);
        fence(Ordering::SeqCst);
        self.version.wait_for_writer();
        let taken = self.bank(generation);
        let counts = taken.copy().into();
        taken.clear();
        counts
    }
}
