//! Histograms that the SDK aggregated, as the points that the runtime's own aggregation has, so that
//! one code shows both.

use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, MetricData,
};

use crate::runtime::{HistogramPoint, PointBuckets};

/// Returns the points of a histogram that have a measurement; `None` if the metric is not a
/// histogram.
pub(super) fn histogram_points(metric: &Metric) -> Option<Vec<HistogramPoint>> {
    match metric.data() {
        AggregatedMetrics::F64(data) => points_of(data, |value| value),
        AggregatedMetrics::U64(data) => points_of(data, |value| to_float(i128::from(value))),
        AggregatedMetrics::I64(data) => points_of(data, |value| to_float(i128::from(value))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
fn to_float(value: i128) -> f64 {
    value as f64
}

fn points_of<T: Copy>(
    data: &MetricData<T>,
    float: impl Fn(T) -> f64 + Copy,
) -> Option<Vec<HistogramPoint>> {
    match data {
        MetricData::Histogram(histogram) => {
            let points = histogram.data_points().filter(|point| point.count() > 0);
            Some(points.map(|point| explicit(point, float)).collect())
        }
        MetricData::ExponentialHistogram(histogram) => {
            let points = histogram.data_points().filter(|point| point.count() > 0);
            Some(points.map(|point| exponential(point, float)).collect())
        }
        MetricData::Gauge(_) | MetricData::Sum(_) => None,
    }
}

fn explicit<T: Copy>(point: &HistogramDataPoint<T>, float: impl Fn(T) -> f64) -> HistogramPoint {
    HistogramPoint {
        attributes: point.attributes().cloned().collect(),
        count: point.count(),
        sum: float(point.sum()),
        minimum: point.min().map_or(0.0, &float),
        maximum: point.max().map_or(f64::INFINITY, &float),
        buckets: PointBuckets::Explicit {
            bounds: point.bounds().collect::<Vec<_>>().into(),
            counts: point.bucket_counts().collect(),
        },
        exemplars: Vec::new(),
    }
}

fn exponential<T: Copy>(
    point: &ExponentialHistogramDataPoint<T>,
    float: impl Fn(T) -> f64,
) -> HistogramPoint {
    let positive = point.positive_bucket();
    HistogramPoint {
        attributes: point.attributes().cloned().collect(),
        count: point.count() as u64,
        sum: float(point.sum()),
        minimum: point.min().map_or(0.0, &float),
        maximum: point.max().map_or(f64::INFINITY, &float),
        buckets: PointBuckets::Exponential {
            scale: point.scale(),
            zeros: point.zero_count(),
            offset: positive.offset(),
            counts: positive.counts().collect(),
        },
        exemplars: Vec::new(),
    }
}
