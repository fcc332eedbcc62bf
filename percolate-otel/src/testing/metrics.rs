//! Captured metrics: a copy of what the SDK exports, with lookup by name and attributes.
//!
//! Values are cumulative since the start of the capture. Durations vary, so the text form has only
//! the counts of histograms.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::layer::ConventionLayer;
use super::diff::assert_same_text;
use super::spans::value_text;

/// The instrument of a metric, as far as exported data shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instrument {
    /// A histogram with explicit bounds.
    Histogram,
    /// A base-2 exponential histogram.
    ExponentialHistogram,
    /// A monotonic sum.
    Counter,
    /// A sum that goes up and down.
    UpDownCounter,
    /// A last value.
    Gauge,
}

impl Instrument {
    /// Returns the name semantic conventions use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Histogram | Self::ExponentialHistogram => "histogram",
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Gauge => "gauge",
        }
    }
}

/// One series of a metric.
#[derive(Debug, Clone)]
pub struct Point {
    attributes: Vec<KeyValue>,
    count: u64,
    value: f64,
    bounds: Vec<f64>,
    buckets: Vec<u64>,
}

impl Point {
    /// Returns the value of one attribute, with its type.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|pair| pair.key.as_str() == key)
            .map(|pair| &pair.value)
    }

    /// Returns all attributes, sorted by key.
    pub fn attributes(&self) -> Vec<(&str, &Value)> {
        self.attributes
            .iter()
            .map(|pair| (pair.key.as_str(), &pair.value))
            .collect()
    }

    /// Returns the number of values that a histogram recorded; 1 for sums and gauges.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum of a histogram, or the value of a sum or gauge.
    pub fn sum(&self) -> f64 {
        self.value
    }

    /// Explicit bounds of a histogram.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Counts per bucket of a histogram with explicit bounds; one more than bounds.
    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }
}

/// One metric with all its series.
#[derive(Debug, Clone)]
pub struct CapturedMetric {
    name: String,
    unit: String,
    description: String,
    scope: String,
    schema_url: Option<String>,
    instrument: Instrument,
    points: Vec<Point>,
}

impl CapturedMetric {
    /// Returns the metric's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the metric's unit.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Returns the metric's description.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the name of the instrumentation scope.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Returns the schema URL of the instrumentation scope.
    pub fn schema_url(&self) -> Option<&str> {
        self.schema_url.as_deref()
    }

    /// Returns the instrument.
    pub fn instrument(&self) -> Instrument {
        self.instrument
    }

    /// Returns all series.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// All metrics of a capture.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    metrics: Vec<CapturedMetric>,
}

impl Metrics {
    /// Copies exported data, sorted by name.
    pub fn from_sdk(data: &ResourceMetrics) -> Self {
        let mut metrics = Vec::new();
        for scope in data.scope_metrics() {
            for metric in scope.metrics() {
                let (instrument, points) = match metric.data() {
                    AggregatedMetrics::F64(data) => copy(data, |value| value),
                    #[expect(clippy::cast_precision_loss, reason = "counts in tests are small")]
                    AggregatedMetrics::U64(data) => copy(data, |value| value as f64),
                    #[expect(clippy::cast_precision_loss, reason = "counts in tests are small")]
                    AggregatedMetrics::I64(data) => copy(data, |value| value as f64),
                };
                metrics.push(CapturedMetric {
                    name: metric.name().to_owned(),
                    unit: metric.unit().to_owned(),
                    description: metric.description().to_owned(),
                    scope: scope.scope().name().to_owned(),
                    schema_url: scope.scope().schema_url().map(str::to_owned),
                    instrument,
                    points,
                });
            }
        }
        metrics.sort_by(|a, b| a.name.cmp(&b.name));
        Self { metrics }
    }

