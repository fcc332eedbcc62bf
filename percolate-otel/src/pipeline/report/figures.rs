//! [`Figures`]: a copy of the metrics that the SDK aggregates, at the last collection: RocksDB's
//! figures, jobs and queues, and the metrics of the application. Invariant: at most
//! [`FIGURES`] values are kept; the others are counted.

use std::collections::HashSet;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};

use super::super::histogram_points::histogram_points;
use super::super::operation_table::OperationTables;
use super::last_figures::LastFigure;
use super::limits::FIGURES;
use crate::conventions::metric;
use crate::runtime::{HistogramData, HistogramPoint};

/// The metrics of the last collection.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// The histograms of durations, if the SDK aggregates them.
    pub(super) histograms: Vec<(String, Vec<HistogramPoint>)>,
    pub(super) values: Vec<Figure>,
    /// The number of values that were left out.
    pub(super) left_out: usize,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) attributes: Vec<KeyValue>,
    /// The value, or the sum of a histogram.
    pub(super) value: f64,
    /// The number of measurements of a histogram.
    pub(super) count: Option<u64>,
}

/// The last values of metrics that are not collected any more.
#[derive(Debug, Default)]
pub(super) struct LastFigures(Vec<Figure>);

impl LastFigures {
    /// Adds the last values of some series, or replaces them. There are at most [`FIGURES`].
    pub(super) fn add(&mut self, figures: &[LastFigure]) {
        let added: Vec<_> = figures.iter().map(Figure::from).collect();
        {
            let replaced: HashSet<_> = added.iter().map(Figure::series).collect();
            self.0.retain(|figure| !replaced.contains(&figure.series()));
        }
        self.0.extend(added);
        let oldest = self.0.len().saturating_sub(FIGURES);
        self.0.drain(..oldest);
    }

    /// Returns the values of the series that `current` does not have.
    pub(super) fn without<'a>(&'a self, current: &'a [Figure]) -> impl Iterator<Item = &'a Figure> {
        let current: HashSet<_> = current.iter().map(Figure::series).collect();
        let last = self.0.iter();
        last.filter(move |figure| !current.contains(&figure.series()))
    }
}

impl Figure {
    /// Returns the name of the metric and the attributes in one order.
    fn series(&self) -> (&str, Vec<&KeyValue>) {
        let mut attributes: Vec<_> = self.attributes.iter().collect();
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        (&self.metric, attributes)
    }
}

impl From<&LastFigure> for Figure {
    fn from(figure: &LastFigure) -> Self {
        Self {
            metric: figure.metric.name.to_owned(),
            unit: figure.metric.unit.to_owned(),
            attributes: figure.attributes.clone(),
            value: figure.value,
            count: None,
        }
    }
}

impl Figures {
    /// Copies the metrics of a collection.
    pub(super) fn new(metrics: &ResourceMetrics) -> Self {
        let mut this = Self::default();
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            this.add(metric);
        }
        this
    }

    fn add(&mut self, metric: &Metric) {
        let mut values = match histogram_points(metric) {
            Some(points) if has_table(metric.name()) => {
                self.histograms.push((metric.name().to_owned(), points));
                return;
            }
            Some(points) => of_points(metric.name(), metric.unit(), &points),
            None => match metric.data() {
                AggregatedMetrics::F64(data) => of_numbers(metric, data, |value| value),
                AggregatedMetrics::U64(data) => {
                    of_numbers(metric, data, |value| to_float(i128::from(value)))
                }
                AggregatedMetrics::I64(data) => {
                    of_numbers(metric, data, |value| to_float(i128::from(value)))
                }
            },
        };
        // The pipeline's own counts are in the table of losses.
        values.retain(|figure| !figure.metric.starts_with("otel.sdk."));
        let room = FIGURES.saturating_sub(self.values.len());
        self.left_out += values.len().saturating_sub(room);
        values.truncate(room);
        self.values.append(&mut values);
    }

    /// Returns the tables, and the values of histograms without a table, of these metrics and the
    /// histograms that the runtime aggregates by itself.
    pub(super) fn tables(&self, own: &[HistogramData]) -> (OperationTables, Vec<Figure>) {
        let mut tables = OperationTables::default();
        let mut values = Vec::new();
        for (name, points) in &self.histograms {
            tables.add(name, points);
        }
        for histogram in own {
            if !tables.add(histogram.name, &histogram.points) {
                values.extend(of_points(histogram.name, histogram.unit, &histogram.points));
            }
        }
        (tables, values)
    }
}

fn has_table(metric: &str) -> bool {
    matches!(
        metric,
        metric::DB_CLIENT_OPERATION_DURATION
            | metric::DB_CLIENT_RESPONSE_RETURNED_ROWS
            | metric::JOB_DURATION
    )
}

fn of_points(name: &str, unit: &str, points: &[HistogramPoint]) -> Vec<Figure> {
    let figure = |point: &HistogramPoint| Figure {
        metric: name.to_owned(),
        unit: unit.to_owned(),
        attributes: point.attributes.clone(),
        value: point.sum,
        count: Some(point.count),
    };
    points.iter().map(figure).collect()
}

fn of_numbers<T: Copy>(
    metric: &Metric,
    data: &MetricData<T>,
    float: impl Fn(T) -> f64,
) -> Vec<Figure> {
    let figure = |attributes: Vec<KeyValue>, value: T| Figure {
        metric: metric.name().to_owned(),
        unit: metric.unit().to_owned(),
        attributes,
        value: float(value),
        count: None,
    };
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|point| figure(point.attributes().cloned().collect(), point.value()))
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|point| figure(point.attributes().cloned().collect(), point.value()))
            .collect(),
        MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
fn to_float(value: i128) -> f64 {
    value as f64
}
