//! [`ConsoleMetrics`]: operations and jobs as a table with counts and quantiles, other metrics as
//! values. It prints at flush and shutdown, or at the configured interval. A table that has not
//! changed is not printed again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialHistogramDataPoint, Metric, MetricData,
};
use opentelemetry_sdk::metrics::data::{HistogramDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::counters::Counters;
use super::super::own_histograms::OwnReader;
use super::format;
use super::writer::ConsoleWriter;
use crate::conventions::{attribute, metric};
use crate::runtime::{HistogramData, HistogramPoint, PointBuckets};

/// Prints metrics as readable text.
#[derive(Debug)]
pub(crate) struct ConsoleMetrics {
    writer: ConsoleWriter,
    counters: Arc<Counters>,
    printed: Mutex<String>,
    own: OwnReader,
}

impl ConsoleMetrics {
    pub(in super::super) fn new(
        writer: ConsoleWriter,
        counters: Arc<Counters>,
        own: OwnReader,
    ) -> Self {
        Self {
            writer,
            counters,
            printed: Mutex::default(),
            own,
        }
    }
}

impl PushMetricExporter for ConsoleMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let text = render(metrics, &self.own.collect());
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if text.is_empty() || *printed == text {
            return Ok(());
        }
        if let Err(problem) = self.writer.write(&text) {
            self.counters.exported_at_once(1, Some(problem.clone()));
            return Err(OTelSdkError::InternalFailure(problem));
        }
        self.counters.exported_at_once(0, None);
        *printed = text;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn render(metrics: &ResourceMetrics, own: &[HistogramData]) -> String {
    let mut operations = Table::default();
    let mut jobs = Table::default();
    let mut others = Vec::new();
    for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
        match metric.name() {
            metric::DB_CLIENT_OPERATION_DURATION => {
                operations.add(
                    metric,
                    attribute::DB_OPERATION_NAME,
                    attribute::DB_COLLECTION_NAME,
                );
            }
            metric::JOB_DURATION => jobs.add(metric, attribute::JOB_TYPE, attribute::JOB_TARGET),
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS => operations.add_rows(metric),
            _ => others.extend(values(metric)),
        }
    }
    for histogram in own {
        match histogram.name {
            metric::DB_CLIENT_OPERATION_DURATION => operations.add_own(
                histogram,
                attribute::DB_OPERATION_NAME,
                attribute::DB_COLLECTION_NAME,
            ),
            metric::JOB_DURATION => {
                jobs.add_own(histogram, attribute::JOB_TYPE, attribute::JOB_TARGET);
            }
            metric::DB_CLIENT_RESPONSE_RETURNED_ROWS => operations.add_own_rows(histogram),
            _ => others.extend(own_values(histogram)),
        }
    }
    let mut text = operations.render(["operation", "collection"]);
    text.push_str(&jobs.render(["job", "target"]));
    others.retain(|line| !is_hidden(line));
    others.sort_unstable();
    if !others.is_empty() {
        text.push_str("metric\n");
        for line in others {
            _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text
}

/// Whether a line is left out: the metrics of the pipeline itself appear only if data was lost.
fn is_hidden(line: &str) -> bool {
    let of_sdk = line.starts_with("otel.sdk.");
    let is_loss = line.starts_with(metric::PERCOLATE_SPAN_DROPPED)
        || (of_sdk && line.contains(attribute::ERROR_TYPE));
    if is_loss {
        line.contains(" = 0 ")
    } else {
        of_sdk
    }
}

/// One row per operation and collection, summed over other attributes. Series without a
/// measurement, which exist because instruments are bound in advance, are left out.
#[derive(Default)]
struct Table(BTreeMap<(String, String), TableRow>);

#[derive(Default)]
struct TableRow {
    count: u64,
    errors: u64,
    rows: Option<u64>,
    spread: Spread,
}

impl Table {
    fn add(&mut self, metric: &Metric, first: &'static str, second: &'static str) {
        let AggregatedMetrics::F64(data) = metric.data() else {
            return;
        };
        match data {
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points().filter(|point| point.count() > 0) {
                    let attributes: Vec<_> = point.attributes().collect();
                    let row = self.row(&attributes, first, second);
                    row.count += point.count();
                    row.errors += if is_failed(&attributes) {
                        point.count()
                    } else {
                        0
                    };
                    row.spread.add_explicit(point);
                }
            }
            MetricData::ExponentialHistogram(histogram) => {
                for point in histogram.data_points().filter(|point| point.count() > 0) {
                    let attributes: Vec<_> = point.attributes().collect();
                    let row = self.row(&attributes, first, second);
                    row.count += point.count() as u64;
                    row.errors += if is_failed(&attributes) {
                        point.count() as u64
                    } else {
                        0
                    };
                    row.spread.add_exponential(point);
                }
            }
            MetricData::Gauge(_) | MetricData::Sum(_) => {}
        }
    }

    fn add_own(&mut self, histogram: &HistogramData, first: &'static str, second: &'static str) {
        for point in &histogram.points {
            let attributes: Vec<_> = point.attributes.iter().collect();
            let row = self.row(&attributes, first, second);
            row.count += point.count;
            row.errors += if is_failed(&attributes) {
                point.count
            } else {
                0
            };
            row.spread.add_own(point);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rows"
    )]
    fn add_own_rows(&mut self, histogram: &HistogramData) {
        for point in &histogram.points {
            let attributes: Vec<_> = point.attributes.iter().collect();
            let row = self.row(
                &attributes,
                attribute::DB_OPERATION_NAME,
                attribute::DB_COLLECTION_NAME,
            );
            *row.rows.get_or_insert_default() += point.sum as u64;
        }
    }

    fn add_rows(&mut self, metric: &Metric) {
        let AggregatedMetrics::U64(MetricData::Histogram(histogram)) = metric.data() else {
            return;
        };
        for point in histogram.data_points().filter(|point| point.count() > 0) {
            let attributes: Vec<_> = point.attributes().collect();
            let row = self.row(
                &attributes,
                attribute::DB_OPERATION_NAME,
                attribute::DB_COLLECTION_NAME,
            );
            *row.rows.get_or_insert_default() += point.sum();
        }
    }

    fn row(&mut self, attributes: &[&KeyValue], first: &str, second: &str) -> &mut TableRow {
        let of = |key: &str| text_of(attributes, key);
        let second =
            of(second).or_else(|| of("otel.metric.overflow").map(|_| "(overflow)".to_owned()));
        self.0
            .entry((of(first).unwrap_or_default(), second.unwrap_or_default()))
            .or_default()
    }

    fn render(&self, heads: [&str; 2]) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let has_rows = self.0.values().any(|row| row.rows.is_some());
        let rows = if has_rows { "rows" } else { "" };
        let mut lines =
            vec![[heads[0], heads[1], "count", "p50", "p99", "errors", rows].map(str::to_owned)];
        for ((first, second), row) in &self.0 {
            let quantile = |q| {
                row.spread
                    .quantile(q)
                    .map_or_else(|| "-".to_owned(), format::seconds)
            };
            let (count, errors) = (format::count(row.count), format::count(row.errors));
            let rows = row.rows.map(format::count).unwrap_or_default();
            lines.push([
                first.clone(),
                second.clone(),
                count,
                quantile(0.5),
                quantile(0.99),
                errors,
                rows,
            ]);
        }
        aligned(&lines)
    }
}

