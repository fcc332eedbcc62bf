//! The bounds of a histogram, as whole numbers.

use super::unit::Unit;

/// Ascending bounds. A value belongs to the first bucket whose bound it does not exceed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// How many bounds are negative, so that no whole number belongs to their buckets.
    negative: usize,
    /// The largest whole number that belongs to each other bucket, except the last one.
    whole: Box<[u64]>,
    /// For each binary logarithm, rounded down, the buckets of such values.
    by_length: Box<[Near; LENGTHS]>,
    /// As they are exported.
    exported: Vec<f64>,
    /// What one whole number is in the unit of the exported bounds.
    unit: Unit,
}

/// The number of binary logarithms of values, from 0 to 63. That of zero is 0 here.
const LENGTHS: usize = 64;

/// The buckets of the values with one binary logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near {
    /// The first of them.
    first: usize,
    /// The bounds between them, if there are at most two: the largest number where there is none.
    bounds: [u64; 2],
    /// Whether there are more bounds.
    is_dense: bool,
}

impl Bounds {
    /// Creates bounds from numbers that are finite and ascending.
    pub(crate) fn new(exported: Vec<f64>, unit: Unit) -> Self {
        let negative = exported.partition_point(|bound| *bound < 0.0);
        let whole = exported[negative..].iter();
        let whole: Box<[u64]> = whole.map(|bound| largest(*bound, unit)).collect();
        let by_length = std::array::from_fn(|length| Near::new(&whole, negative, length));
        Self {
            negative,
            by_length: Box::new(by_length),
            whole,
            exported,
            unit,
        }
    }

    /// Returns the number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.exported.len() + 1
    }

    /// Returns the bucket of a value.
    #[inline]
    pub(crate) fn bucket(&self, value: u64) -> usize {
        // Two comparisons without a branch, unless the bounds are closer than powers of two.
        let near = &self.by_length[(value | 1).ilog2() as usize];
        if near.is_dense {
            return self.negative + self.whole.partition_point(|bound| *bound < value);
        }
        let [one, other] = near.bounds.map(|bound| usize::from(bound < value));
        near.first + one + other
    }

    pub(crate) fn exported(&self) -> &[f64] {
        &self.exported
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }
}

impl Near {
    fn new(whole: &[u64], negative: usize, length: usize) -> Self {
        let smallest = if length == 0 { 0 } else { 1 << length };
        let largest = u64::MAX >> (LENGTHS - 1 - length);
        let below = |value: u64| whole.partition_point(|bound| *bound < value);
        let (first, last) = (below(smallest), below(largest));
        let bound = |index: usize| whole[first..last].get(index).copied().unwrap_or(u64::MAX);
        Self {
            first: negative + first,
            bounds: [bound(0), bound(1)],
            is_dense: last - first > 2,
        }
    }
}

/// Returns the largest whole number that does not exceed a bound when it is exported.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the result is corrected"
)]
fn largest(bound: f64, unit: Unit) -> u64 {
    let scale = match unit {
        Unit::Nanoseconds => 1e9,
        Unit::Count => 1.0,
    };
    let mut whole = (bound * scale) as u64;
    // The multiplication may round to either side.
    while whole > 0 && unit.exported(whole) > bound {
        whole -= 1;
    }
    while whole < u64::MAX && unit.exported(whole + 1) <= bound {
        whole += 1;
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{JOB_BOUNDS, STORAGE_BOUNDS};

    #[test]
    fn the_bucket_of_a_duration_is_that_of_its_seconds() {
        for exported in [
            &STORAGE_BOUNDS[..],
            &JOB_BOUNDS,
            &[-1.0, 0.0, 0.1, 0.3, 0.7, 1e5],
            &[],
        ] {
            let bounds = Bounds::new(exported.to_vec(), Unit::Nanoseconds);
            let near = exported.iter().flat_map(|bound| {
                let nanos = Duration::from_secs_f64(bound.max(0.0)).as_nanos();
                let nanos = u64::try_from(nanos).expect("bounds of hours");
                nanos.saturating_sub(3)..nanos + 3
            });
            for nanos in near.chain([0, 1, 12_345_678, u64::MAX / 2]) {
                let seconds = Duration::from_nanos(nanos).as_secs_f64();
                let expected = exported.partition_point(|bound| *bound < seconds);
                assert_eq!(bounds.bucket(nanos), expected, "{nanos} of {exported:?}");
            }
        }
    }

    #[test]
    fn the_bucket_of_a_count_is_that_of_the_number() {
        let bounds = Bounds::new(vec![1.0, 2.5, 10.0], Unit::Count);
        let buckets: Vec<_> = [0, 1, 2, 3, 10, 11]
            .map(|count| bounds.bucket(count))
            .into();
        assert_eq!(buckets, [0, 0, 1, 2, 2, 3]);
        assert_eq!(bounds.buckets(), 4);
    }
}
