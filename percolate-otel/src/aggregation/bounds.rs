//! The bounds of a histogram, as whole numbers.

use super::unit::Unit;

/// Ascending bounds. A value belongs to the first bucket whose bound it does not exceed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// The largest whole number that belongs to each bucket; negative if there is none.
    whole: Box<[i64]>,
    /// As they are exported.
    exported: Vec<f64>,
    /// What one whole number is in the unit of the exported bounds.
    unit: Unit,
}

impl Bounds {
    /// Creates bounds from numbers that are finite and ascending.
    pub(crate) fn new(exported: Vec<f64>, unit: Unit) -> Self {
        let whole = exported.iter().map(|bound| largest(*bound, unit)).collect();
        Self {
            whole,
            exported,
            unit,
        }
    }

    /// Returns the number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.whole.len() + 1
    }

    /// Returns the bucket of a value.
    #[inline]
    pub(crate) fn bucket(&self, value: u64) -> usize {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.whole.partition_point(|bound| *bound < value)
    }

    pub(crate) fn exported(&self) -> &[f64] {
        &self.exported
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }
}

/// Returns the largest whole number that does not exceed a bound when it is exported.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the result is corrected"
)]
fn largest(bound: f64, unit: Unit) -> i64 {
    if bound < 0.0 {
        return -1;
    }
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
    i64::try_from(whole).unwrap_or(i64::MAX)
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
