//! [`TelemetryBuilder`]: the options of the pipeline in code. Most have a variable too
//! (`docs/pipeline.md`); a method that was called wins over the variable. The options are combined
//! with the environment in `settings`, and the pipeline is built in `assemble`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use opentelemetry_sdk::trace::{SpanExporter, SpanProcessor};

use super::buckets::HistogramBuckets;
use super::choices::Choices;
use super::console::ConsoleWriter;
use super::env::Environment;
use super::error::TelemetryError;
use super::guard::TelemetryGuard;
use super::otlp_options::Otlp;
use super::processor::SdkSpans;
use super::propagator::Propagator;
use super::resource;
use super::signal::{Exporter, Signal};
use super::{assemble, install};
use crate::layer::ConventionLayer;
use crate::runtime::Sampler;

/// Builds the telemetry pipeline. Created by [`Telemetry::builder`](super::Telemetry::builder).
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
#[derive(Default)]
#[must_use = "nothing happens before `install`"]
pub struct TelemetryBuilder {
    choices: Choices,
}

impl TelemetryBuilder {
    /// Sets the variables to read instead of the process's own. No `OTEL_*` variable of the process
    /// has an effect on this pipeline then.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.choices.environment = Some(environment);
        self
    }

    /// Disables recording and export; the propagators stay. See `OTEL_SDK_DISABLED`.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.choices.disabled = Some(disabled);
        self
    }

    /// Sets the exporters of spans. See `OTEL_TRACES_EXPORTER`.
    pub fn traces(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.choices.traces = Some(exporters.into_iter().collect());
        self
    }

    /// Sets the exporters of metrics. See `OTEL_METRICS_EXPORTER`.
    pub fn metrics(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.choices.metrics = Some(exporters.into_iter().collect());
        self
    }

    /// Sets the exporters of `tracing` events as log records. Default: none. See
    /// `OTEL_LOGS_EXPORTER`.
    pub fn logs(mut self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.choices.logs = Some(exporters.into_iter().collect());
        self
    }

    /// Sets the options of the OTLP exporters of all signals. If it has an endpoint, OTLP is the
    /// default exporter.
    pub fn otlp(mut self, options: Otlp) -> Self {
        self.choices.otlp = options;
        self
    }

    /// Sets the options of one signal's OTLP exporter. They override those for all signals.
    pub fn otlp_for(mut self, signal: Signal, options: Otlp) -> Self {
        match signal {
            Signal::Traces => self.choices.traces_otlp = options,
            Signal::Metrics => self.choices.metrics_otlp = options,
            Signal::Logs => self.choices.logs_otlp = options,
        }
        self
    }

    /// Sets the propagators of context in headers. See `OTEL_PROPAGATORS`.
    pub fn propagators(mut self, propagators: impl IntoIterator<Item = Propagator>) -> Self {
        self.choices.propagators = Some(propagators.into_iter().collect());
        self
    }

    /// Sets the sampler of traces. See `OTEL_TRACES_SAMPLER`.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.choices.sampler = Some(sampler);
        self
    }

    /// Sets the name of the service. See `OTEL_SERVICE_NAME`.
    pub fn service_name(self, name: impl Into<Value>) -> Self {
        self.resource_attribute(resource::SERVICE_NAME, name)
    }

    /// Adds an attribute to the resource. See `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.choices.resource.push(KeyValue::new(key, value));
        self
    }

    /// Sets whether host, operating system and process are detected. Default: `true`.
    pub fn detect_resource(mut self, detect: bool) -> Self {
        self.choices.detect_resource = detect;
        self
    }

    /// Sets the buckets of `db.client.operation.duration`, `job.duration` and `job.queue.wait`.
    /// Invalid bounds are a warning in
    /// [`TelemetryStatus::warnings`](super::TelemetryStatus::warnings).
    pub fn histogram_buckets(mut self, buckets: HistogramBuckets) -> Self {
        self.choices.buckets = Some(buckets);
        self
    }

    /// Sets how many spans may wait for each exporter; more are dropped and counted. Default: 2048.
    /// See `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.choices.queue_size = Some(spans);
        self
    }

    /// Sets how many spans one export has at most. Default: 512. See
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.choices.batch_size = Some(spans);
        self
    }

    /// Sets how long a span waits for a batch to fill. Default: 5 s. See `OTEL_BSP_SCHEDULE_DELAY`.
    pub fn batch_delay(mut self, delay: Duration) -> Self {
        self.choices.batch_delay = Some(delay);
        self
    }

    /// Sets how long the export of one batch may take. Default: 30 s. Zero is no limit, which is one
    /// hour. See `OTEL_BSP_EXPORT_TIMEOUT`.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.choices.export_timeout = Some(timeout);
        self
    }

    /// Sets the interval of metric exports. Default: 60 s; the console prints only at flush and
    /// shutdown. A zero interval is ignored. See `OTEL_METRIC_EXPORT_INTERVAL`.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.choices.metric_interval = Some(interval).filter(|interval| !interval.is_zero());
        self
    }

    /// Sets the temporality of exported metrics. See
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.choices.temporality = Some(temporality);
        self
    }

    /// Sets the writer of the console exporter. Default: stderr.
    pub fn console_writer(mut self, writer: impl Write + Send + 'static) -> Self {
        self.choices.console = Some(ConsoleWriter::new(writer));
        self
    }

    /// Sets after how long the console shows a trace whose root span has not ended. Default: 5 s.
    pub fn console_incomplete_after(mut self, delay: Duration) -> Self {
        self.choices.incomplete_after = delay;
        self
    }

    /// Sets the folder of [`Exporter::OtlpFile`] and [`Exporter::Chrome`]. It must exist. Default: the
    /// current folder. See `PERCOLATE_FILE_FOLDER`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use percolate_otel::{Exporter, Telemetry};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let telemetry = Telemetry::builder()
    ///     .traces([Exporter::Chrome])
    ///     .metrics([Exporter::None])
    ///     .file_folder(folder.path())
    ///     .build()?;
    /// // … the program …
    /// telemetry.shutdown(Duration::from_secs(5))?;
    /// assert!(folder.path().join("trace.json").exists());
    /// # Ok(())
    /// # }
    /// ```
    pub fn file_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.choices.file_folder = Some(folder.into());
        self
    }

    /// Writes a report to this file at each flush and at the shutdown: one HTML page with traces,
    /// latencies over time, failures, convention findings and losses, which opens in a browser
    /// without a server. The exporters stay as they are. See `PERCOLATE_REPORT`.
    ///
    /// The page has the slowest and the failed traces and a random sample of the others, within
    /// bounds that it shows. It contains what spans and metrics export, and nothing else. A file that
    /// cannot be written is an error of the flush, and one warning. `{pid}` in the path is replaced with
    /// the id of the process.
    ///
    /// ```
    /// use std::time::Duration;
    /// use percolate_otel::{Exporter, Telemetry};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("report.html");
    /// let telemetry = Telemetry::builder()
    ///     .traces([Exporter::None])
    ///     .metrics([Exporter::None])
    ///     .report(&path)
    ///     .install()?;
    /// // … the program …
    /// telemetry.shutdown(Duration::from_secs(5))?;
    /// assert!(std::fs::read_to_string(&path)?.starts_with("<!doctype html>"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(mut self, path: impl Into<PathBuf>) -> Self {
        self.choices.report = Some(path.into());
        self
    }

    /// Adds the findings of a Layer to the [report](Self::report). The subscriber that `install`
    /// installs has such a Layer if there is a report; this method is for other subscribers.
    pub fn report_conventions(mut self, conventions: &ConventionLayer) -> Self {
        self.choices.report_conventions = Some(conventions.clone());
        self
    }

    /// Sets how long dropping the guard may take. Default: 5 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.choices.shutdown_timeout = timeout;
        self
    }

    /// Sets whether `install` installs a `tracing` subscriber if the process has none. That
    /// subscriber exports the `tracing` spans of other crates and prints warnings
    /// (`OTEL_LOG_LEVEL`) to stderr. Default: `true`.
    pub fn install_subscriber(mut self, install: bool) -> Self {
        self.choices.installs_subscriber = install;
        self
    }

    /// Sets the duration from which an unsampled call is reported as slow. Default: never.
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.choices.slow_threshold = Some(threshold);
        self
    }

    /// Sets whether unsampled calls that failed are reported. Default: `true`.
    pub fn report_failed(mut self, report: bool) -> Self {
        self.choices.report_failed = report;
        self
    }

    /// Sets whether the root span of an unsampled trace is exported if its call is reported.
    /// Default: `false`.
    pub fn export_reported_roots(mut self, export: bool) -> Self {
        self.choices.export_reported_roots = export;
        self
    }

    /// Sets whether `db.response.returned_rows` is recorded; the conventions require that it is
    /// optional. Default: `true`.
    pub fn record_returned_rows(mut self, record: bool) -> Self {
        self.choices.record_returned_rows = record;
        self
    }

    /// Sets whether a `tracing` event inside an annotated call becomes an event of that call's span.
    /// Default: `false`, because span events are deprecated: export log records instead, which have
    /// the ids of the call.
    ///
    /// A span has at most 128 events; further ones are counted in its `dropped_events_count`.
    pub fn span_events(mut self, record: bool) -> Self {
        self.choices.span_events = record;
        self
    }

    /// Sets the names of those attributes of [`with_attributes`](crate::with_attributes) that
    /// metrics have too: durations, rows, and the count of unsampled calls that are reported.
    /// Default: none.
    ///
    /// Each combination of their values is a metric series of its own. All calls together have at
    /// most 2000 series; further ones are measured in one series with `otel.metric.overflow` for each
    /// annotated function.
    pub fn metric_attributes<K: Into<Key>>(mut self, names: impl IntoIterator<Item = K>) -> Self {
        self.choices.metric_attributes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an exporter of spans with its own queue. It replaces the default exporter, but not one
    /// set by [`traces`](Self::traces) or the environment.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.choices
            .span_exporters
            .push(Box::new(SdkSpans(exporter)));
        self
    }

    /// Adds a processor of finished spans, without a queue. It replaces the default exporter, but
    /// not one set by [`traces`](Self::traces) or the environment.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.choices.span_processors.push(Box::new(processor));
        self
    }

    /// Adds an exporter of metrics. It replaces the default exporter, but not one set by
    /// [`metrics`](Self::metrics) or the environment.
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.choices
            .metric_readers
            .push(Box::new(move |provider, interval| {
                let reader = PeriodicReader::builder(exporter)
                    .with_interval(interval.unwrap_or(Duration::from_secs(60)));
                provider.with_reader(reader.build())
            }));
        self
    }

    /// Builds the pipeline and installs it for the process: for annotated calls, as OpenTelemetry's
    /// global providers and propagator, and for [`Telemetry::layer`](super::Telemetry::layer).
    ///
    /// Keep the guard: dropping it flushes and shuts down.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::AlreadyInstalled`] if the process has a pipeline, and the errors of
    /// [`build`](Self::build). An unreachable collector is not an error.
    pub fn install(self) -> Result<TelemetryGuard, TelemetryError> {
        Ok(TelemetryGuard::of_installed(install::install(
            self.choices,
        )?))
    }

    /// Builds the pipeline without changing global state. It serves the threads that
    /// [enter it](TelemetryGuard::enter) and the subscribers that have
    /// [its layer](TelemetryGuard::layer): for tests, and for programs with several pipelines.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Exporter`], [`TelemetryError::TlsFile`] or
    /// [`TelemetryError::OtlpNotBuilt`] if an exporter cannot be created, and
    /// [`TelemetryError::Thread`] if a thread cannot be started.
    pub fn build(self) -> Result<TelemetryGuard, TelemetryError> {
        Ok(TelemetryGuard::new(assemble::assemble(self.choices)?))
    }

    #[cfg(test)]
    pub(super) fn choices(&self) -> &Choices {
        &self.choices
    }
}

impl std::fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryBuilder")
            .field("traces", &self.choices.traces)
            .field("metrics", &self.choices.metrics)
            .finish_non_exhaustive()
    }
}