/// Aligns the first two columns to the left, numbers to the right.
fn aligned(lines: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            _ = if column < 2 {
                write!(row, "{cell:<width$}  ")
            } else {
                write!(row, "{cell:>width$}  ")
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

fn text_of(attributes: &[&KeyValue], key: &str) -> Option<String> {
    attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.to_string())
}

fn is_failed(attributes: &[&KeyValue]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.key.as_str() == attribute::ERROR_TYPE)
}

/// The distribution of measurements: buckets merged over points, minimum and maximum.
#[derive(Default)]
struct Spread {
    /// (lower, upper, count), unordered.
    buckets: Vec<(f64, f64, u64)>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Spread {
    fn add_explicit(&mut self, point: &HistogramDataPoint<f64>) {
        let bounds: Vec<f64> = point.bounds().collect();
        self.add(&bounds, point.bucket_counts(), (point.min(), point.max()));
    }

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

    fn add_exponential(&mut self, point: &ExponentialHistogramDataPoint<f64>) {
        let positive = point.positive_bucket();
        let counts = (positive.offset()..).zip(positive.counts());
        self.add_powers((point.scale(), point.zero_count()), counts);
        self.add_extremes(point.min(), point.max());
    }

    fn add_own(&mut self, point: &HistogramPoint) {
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

    /// Returns a quantile by linear interpolation inside its bucket, within the measured range.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a quantile from buckets is an estimate"
    )]
    fn quantile(&self, q: f64) -> Option<f64> {
        let mut buckets = self.buckets.clone();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = buckets.iter().map(|(_, _, count)| count).sum();
        let rank = q * total as f64;
        let mut below = 0.0;
        for (lower, upper, count) in buckets {
            let count = count as f64;
            if below + count >= rank && count > 0.0 {
                let lower = self.min.map_or(lower, |min| lower.max(min));
                let upper = self.max.map_or(upper, |max| upper.min(max)).max(lower);
                let upper = if upper.is_finite() { upper } else { lower };
                return Some(lower + (upper - lower) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
        }
        None
    }
}

/// Returns one line per point of a metric without a table.
fn values(metric: &Metric) -> Vec<String> {
    match metric.data() {
        AggregatedMetrics::F64(data) => points(metric, data),
        AggregatedMetrics::U64(data) => points(metric, data),
        AggregatedMetrics::I64(data) => points(metric, data),
    }
}

/// Returns one line per point of a histogram of the runtime.
fn own_values(histogram: &HistogramData) -> Vec<String> {
    let line = |point: &HistogramPoint| {
        let value = format!("{} in {}", point.sum, format::count(point.count));
        line(
            histogram.name,
            histogram.unit,
            &labels(point.attributes.iter()),
            &value,
        )
    };
    histogram.points.iter().map(line).collect()
}

/// Returns the line of one point.
fn line(name: &str, unit: &str, attributes: &[String], value: &str) -> String {
    let labels = if attributes.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", attributes.join(", "))
    };
    format!("{name}{labels} = {value} {unit}")
        .trim_end()
        .to_owned()
}

fn points<T: Copy + std::fmt::Display>(metric: &Metric, data: &MetricData<T>) -> Vec<String> {
    let line = |attributes: Vec<String>, value: String| {
        line(metric.name(), metric.unit(), &attributes, &value)
    };
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|p| line(labels(p.attributes()), p.value().to_string()))
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|p| line(labels(p.attributes()), p.value().to_string()))
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|p| {
                line(
                    labels(p.attributes()),
                    format!("{} in {}", p.sum(), format::count(p.count())),
                )
            })
            .collect(),
        MetricData::ExponentialHistogram(histogram) => histogram
            .data_points()
            .map(|p| {
                line(
                    labels(p.attributes()),
                    format!("{} in {}", p.sum(), format::count(p.count() as u64)),
                )
            })
            .collect(),
    }
}

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<String> {
    attributes.map(format::attribute).collect()
}

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
    fn the_open_bucket_ends_at_the_largest_measurement() {
        let spread = spread(&[(10.0, f64::INFINITY, 1)], 70.0, 70.0);
        assert!((spread.quantile(0.99).expect("has values") - 70.0).abs() < 1e-9);
        assert_eq!(Spread::default().quantile(0.5), None);
    }
}
