//! What a program can say about its telemetry. Every method has a variable beside it (`docs/pipeline.md`); what is said
//! here wins over the environment, and what is not said is left to it. Deciding is done in `settings`, making in
//! `assemble`.

use std::io::Write;
use std::time::Duration;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, Temporality};
use opentelemetry_sdk::trace::{SpanExporter, SpanProcessor};

use super::buckets::HistogramBuckets;
use super::console::ConsoleWriter;
use super::env::Environment;
use super::error::TelemetryError;
use super::guard::TelemetryGuard;
use super::processor::AnySpanExporter;
use super::resource;
use super::settings::{Exporter, Otlp, Propagator, Signal};
use super::{assemble, guard};
use crate::runtime::Sampler;

/// Builds the telemetry pipeline. Made by [`Telemetry::builder`](super::Telemetry::builder).
///
/// ```
/// use std::time::Duration;
/// use percolate_otel::{Exporter, HistogramBuckets, Telemetry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = Telemetry::builder()
///     .service_name("articles")
///     .traces([Exporter::Console])
///     .histogram_buckets(HistogramBuckets::Exponential)
///     .shutdown_timeout(Duration::from_secs(2))
///     .install()?;
/// // … the program …
/// guard.shutdown(Duration::from_secs(2))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `install`"]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct TelemetryBuilder {
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
    pub(super) span_exporters: Vec<Box<dyn AnySpanExporter>>,
    pub(super) span_processors: Vec<Box<dyn SpanProcessor>>,
    pub(super) metric_readers: Vec<AddReader>,
}

/// Adds a reader of any type to the provider's builder; the interval is the one decided for all.
pub(super) type AddReader =
    Box<dyn FnOnce(MeterProviderBuilder, Option<Duration>) -> MeterProviderBuilder + Send>;

impl Default for TelemetryBuilder {
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
            span_exporters: Vec::new(),
            span_processors: Vec::new(),
            metric_readers: Vec::new(),
        }
    }
}

