//! The numbers of a histogram with explicit buckets, and what every kind of numbers can do.

use super::atomics::{AtomicU64, Ordering};
use super::counts::{BucketCounts, CellCounts};
use super::exemplars::{CellExemplar, Exemplars};

/// The numbers of a histogram, which one thread changes.
pub(crate) trait Numbers {
    /// What a reader copies. It may be part of a change, so nothing is derived from it yet.
    type Copied: Into<CellCounts>;

    /// Adds a value. `bucket` is the explicit bucket of the value.
    fn add(&self, bucket: usize, value: u64);

    /// Allocates the memory of exemplars.
    fn prepare_exemplars(&self);

    /// Keeps a sampled call. `bucket` is the explicit bucket of its value.
    fn keep(&self, bucket: usize, exemplar: CellExemplar);

    fn copy(&self) -> Self::Copied;

    /// Removes all values. No thread may add values at the same time.
    fn clear(&self);
}

/// What does not depend on the buckets.
#[derive(Debug)]
pub(crate) struct Totals {
    sum: AtomicU64,
    minimum: AtomicU64,
    maximum: AtomicU64,
}

/// Numbers with one count for each explicit bucket.
#[derive(Debug)]
pub(crate) struct ExplicitNumbers {
    totals: Totals,
    buckets: Box<[AtomicU64]>,
    /// One place for each bucket.
    exemplars: Exemplars,
}

/// Adds to a number that only this thread changes.
#[inline]
pub(crate) fn add_to(number: &AtomicU64, value: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(value);
    number.store(sum, Ordering::Relaxed);
}

impl Totals {
    pub(crate) fn new() -> Self {
        Self {
            sum: AtomicU64::new(0),
            minimum: AtomicU64::new(u64::MAX),
            maximum: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn add(&self, value: u64) {
        add_to(&self.sum, value);
        if value < self.minimum.load(Ordering::Relaxed) {
            self.minimum.store(value, Ordering::Relaxed);
        }
        if value > self.maximum.load(Ordering::Relaxed) {
            self.maximum.store(value, Ordering::Relaxed);
        }
    }

    /// Returns the totals with buckets and exemplars.
    pub(crate) fn copy(
        &self,
        buckets: BucketCounts,
        exemplars: Vec<Option<CellExemplar>>,
    ) -> CellCounts {
        CellCounts {
            sum: self.sum.load(Ordering::Relaxed),
            minimum: self.minimum.load(Ordering::Relaxed),
            maximum: self.maximum.load(Ordering::Relaxed),
            buckets,
            exemplars,
        }
    }

    pub(crate) fn clear(&self) {
        self.sum.store(0, Ordering::Relaxed);
        self.minimum.store(u64::MAX, Ordering::Relaxed);
        self.maximum.store(0, Ordering::Relaxed);
    }
}

impl ExplicitNumbers {
    pub(crate) fn new(buckets: usize) -> Self {
        Self {
            totals: Totals::new(),
            buckets: zeros(buckets),
            exemplars: Exemplars::default(),
        }
    }
}

/// Returns counts of zero.
pub(crate) fn zeros(length: usize) -> Box<[AtomicU64]> {
    std::iter::repeat_with(AtomicU64::default)
        .take(length)
        .collect()
}

/// Returns a copy of counts.
pub(crate) fn copies(counts: &[AtomicU64]) -> Vec<u64> {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    counts.iter().map(load).collect()
}

/// Sets counts to zero.
pub(crate) fn clear(counts: &[AtomicU64]) {
    for count in counts {
        count.store(0, Ordering::Relaxed);
    }
}

impl Numbers for ExplicitNumbers {
    type Copied = CellCounts;

    #[inline]
    fn add(&self, bucket: usize, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket) {
            add_to(bucket, 1);
        }
        self.totals.add(value);
    }

    fn prepare_exemplars(&self) {
        self.exemplars.prepare(self.buckets.len());
    }

    fn keep(&self, bucket: usize, exemplar: CellExemplar) {
        self.exemplars.keep(bucket, exemplar);
    }

    fn copy(&self) -> CellCounts {
        let buckets = BucketCounts::Explicit(copies(&self.buckets));
        self.totals.copy(buckets, self.exemplars.copy())
    }

    fn clear(&self) {
        self.totals.clear();
        clear(&self.buckets);
        self.exemplars.clear();
    }
}
