//! The counts of base-2 exponential buckets of one or more cells.
//!
//! At scale `s` the bucket `i` has the values above `2^(i / 2^s)` up to `2^((i + 1) / 2^s)`. If the
//! values need more buckets than there are, pairs of buckets are merged, which is the next smaller
//! scale. The scale therefore depends on the smallest and the largest value only: cells that are
//! added up have the buckets of one that received all values.

use super::unit::Unit;

/// The smallest scale. Two of its buckets have all positive floats.
const MIN_SCALE: i64 = -10;

/// The options of exponential buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exponential {
    /// The most buckets, 2 or more.
    pub(crate) max_size: u32,
    /// The scale before it is reduced, from -10 to 20.
    pub(crate) max_scale: i8,
    pub(crate) unit: Unit,
}

/// How many values were in each bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExponentialCounts {
    max_size: u32,
    scale: i64,
    zeros: u64,
    /// The index of the first bucket of `counts`.
    low: i64,
    /// The first and the last are not 0.
    counts: Vec<u64>,
}

/// Returns by how much the scale has to be reduced for a range of buckets.
pub(crate) fn reduction(low: i64, high: i64, max_size: u32) -> u32 {
    (0..64)
        .find(|reduction| (high >> reduction) - (low >> reduction) < i64::from(max_size))
        .unwrap_or(0)
}

impl ExponentialCounts {
    pub(crate) fn empty(options: Exponential) -> Self {
        Self {
            max_size: options.max_size,
            scale: options.max_scale.into(),
            zeros: 0,
            low: 0,
            counts: Vec::new(),
        }
    }

    /// Sets the counts of the buckets from `low` on. The first and the last are not 0.
    pub(crate) fn set(&mut self, scale: i64, low: i64, counts: Vec<u64>) {
        (self.scale, self.low, self.counts) = (scale, low, counts);
    }

    /// Adds values that are 0.
    pub(crate) fn add_zeros(&mut self, zeros: u64) {
        self.zeros += zeros;
    }

    pub(crate) fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Returns the scale, the number of zeros, the index of the first bucket, and the counts from
    /// it on.
    pub(crate) fn into_parts(self) -> (i8, u64, i32, Vec<u64>) {
        // The options bound the scale, and floats bound the index.
        let scale = i8::try_from(self.scale).unwrap_or(i8::MAX);
        let low = i32::try_from(self.low).unwrap_or(i32::MAX);
        (scale, self.zeros, low, self.counts)
    }

    /// Adds other counts, at the largest scale that has room for both.
    pub(crate) fn add(&mut self, other: &Self) {
        self.zeros += other.zeros;
        let Some(theirs) = other.range() else {
            return;
        };
        let Some(mine) = self.range() else {
            self.scale = other.scale;
            self.low = other.low;
            self.counts.clone_from(&other.counts);
            return;
        };
        let scale = self.scale.min(other.scale);
        let at =
            |(low, high): (i64, i64), from: i64| (low >> (from - scale), high >> (from - scale));
        let (mine, theirs) = (at(mine, self.scale), at(theirs, other.scale));
        let (low, high) = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        let scale = scale - i64::from(reduction(low, high, self.max_size));
        debug_assert!(scale >= MIN_SCALE, "two buckets have all floats");

        let mut merged = Self {
            scale,
            counts: Vec::new(),
            ..*self
        };
        let shift = self.scale.min(other.scale) - scale;
        merged.low = low >> shift;
        let length = usize::try_from((high >> shift) - merged.low + 1).unwrap_or(0);
        merged.counts.resize(length, 0);
        for part in [&*self, other] {
            for (index, count) in (part.low..).zip(&part.counts) {
                let place = (index >> (part.scale - scale)) - merged.low;
                let place = usize::try_from(place).ok();
                if let Some(sum) = place.and_then(|place| merged.counts.get_mut(place)) {
                    *sum += count;
                }
            }
        }
        *self = merged;
    }

    /// Returns the first and the last bucket.
    fn range(&self) -> Option<(i64, i64)> {
        let length = i64::try_from(self.counts.len()).unwrap_or(i64::MAX);
        (length > 0).then(|| (self.low, self.low + length - 1))
    }
}
