//! The points of a metric as `f64`, independent of the type of its numbers.

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};

/// The instrument and points of a metric.
pub(crate) struct Points {
    pub(crate) instrument: &'static str,
    pub(crate) points: Vec<Point>,
}

/// One point. A point without a distribution has no bounds, no minimum and no maximum.
pub(crate) struct Point {
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) bounds: Vec<f64>,
    pub(crate) sum: f64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// Returns the points of a metric.
pub(crate) fn points(data: &AggregatedMetrics) -> Points {
    #[expect(
        clippy::cast_precision_loss,
        reason = "compared with bounds far below the loss"
    )]
    match data {
        AggregatedMetrics::F64(data) => points_of(data, |value| value),
        AggregatedMetrics::U64(data) => points_of(data, |value| value as f64),
        AggregatedMetrics::I64(data) => points_of(data, |value| value as f64),
    }
}

fn points_of<T: Copy>(data: &MetricData<T>, number: impl Fn(T) -> f64) -> Points {
    let plain = |attributes: Vec<KeyValue>, value| Point {
        attributes,
        bounds: Vec::new(),
        sum: number(value),
        min: None,
        max: None,
    };
    let (instrument, points) = match data {
        MetricData::Gauge(gauge) => (
            "gauge",
            gauge
                .data_points()
                .map(|point| plain(point.attributes().cloned().collect(), point.value()))
                .collect(),
        ),
        MetricData::Sum(sum) => (
            if sum.is_monotonic() {
                "counter"
            } else {
                "updowncounter"
            },
            sum.data_points()
                .map(|point| plain(point.attributes().cloned().collect(), point.value()))
                .collect(),
        ),
        MetricData::Histogram(histogram) => (
            "histogram",
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: point.attributes().cloned().collect(),
                    bounds: point.bounds().collect(),
                    sum: number(point.sum()),
                    min: point.min().map(&number),
                    max: point.max().map(&number),
                })
                .collect(),
        ),
        MetricData::ExponentialHistogram(histogram) => (
            "histogram",
            histogram
                .data_points()
                .map(|point| Point {
                    attributes: point.attributes().cloned().collect(),
                    bounds: Vec::new(),
                    sum: number(point.sum()),
                    min: point.min().map(&number),
                    max: point.max().map(&number),
                })
                .collect(),
        ),
    };
    Points { instrument, points }
}
