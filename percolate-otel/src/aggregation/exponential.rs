//! The numbers of a histogram with base-2 exponential buckets, whose scale adapts to the values.
//!
//! What the buckets and their scale are is described in `exponential_counts`.

use std::f64::consts::LOG2_E;

use super::atomics::{AtomicI64, AtomicU64, Ordering};
use super::counts::{BucketCounts, CellCounts};
use super::exemplars::{CellExemplar, Exemplars};
use super::exponential_counts::{Exponential, ExponentialCounts, reduction};
use super::numbers::{Numbers, Totals, add_to, clear, copies, zeros};

/// The places of exemplars: the powers of two, modulo this number.
const EXEMPLARS: u32 = 20;

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
    /// The bucket of the first place, which is one of those from `low` to `high`. The places of the
    /// buckets above follow on it, those of the buckets below are the last ones.
    anchor: AtomicI64,
    places: Box<[AtomicU64]>,
    exemplars: Exemplars,
}

/// A copy, which may be part of a change.
pub(crate) struct ExponentialCopy {
    options: Exponential,
    totals: CellCounts,
    zeros: u64,
    scale: i64,
    low: i64,
    high: i64,
    anchor: i64,
    places: Vec<u64>,
}

/// Returns the place of a bucket.
#[inline]
fn place(index: i64, anchor: i64, places: usize) -> Option<usize> {
    let place = usize::try_from((index - anchor).unsigned_abs()).ok()?;
    if index < anchor {
        places.checked_sub(place)
    } else {
        Some(place)
    }
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

impl ExponentialNumbers {
    pub(crate) fn new(options: Exponential) -> Self {
        Self {
            options,
            totals: Totals::new(),
            zeros: AtomicU64::new(0),
            scale: AtomicI64::new(options.max_scale.into()),
            low: AtomicI64::new(i64::MAX),
            high: AtomicI64::new(i64::MIN),
            anchor: AtomicI64::new(0),
            places: zeros(options.max_size as usize),
            exemplars: Exemplars::default(),
        }
    }

    fn place(&self, index: i64) -> Option<&AtomicU64> {
        let anchor = self.anchor.load(Ordering::Relaxed);
        self.places.get(place(index, anchor, self.places.len())?)
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
        let anchor = self.anchor.load(Ordering::Relaxed);
        self.anchor.store(anchor >> reduction, Ordering::Relaxed);
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
        if low == high {
            self.anchor.store(index, Ordering::Relaxed);
        }
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
            anchor: self.anchor.load(Ordering::Relaxed),
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
        buckets.add_zeros(copy.zeros);
        if copy.low <= copy.high {
            let count = |index: i64| {
                let place = place(index, copy.anchor, copy.places.len());
                let count = place.and_then(|place| copy.places.get(place));
                count.copied().unwrap_or(0)
            };
            let counts = (copy.low..=copy.high).map(count).collect();
            buckets.set(copy.scale, copy.low, counts);
        }
        Self {
            buckets: BucketCounts::Exponential(buckets),
            ..copy.totals
        }
    }
}
