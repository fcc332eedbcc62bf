//! Base-2 exponential buckets, whose scale adapts to the values.
//!
//! At scale `s` the bucket `i` has the values above `2^(i / 2^s)` up to `2^((i + 1) / 2^s)`. If the
//! values need more buckets than there are, pairs of buckets are merged, which is the next smaller
//! scale. The scale therefore depends on the smallest and the largest value only: cells that are
//! added up have the buckets of one that received all values.

use std::f64::consts::LOG2_E;

use super::atomics::{AtomicI64, AtomicU64, Ordering};
use super::counts::{BucketCounts, CellCounts};
use super::exemplars::{CellExemplar, Exemplars};
use super::numbers::{Numbers, Totals, add_to, clear, copies, zeros};
use super::unit::Unit;

/// The smallest scale. Two of its buckets have all positive floats.
const MIN_SCALE: i64 = -10;
/// The places of exemplars: the powers of two, modulo this number.
const EXEMPLARS: u32 = 20;

/// The options of exponential buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exponential {
    /// The most buckets, 2 or more.
    pub(crate) max_size: u32,
    /// The scale before it is reduced, from -10 to 20.
    pub(crate) max_scale: i8,
    pub(crate) unit: Unit,
}

/// Numbers with exponential buckets.
#[derive(Debug)]
pub(crate) struct ExponentialNumbers {
    options: Exponential,
    totals: Totals,
    zeros: AtomicU64,
    scale: AtomicI64,
    /// The smallest and the largest bucket with a value; the wrong way round if there is none.
    low: AtomicI64,
    high: AtomicI64,
    /// Bucket `i` is in the place `i` modulo the number of places.
    places: Box<[AtomicU64]>,
    exemplars: Exemplars,
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

/// A copy, which may be part of a change.
pub(crate) struct ExponentialCopy {
    options: Exponential,
    totals: CellCounts,
    zeros: u64,
    scale: i64,
    low: i64,
    high: i64,
    places: Vec<u64>,
}

/// Returns the index of the bucket of a value that is finite and greater than 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction of an index belongs to the bucket above"
)]
fn index_of(value: f64, scale: i64) -> i64 {
    let (fraction, exponent) = fraction_and_exponent(value);
    if scale <= 0 {
        // A power of two is the last value of its bucket.
        let correction = if fraction.to_bits() == 0.5_f64.to_bits() {
            2
        } else {
            1
        };
        return (exponent - correction) >> -scale;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 2^20")]
    let buckets = (1_i64 << scale) as f64;
    (exponent << scale) + (fraction.ln() * (LOG2_E * buckets)) as i64 - 1
}

/// Returns a fraction from 0.5 up to 1, and the exponent of the power of two that it is multiplied
/// with.
fn fraction_and_exponent(value: f64) -> (f64, i64) {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0) - 0x3fe;
    let fraction = f64::from_bits(bits & FRACTION | 0x3fe << 52);
    (fraction, exponent)
}

/// Returns by how much the scale has to be reduced for a range of buckets.
fn reduction(low: i64, high: i64, max_size: u32) -> u32 {
    (0..64)
        .find(|reduction| (high >> reduction) - (low >> reduction) < i64::from(max_size))
        .unwrap_or(0)
}

impl ExponentialNumbers {
    pub(crate) fn new(options: Exponential) -> Self {
        Self {
            options,
            totals: Totals::new(),
            zeros: AtomicU64::new(0),
            scale: AtomicI64::new(options.max_scale.into()),
            low: AtomicI64::new(i64::MAX),
            high: AtomicI64::new(i64::MIN),
            places: zeros(options.max_size as usize),
            exemplars: Exemplars::default(),
        }
    }

    fn place(&self, index: i64) -> Option<&AtomicU64> {
        let place = index.rem_euclid(i64::from(self.options.max_size));
        self.places.get(usize::try_from(place).ok()?)
    }

    /// Merges buckets until those from `low` to `high` have a place. Returns by how much the scale
    /// was reduced.
    #[cold]
    fn reduce(&self, reduction: u32) {
        let (low, high) = (
            self.low.load(Ordering::Relaxed),
            self.high.load(Ordering::Relaxed),
        );
        let take = |index| {
            let place = self.place(index)?;
            let count = place.load(Ordering::Relaxed);
            place.store(0, Ordering::Relaxed);
            Some((index >> reduction, count))
        };
        let merged: Vec<_> = (low..=high).filter_map(take).collect();
        for (index, count) in merged {
            if let Some(place) = self.place(index) {
                add_to(place, count);
            }
        }
        let scale = self.scale.load(Ordering::Relaxed);
        self.scale
            .store(scale - i64::from(reduction), Ordering::Relaxed);
        self.low.store(low >> reduction, Ordering::Relaxed);
        self.high.store(high >> reduction, Ordering::Relaxed);
    }
}

impl Numbers for ExponentialNumbers {
    type Copied = ExponentialCopy;

    fn add(&self, _bucket: usize, value: u64) {
        self.totals.add(value);
        if value == 0 {
            add_to(&self.zeros, 1);
            return;
        }
        let scale = self.scale.load(Ordering::Relaxed);
        let mut index = index_of(self.options.unit.exported(value), scale);
        let low = self.low.load(Ordering::Relaxed).min(index);
        let high = self.high.load(Ordering::Relaxed).max(index);
        let reduction = reduction(low, high, self.options.max_size);
        if reduction > 0 {
            self.reduce(reduction);
            index >>= reduction;
        }
        self.low.store(low >> reduction, Ordering::Relaxed);
        self.high.store(high >> reduction, Ordering::Relaxed);
        if let Some(place) = self.place(index) {
            add_to(place, 1);
        }
    }

    fn prepare_exemplars(&self) {
        self.exemplars.prepare(EXEMPLARS as usize);
    }

    fn keep(&self, _bucket: usize, exemplar: CellExemplar) {
        let power = exemplar.value.checked_ilog2().unwrap_or(0);
        self.exemplars.keep((power % EXEMPLARS) as usize, exemplar);
    }

    fn copy(&self) -> ExponentialCopy {
        let none = BucketCounts::Explicit(Vec::new());
        ExponentialCopy {
            options: self.options,
            totals: self.totals.copy(none, self.exemplars.copy()),
            zeros: self.zeros.load(Ordering::Relaxed),
            scale: self.scale.load(Ordering::Relaxed),
            low: self.low.load(Ordering::Relaxed),
            high: self.high.load(Ordering::Relaxed),
            places: copies(&self.places),
        }
    }

    fn clear(&self) {
        self.totals.clear();
        self.zeros.store(0, Ordering::Relaxed);
        let scale = self.options.max_scale.into();
        self.scale.store(scale, Ordering::Relaxed);
        self.low.store(i64::MAX, Ordering::Relaxed);
        self.high.store(i64::MIN, Ordering::Relaxed);
        clear(&self.places);
        self.exemplars.clear();
    }
}

impl From<ExponentialCopy> for CellCounts {
    fn from(copy: ExponentialCopy) -> Self {
        let mut buckets = ExponentialCounts::empty(copy.options);
        buckets.zeros = copy.zeros;
        if copy.low <= copy.high {
            let places = i64::from(copy.options.max_size);
            let count = |index: i64| {
                let place = usize::try_from(index.rem_euclid(places)).unwrap_or(0);
                copy.places.get(place).copied().unwrap_or(0)
            };
            buckets.scale = copy.scale;
            buckets.low = copy.low;
            buckets.counts = (copy.low..=copy.high).map(count).collect();
        }
        Self {
            buckets: BucketCounts::Exponential(buckets),
            ..copy.totals
        }
    }
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
