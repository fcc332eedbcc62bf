//! The histograms of the runtime's own aggregation as OTLP, with exemplars.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint,
    Histogram, HistogramDataPoint, Metric, ScopeMetrics, exemplar,
    exponential_histogram_data_point::Buckets, metric,
};

use crate::conventions::{SCHEMA_URL, SCOPE_NAME};
use crate::metrics::scope;
use crate::runtime::{HistogramData, HistogramPoint, PointBuckets, Temporality};

/// Adds the histograms to the metrics of percolate's scope.
pub(super) fn append(request: &mut ExportMetricsServiceRequest, histograms: Vec<HistogramData>) {
    let Some(resource) = request.resource_metrics.first_mut() else {
        return;
    };
    if histograms.is_empty() {
        return;
    }
    let scopes = &mut resource.scope_metrics;
    let is_own = |metrics: &ScopeMetrics| {
        metrics
            .scope
            .as_ref()
            .is_some_and(|scope| scope.name == SCOPE_NAME)
    };
    let position = scopes.iter().position(is_own).unwrap_or_else(|| {
        scopes.push(ScopeMetrics {
            scope: Some((&scope(), None).into()),
            metrics: Vec::new(),
            schema_url: SCHEMA_URL.to_owned(),
        });
        scopes.len() - 1
    });
    let metrics = histograms.into_iter().map(metric_of);
    scopes[position].metrics.extend(metrics);
}

fn metric_of(histogram: HistogramData) -> Metric {
    let times = (nanos(histogram.start), nanos(histogram.time));
    let aggregation_temporality = match histogram.temporality {
        Temporality::Cumulative => AggregationTemporality::Cumulative,
        Temporality::Delta => AggregationTemporality::Delta,
    };
    // All points of a histogram have the same kind of buckets.
    let (mut explicit, mut exponential) = (Vec::new(), Vec::new());
    for point in histogram.points {
        match point_of(point, times) {
            Point::Explicit(point) => explicit.push(point),
            Point::Exponential(point) => exponential.push(point),
        }
    }
    let data = if exponential.is_empty() {
        metric::Data::Histogram(Histogram {
            data_points: explicit,
            aggregation_temporality: aggregation_temporality.into(),
        })
    } else {
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: exponential,
            aggregation_temporality: aggregation_temporality.into(),
        })
    };
    Metric {
        name: histogram.name.to_owned(),
        description: histogram.description.to_owned(),
        unit: histogram.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

enum Point {
    Explicit(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

fn point_of(point: HistogramPoint, (start, time): (u64, u64)) -> Point {
    let exemplars = point.exemplars.iter().map(|exemplar| Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: exemplar.time,
        span_id: exemplar.span_id.to_be_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    });
    let exemplars = exemplars.collect();
    let attributes = point.attributes.iter().map(Into::into).collect();
    match point.buckets {
        PointBuckets::Explicit { bounds, counts } => Point::Explicit(HistogramDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            count: point.count,
            sum: Some(point.sum),
            bucket_counts: counts,
            explicit_bounds: bounds.to_vec(),
            exemplars,
            flags: 0,
            min: Some(point.minimum),
            max: Some(point.maximum),
            attributes,
        }),
        PointBuckets::Exponential {
            scale,
            zeros,
            offset,
            counts,
        } => Point::Exponential(ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count: point.count,
            sum: Some(point.sum),
            scale: scale.into(),
            zero_count: zeros,
            positive: Some(Buckets {
                offset,
                bucket_counts: counts,
            }),
            negative: Some(Buckets::default()),
            flags: 0,
            exemplars,
            min: Some(point.minimum),
            max: Some(point.maximum),
            zero_threshold: 0.0,
        }),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