    /// Returns all metrics, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &CapturedMetric> {
        self.metrics.iter()
    }

    /// Returns the metric of this name, if anything was recorded to it.
    pub fn find(&self, name: &str) -> Option<&CapturedMetric> {
        self.iter().find(|metric| metric.name == name)
    }

    /// Returns the metric of this name.
    ///
    /// # Panics
    ///
    /// Panics if nothing was recorded to it. The message shows all metrics.
    #[track_caller]
    pub fn metric(&self, name: &str) -> &CapturedMetric {
        self.find(name).unwrap_or_else(|| {
            panic!(
                "no metric named `{name}` was recorded; recorded:\n{}",
                self.text()
            )
        })
    }

    /// Returns the number of measurements with all of these string attributes, over all series of
    /// the metric.
    pub fn count(&self, name: &str, attributes: &[(&str, &str)]) -> u64 {
        self.matching(name, attributes).map(Point::count).sum()
    }

    /// Returns the sum of the values of all series with these string attributes.
    pub fn sum(&self, name: &str, attributes: &[(&str, &str)]) -> f64 {
        self.matching(name, attributes).map(Point::sum).sum()
    }

    /// Metrics and their series as text: one line per metric (`name instrument unit`), one indented
    /// line per series with its attributes and, for a histogram, its count.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for metric in self.iter() {
            let _ = writeln!(
                out,
                "{} {} {}",
                metric.name,
                metric.instrument.as_str(),
                metric.unit
            );
            let mut lines: Vec<String> = metric
                .points
                .iter()
                .map(|point| {
                    let attributes: Vec<String> = point
                        .attributes()
                        .iter()
                        .map(|(key, value)| format!("{key}={}", value_text(value)))
                        .collect();
                    let value = match metric.instrument {
                        Instrument::Histogram | Instrument::ExponentialHistogram => {
                            format!("count {}", point.count)
                        }
                        _ => point.value.to_string(),
                    };
                    format!("  {{{}}} {value}", attributes.join(", "))
                })
                .collect();
            lines.sort();
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
        }
        out
    }

    /// Compares [`text`](Self::text) with a text; shared indentation does not matter.
    ///
    /// # Panics
    ///
    /// Panics if they differ. The message is a diff by lines.
    #[track_caller]
    pub fn assert_text(&self, expected: &str) {
        assert_same_text("metrics", expected, &self.text());
    }

    fn matching<'a>(
        &'a self,
        name: &str,
        attributes: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Point> {
        let has = |point: &Point, key: &str, value: &str| {
            point
                .attribute(key)
                .is_some_and(|is| matches!(is, Value::String(is) if is.as_str() == value))
        };
        self.find(name)
            .into_iter()
            .flat_map(CapturedMetric::points)
            .filter(move |point| attributes.iter().all(|(key, value)| has(point, key, value)))
    }
}

fn sorted<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<KeyValue> {
    let mut attributes: Vec<KeyValue> = attributes.cloned().collect();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

fn copy<T: Copy>(data: &MetricData<T>, number: impl Fn(T) -> f64) -> (Instrument, Vec<Point>) {
    let plain = |attributes: Vec<KeyValue>, value: T| Point {
        attributes,
        count: 1,
        value: number(value),
        bounds: Vec::new(),
        buckets: Vec::new(),
    };
    match data {
        MetricData::Gauge(gauge) => (
            Instrument::Gauge,
            gauge
                .data_points()
                .map(|point| plain(sorted(point.attributes()), point.value()))
                .collect(),
        ),
        MetricData::Sum(sum) => (
            if sum.is_monotonic() {
                Instrument::Counter
            } else {
                Instrument::UpDownCounter
            },
            sum.data_points()
                .map(|point| plain(sorted(point.attributes()), point.value()))
                .collect(),
        ),
        MetricData::Histogram(histogram) => (
            Instrument::Histogram,
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: sorted(point.attributes()),
                    count: point.count(),
                    value: number(point.sum()),
                    bounds: point.bounds().collect(),
                    buckets: point.bucket_counts().collect(),
                })
                .collect(),
        ),
        MetricData::ExponentialHistogram(histogram) => (
            Instrument::ExponentialHistogram,
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: sorted(point.attributes()),
                    count: point.count() as u64,
                    value: number(point.sum()),
                    bounds: Vec::new(),
                    buckets: Vec::new(),
                })
                .collect(),
        ),
    }
}

/// Checks exported metrics and keeps the newest ones, which are cumulative.
#[derive(Debug, Clone)]
pub(super) struct MetricStore {
    newest: Arc<Mutex<Metrics>>,
    conventions: ConventionLayer,
}

impl MetricStore {
    pub(super) fn new(conventions: ConventionLayer) -> Self {
        Self {
            newest: Arc::default(),
            conventions,
        }
    }

    pub(super) fn newest(&self) -> Metrics {
        self.newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl PushMetricExporter for MetricStore {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.conventions.check_metrics(metrics);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Metrics::from_sdk(metrics);
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