impl TelemetryBuilder {
    /// Reads these variables instead of the process's own.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Switches everything off (or on), as `OTEL_SDK_DISABLED` does. Propagators stay.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = Some(disabled);
        self
    }

    /// Where spans go. See `OTEL_TRACES_EXPORTER`.
    pub fn traces(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.traces = Some(exporters.into_iter().collect());
        self
    }

    /// Where metrics go. See `OTEL_METRICS_EXPORTER`.
    pub fn metrics(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.metrics = Some(exporters.into_iter().collect());
        self
    }

    /// Where events of `tracing` go as log records; nowhere, unless told otherwise. See `OTEL_LOGS_EXPORTER`.
    pub fn logs(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.logs = Some(exporters.into_iter().collect());
        self
    }

    /// Options of the OTLP exporters of all signals. An endpoint here also makes OTLP the default exporter.
    pub fn otlp(mut self, options: Otlp) -> Self {
        self.otlp = options;
        self
    }

    /// Options of one signal's OTLP exporter, over those for all signals.
    pub fn otlp_for(mut self, signal: Signal, options: Otlp) -> Self {
        match signal {
            Signal::Traces => self.traces_otlp = options,
            Signal::Metrics => self.metrics_otlp = options,
            Signal::Logs => self.logs_otlp = options,
        }
        self
    }

    /// How context travels in headers. See `OTEL_PROPAGATORS`.
    pub fn propagators(mut self, propagators: impl IntoIterator<Item = Propagator>) -> Self {
        self.propagators = Some(propagators.into_iter().collect());
        self
    }

    /// Which traces are recorded. See `OTEL_TRACES_SAMPLER`.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// The service's name. See `OTEL_SERVICE_NAME`.
    pub fn service_name(self, name: impl Into<Value>) -> Self {
        self.resource_attribute(resource::SERVICE_NAME, name)
    }

    /// An attribute of the resource. See `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.resource.push(KeyValue::new(key, value));
        self
    }

    /// Whether host, operating system and process are detected; they are, unless told otherwise.
    pub fn detect_resource(mut self, detect: bool) -> Self {
        self.detect_resource = detect;
        self
    }

    /// The buckets of `db.client.operation.duration` and `job.duration`.
    pub fn histogram_buckets(mut self, buckets: HistogramBuckets) -> Self {
        self.buckets = Some(buckets);
        self
    }

    /// Spans that may wait for each exporter; more are dropped and counted. See `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.queue_size = Some(spans);
        self
    }

    /// Spans of one export at most. See `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.batch_size = Some(spans);
        self
    }

    /// How long a span waits at most for others to be exported with. See `OTEL_BSP_SCHEDULE_DELAY`.
    pub fn batch_delay(mut self, delay: Duration) -> Self {
        self.batch_delay = Some(delay);
        self
    }

    /// How long the export of one batch may take. See `OTEL_BSP_EXPORT_TIMEOUT`.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.export_timeout = Some(timeout);
        self
    }

    /// How often metrics are exported. See `OTEL_METRIC_EXPORT_INTERVAL`. Unsaid, the console prints at flush and
    /// shutdown only.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.metric_interval = Some(interval).filter(|interval| !interval.is_zero());
        self
    }

    /// Since when metrics count. See `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// Where the console exporter writes, instead of stderr.
    pub fn console_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.console = Some(ConsoleWriter::new(writer));
        self
    }

    /// After how long the console shows a trace whose root did not arrive; 5 seconds, unless told otherwise.
    pub fn console_incomplete_after(mut self, delay: Duration) -> Self {
        self.incomplete_after = delay;
        self
    }

    /// How long dropping the guard may take; 5 seconds, unless told otherwise.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Whether `install` may become the process's `tracing` subscriber where there is none; it may, unless told
    /// otherwise. It then serves other people's `tracing` spans, and prints warnings (`OTEL_LOG_LEVEL`) to stderr.
    pub fn install_subscriber(mut self, install: bool) -> Self {
        self.installs_subscriber = install;
        self
    }

    /// From which duration on a call that was not sampled is reported as slow; never, unless told otherwise.
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.slow_threshold = Some(threshold);
        self
    }

    /// Whether calls that were not sampled and failed are reported; they are, unless told otherwise.
    pub fn report_failed(mut self, report: bool) -> Self {
        self.report_failed = report;
        self
    }

    /// Whether a reported call that was not sampled and began its trace is exported as a span too; it is not, unless
    /// told otherwise.
    pub fn export_reported_roots(mut self, export: bool) -> Self {
        self.export_reported_roots = export;
        self
    }

    /// Whether `db.response.returned_rows` is recorded, which the conventions want to be a choice; it is, unless told
    /// otherwise.
    pub fn record_returned_rows(mut self, record: bool) -> Self {
        self.record_returned_rows = record;
        self
    }

    /// Adds an exporter of spans, behind a queue of its own. It replaces the default one, not one that was named.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.span_exporters.push(Box::new(exporter));
        self
    }

    /// Adds a processor of finished spans as it is. It replaces the default exporter, not one that was named.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.span_processors.push(Box::new(processor));
        self
    }

    /// Adds an exporter of metrics. It replaces the default one, not one that was named.
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.metric_readers
            .push(Box::new(move |provider, interval| {
                let reader = PeriodicReader::builder(exporter)
                    .with_interval(interval.unwrap_or(Duration::from_mins(1)));
                provider.with_reader(reader.build())
            }));
        self
    }

    /// Builds the pipeline and makes it the process's own: of annotated calls, of OpenTelemetry's global providers and
    /// propagator, and of [`Telemetry::layer`](super::Telemetry::layer).
    ///
    /// Keep the guard: dropping it flushes and shuts down.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::AlreadyInstalled`] if this process has one, and whatever keeps an exporter from being made.
    /// A collector that does not answer is no error.
    pub fn install(self) -> Result<TelemetryGuard, TelemetryError> {
        guard::install(self)
    }

    /// Builds the pipeline and touches nothing global. It serves the threads that
    /// [enter it](TelemetryGuard::enter) and the subscribers that have [its layer](TelemetryGuard::layer): for tests,
    /// and for programs that hold several.
    ///
    /// # Errors
    ///
    /// Whatever keeps an exporter from being made.
    pub fn build(self) -> Result<TelemetryGuard, TelemetryError> {
        Ok(TelemetryGuard::new(assemble::assemble(self)?, false))
    }

    pub(super) fn has_own_traces(&self) -> bool {
        !self.span_exporters.is_empty() || !self.span_processors.is_empty()
    }

    pub(super) fn has_own_metrics(&self) -> bool {
        !self.metric_readers.is_empty()
    }
}

impl std::fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryBuilder")
            .field("traces", &self.traces)
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}
