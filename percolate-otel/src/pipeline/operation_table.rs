//! [`OperationTables`]: the histograms of durations and rows as one row for each operation and
//! collection, and for each job and target. The console and the report show them. Invariant: a row
//! is the sum of all points with its names, whatever their other attributes are.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;

use crate::conventions::{attribute, metric};
use crate::runtime::{HistogramPoint, PointBuckets};

/// The tables of operations and of jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct OperationTables {
    pub(super) operations: OperationTable,
    pub(super) jobs: OperationTable,
}

/// One row for each pair of an operation and a collection, or of a job and a target. Points without
/// a measurement, which exist because instruments are bound in advance, are left out.
#[derive(Debug, Clone, Default)]
pub(super) struct OperationTable(pub(super) BTreeMap<(String, String), OperationRow>);

/// The sums of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct OperationRow {
    /// The number of calls.
    pub(super) count: u64,
    /// The number of failed calls.
    pub(super) errors: u64,
    /// The number of failed calls by their error type.
    pub(super) error_types: BTreeMap<String, u64>,
    /// The number of returned rows, where they are measured.
    pub(super) rows: Option<u64>,
    /// The duration of all calls, in seconds.
    pub(super) total: f64,
    pub(super) spread: Spread,
}

/// The names of an operation and a collection, or of a job and a target.
pub(super) type Names = (String, String);

/// Returns the names that a table has for a point of the histogram `metric`; `None` if the histogram
/// has no table.
pub(super) fn names(metric: &str, point: &HistogramPoint) -> Option<Names> {
    let (first, second) = match metric {
        metric::DB_CLIENT_OPERATION_DURATION | metric::DB_CLIENT_RESPONSE_RETURNED_ROWS => {
            (attribute::DB_OPERATION_NAME, attribute::DB_COLLECTION_NAME)
        }
        metric::JOB_DURATION => (attribute::JOB_TYPE, attribute::JOB_TARGET),
        _ => return None,
    };
    let of = |key: &str| text_of(&point.attributes, key);
    let second =
        of(second).or_else(|| of(attribute::OTEL_METRIC_OVERFLOW).map(|_| "(overflow)".to_owned()));
    Some((of(first).unwrap_or_default(), second.unwrap_or_default()))
}

impl OperationTables {
    /// Adds the points of a histogram. Returns `false` if the histogram has no table.
    pub(super) fn add(&mut self, metric: &str, points: &[HistogramPoint]) -> bool {
        let (table, add): (_, fn(&mut OperationRow, &HistogramPoint)) = match metric {
            metric::DB_CLIENT_OPERATION_DURATION => {
                (&mut self.operations, OperationRow::add_durations)
            }
            metric::JOB_DURATION => (&mut self.jobs, OperationRow::add_durations),
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS => {
                (&mut self.operations, OperationRow::add_rows)
            }
            _ => return false,
        };
        for point in points.iter().filter(|point| point.count > 0) {
            if let Some(names) = names(metric, point) {
                add(table.0.entry(names).or_default(), point);
            }
        }
        true
    }
}

impl OperationRow {
    fn add_durations(&mut self, point: &HistogramPoint) {
        self.count += point.count;
        if let Some(error_type) = text_of(&point.attributes, attribute::ERROR_TYPE) {
            self.errors += point.count;
            *self.error_types.entry(error_type).or_default() += point.count;
        }
        self.total += point.sum;
        self.spread.add_point(point);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rows"
    )]
    fn add_rows(&mut self, point: &HistogramPoint) {
        *self.rows.get_or_insert_default() += point.sum as u64;
    }
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.to_string())
}

