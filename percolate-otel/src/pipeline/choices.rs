//! [`Choices`]: the values that a [`TelemetryBuilder`](super::TelemetryBuilder) collects.
//! `settings` combines them with the environment, and `assemble` builds the pipeline from both.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::metrics::{MeterProviderBuilder, Temporality};
use opentelemetry_sdk::trace::SpanProcessor;

use super::buckets::HistogramBuckets;
use super::console::ConsoleWriter;
use super::env::Environment;
use super::otlp_options::Otlp;
use super::processor::AnySpanExporter;
use super::propagator::Propagator;
use super::signal::Exporter;
use crate::layer::ConventionLayer;
use crate::runtime::Sampler;

/// The values of the builder's methods; `None` and empty lists where a method was not called.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch"
)]
pub(super) struct Choices {
    pub(super) environment: Option<Environment>,
    pub(super) disabled: Option<bool>,
    pub(super) traces: Option<Vec<Exporter>>,
    pub(super) metrics: Option<Vec<Exporter>>,
    pub(super) logs: Option<Vec<Exporter>>,
    pub(super) otlp: Otlp,
    pub(super) traces_otlp: Otlp,
    pub(super) metrics_otlp: Otlp,
    pub(super) logs_otlp: Otlp,
    pub(super) propagators: Option<Vec<Propagator>>,
    pub(super) sampler: Option<Sampler>,
    pub(super) detect_resource: bool,
    pub(super) resource: Vec<KeyValue>,
    pub(super) buckets: Option<HistogramBuckets>,
    pub(super) queue_size: Option<usize>,
    pub(super) batch_size: Option<usize>,
    pub(super) batch_delay: Option<Duration>,
    pub(super) export_timeout: Option<Duration>,
    pub(super) metric_interval: Option<Duration>,
    pub(super) temporality: Option<Temporality>,
    pub(super) console: Option<ConsoleWriter>,
    pub(super) incomplete_after: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) installs_subscriber: bool,
    pub(super) slow_threshold: Option<Duration>,
    pub(super) report_failed: bool,
    pub(super) export_reported_roots: bool,
    pub(super) record_returned_rows: bool,
    pub(super) span_events: bool,
    pub(super) metric_attributes: Vec<Key>,
    pub(super) span_exporters: Vec<Box<dyn AnySpanExporter>>,
    pub(super) span_processors: Vec<Box<dyn SpanProcessor>>,
    pub(super) metric_readers: Vec<AddReader>,
    pub(super) file_folder: Option<PathBuf>,
    pub(super) report: Option<PathBuf>,
    pub(super) report_conventions: Option<ConventionLayer>,
}

/// Adds a reader of any type, with the decided interval, to the builder of the meter provider.
pub(super) type AddReader =
    Box<dyn FnOnce(MeterProviderBuilder, Option<Duration>) -> MeterProviderBuilder + Send>;

impl Default for Choices {
    fn default() -> Self {
        Self {
            environment: None,
            disabled: None,
            traces: None,
            metrics: None,
            logs: None,
            otlp: Otlp::default(),
            traces_otlp: Otlp::default(),
            metrics_otlp: Otlp::default(),
            logs_otlp: Otlp::default(),
            propagators: None,
            sampler: None,
            detect_resource: true,
            resource: Vec::new(),
            buckets: None,
            queue_size: None,
            batch_size: None,
            batch_delay: None,
            export_timeout: None,
            metric_interval: None,
            temporality: None,
            console: None,
            incomplete_after: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(5),
            installs_subscriber: true,
            slow_threshold: None,
            report_failed: true,
            export_reported_roots: false,
            record_returned_rows: true,
            span_events: false,
            metric_attributes: Vec::new(),
            span_exporters: Vec::new(),
            span_processors: Vec::new(),
            metric_readers: Vec::new(),
            file_folder: None,
            report: None,
            report_conventions: None,
        }
    }
}

impl Choices {
    pub(super) fn has_own_traces(&self) -> bool {
        !self.span_exporters.is_empty() || !self.span_processors.is_empty()
    }

    pub(super) fn has_own_metrics(&self) -> bool {
        !self.metric_readers.is_empty()
    }
}
