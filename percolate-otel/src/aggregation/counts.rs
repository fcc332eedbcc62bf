//! [`CellCounts`]: the numbers of one or more cells at one moment.

use super::exemplars::{CellExemplar, merge};
use super::exponential_counts::ExponentialCounts;

/// The numbers of a cell at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellCounts {
    pub(crate) sum: u64,
    /// Larger than the maximum if nothing was recorded.
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
    pub(crate) buckets: BucketCounts,
    /// One for each place of exemplars, or none at all.
    pub(crate) exemplars: Vec<Option<CellExemplar>>,
}

/// How many values were in each bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BucketCounts {
    /// One number for each bucket.
    Explicit(Vec<u64>),
    Exponential(ExponentialCounts),
}

impl CellCounts {
    /// Returns the counts before the first value.
    pub(crate) fn empty(buckets: BucketCounts) -> Self {
        Self {
            sum: 0,
            minimum: u64::MAX,
            maximum: 0,
            buckets,
            exemplars: Vec::new(),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        match &self.buckets {
            BucketCounts::Explicit(buckets) => buckets.iter().sum(),
            BucketCounts::Exponential(buckets) => buckets.count(),
        }
    }

    /// Adds the numbers of another cell with the same kind of buckets. Of two exemplars of a place
    /// the later one is kept.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        match (&mut self.buckets, &other.buckets) {
            (BucketCounts::Explicit(mine), BucketCounts::Explicit(theirs)) => {
                for (bucket, more) in mine.iter_mut().zip(theirs) {
                    *bucket += more;
                }
            }
            (BucketCounts::Exponential(mine), BucketCounts::Exponential(theirs)) => {
                mine.add(theirs);
            }
            (BucketCounts::Explicit(_), BucketCounts::Exponential(_))
            | (BucketCounts::Exponential(_), BucketCounts::Explicit(_)) => {
                debug_assert!(false, "the cells of a histogram have the same buckets");
            }
        }
        merge(&mut self.exemplars, &other.exemplars);
    }
}