/// The distribution of measurements: buckets merged over points, minimum and maximum.
#[derive(Debug, Clone, Default)]
pub(super) struct Spread {
    /// (lower, upper, count), unordered.
    buckets: Vec<(f64, f64, u64)>,
    min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Spread {
    fn add(
        &mut self,
        bounds: &[f64],
        counts: impl Iterator<Item = u64>,
        (min, max): (Option<f64>, Option<f64>),
    ) {
        for (index, count) in counts.enumerate().filter(|(_, count)| *count > 0) {
            let lower = index
                .checked_sub(1)
                .and_then(|below| bounds.get(below))
                .copied()
                .unwrap_or(0.0);
            self.buckets.push((
                lower,
                bounds.get(index).copied().unwrap_or(f64::INFINITY),
                count,
            ));
        }
        self.add_extremes(min, max);
    }

    fn add_point(&mut self, point: &HistogramPoint) {
        let extremes = (Some(point.minimum), Some(point.maximum));
        match &point.buckets {
            PointBuckets::Explicit { bounds, counts } => {
                self.add(bounds, counts.iter().copied(), extremes);
            }
            PointBuckets::Exponential {
                scale,
                zeros,
                offset,
                counts,
            } => {
                let counts = (*offset..).zip(counts.iter().copied());
                self.add_powers((*scale, *zeros), counts);
                self.add_extremes(extremes.0, extremes.1);
            }
        }
    }

    /// Adds exponential buckets by their index.
    fn add_powers(&mut self, (scale, zeros): (i8, u64), counts: impl Iterator<Item = (i32, u64)>) {
        let base = 2_f64.powf(2_f64.powi(-i32::from(scale)));
        for (index, count) in counts.filter(|(_, count)| *count > 0) {
            self.buckets
                .push((base.powi(index), base.powi(index.saturating_add(1)), count));
        }
        if zeros > 0 {
            self.buckets.push((0.0, 0.0, zeros));
        }
    }

    fn add_extremes(&mut self, min: Option<f64>, max: Option<f64>) {
        self.min = self.min.into_iter().chain(min).reduce(f64::min);
        self.max = self.max.into_iter().chain(max).reduce(f64::max);
    }

    /// Returns a quantile within the measured range. The values of a bucket are taken as evenly
    /// distributed. Buckets may overlap: those of several points need not have the same bounds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a quantile from buckets is an estimate"
    )]
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let buckets: Vec<(f64, f64, f64)> = self
            .buckets
            .iter()
            .map(|(lower, upper, count)| {
                let lower = self.min.map_or(*lower, |min| lower.max(min));
                let upper = self.max.map_or(*upper, |max| upper.min(max)).max(lower);
                let upper = if upper.is_finite() { upper } else { lower };
                (lower, upper, *count as f64)
            })
            .collect();
        let rank = q * buckets.iter().map(|(.., count)| count).sum::<f64>();
        // How many values are `value` at most.
        let below = |value: f64| -> f64 {
            let part = |(lower, upper, count): &(f64, f64, f64)| match value {
                value if value >= *upper => *count,
                value if value <= *lower => 0.0,
                value => count * (value - lower) / (upper - lower),
            };
            buckets.iter().map(part).sum()
        };
        let mut least = buckets.iter().map(|(lower, ..)| *lower).reduce(f64::min)?;
        let mut most = buckets
            .iter()
            .map(|(_, upper, _)| *upper)
            .reduce(f64::max)?;
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(least, most);
            if below(middle) < rank {
                least = middle;
            } else {
                most = middle;
            }
        }
        Some(most)
    }
}

/// Halves the range of measurements as often as a number has digits.
const BISECTIONS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(buckets: &[(f64, f64, u64)], min: f64, max: f64) -> Spread {
        Spread {
            buckets: buckets.to_vec(),
            min: Some(min),
            max: Some(max),
        }
    }

    #[test]
    fn a_quantile_is_interpolated_in_its_bucket_and_stays_within_what_was_measured() {
        let spread = spread(&[(0.001, 0.002, 98), (0.01, 0.1, 2)], 0.0015, 0.02);
        let p50 = spread.quantile(0.5).expect("has values");
        let p99 = spread.quantile(0.99).expect("has values");
        assert!((0.0015..=0.002).contains(&p50), "{p50}");
        assert!((0.01..=0.02).contains(&p99), "{p99}");
    }

    #[test]
    fn buckets_of_several_points_are_merged_in_order() {
        let spread = spread(&[(0.01, 0.1, 1), (0.001, 0.002, 9)], 0.001, 0.05);
        assert!(spread.quantile(0.5).expect("has values") <= 0.002);
    }

    #[test]
    fn quantiles_ascend_if_points_have_the_same_buckets() {
        // Successful and failed calls of one operation.
        let spread = spread(&[(0.25, 0.5, 30), (0.25, 0.5, 120)], 0.25, 0.5);
        let quantiles = [0.1, 0.5, 0.9, 0.99].map(|q| spread.quantile(q).expect("has values"));
        let expected = [0.275, 0.375, 0.475, 0.4975];
        for (found, expected) in quantiles.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{quantiles:?}");
        }
    }

    #[test]
    fn the_open_bucket_ends_at_the_largest_measurement() {
        let spread = spread(&[(10.0, f64::INFINITY, 1)], 70.0, 70.0);
        assert!((spread.quantile(0.99).expect("has values") - 70.0).abs() < 1e-9);
        assert_eq!(Spread::default().quantile(0.5), None);
    }
}
