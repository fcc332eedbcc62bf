//! The histograms of the runtime's own aggregation as OTLP, with exemplars.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Histogram, HistogramDataPoint, Metric, ScopeMetrics,
    exemplar, metric,
};

use crate::aggregation::{HistogramData, HistogramPoint};
use crate::conventions::{SCHEMA_URL, SCOPE_NAME};
use crate::metrics::scope;

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
    let (start, time) = (nanos(histogram.start), nanos(histogram.time));
    let bounds = histogram.bounds;
    let point = |point| point_of(point, &bounds, (start, time));
    Metric {
        name: histogram.name.to_owned(),
        description: histogram.description.to_owned(),
        unit: histogram.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(metric::Data::Histogram(Histogram {
            data_points: histogram.points.into_iter().map(point).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
    }
}

fn point_of(
    point: HistogramPoint,
    bounds: &[f64],
    (start, time): (u64, u64),
) -> HistogramDataPoint {
    let exemplars = point.exemplars.iter().map(|exemplar| Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: exemplar.time,
        span_id: exemplar.span_id.to_be_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    });
    HistogramDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        count: point.count,
        sum: Some(point.sum),
        bucket_counts: point.buckets,
        explicit_bounds: bounds.to_vec(),
        exemplars: exemplars.collect(),
        flags: 0,
        min: Some(point.minimum),
        max: Some(point.maximum),
        attributes: point.attributes.iter().map(Into::into).collect(),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
