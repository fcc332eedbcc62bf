//! [`ConsoleMetrics`]: operations and jobs as a table with counts and quantiles, other metrics as
//! values. It prints at flush and shutdown, or at the configured interval. A table that has not
//! changed is not printed again.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::super::counters::Counters;
use super::super::histogram_points::histogram_points;
use super::super::operation_table::{OperationTable, OperationTables};
use super::super::own_histograms::OwnReader;
use super::format;
use super::writer::ConsoleWriter;
use crate::conventions::{attribute, metric};
use crate::runtime::{HistogramData, HistogramPoint};

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
    let mut tables = OperationTables::default();
    let mut others = Vec::new();
    for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
        let points = histogram_points(metric);
        if !points.is_some_and(|points| tables.add(metric.name(), &points)) {
            others.extend(values(metric));
        }
    }
    for histogram in own {
        if !tables.add(histogram.name, &histogram.points) {
            others.extend(own_values(histogram));
        }
    }
    let mut text = table_text(&tables.operations, ["operation", "collection"]);
    text.push_str(&table_text(&tables.jobs, ["job", "target"]));
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

/// Returns a table as text.
fn table_text(table: &OperationTable, heads: [&str; 2]) -> String {
    if table.0.is_empty() {
        return String::new();
    }
    let has_rows = table.0.values().any(|row| row.rows.is_some());
    let rows = if has_rows { "rows" } else { "" };
    let mut lines =
        vec![[heads[0], heads[1], "count", "p50", "p99", "errors", rows].map(str::to_owned)];
    for ((first, second), row) in &table.0 {
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
