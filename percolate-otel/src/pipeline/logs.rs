//! `tracing` events as OpenTelemetry log records: the bridge, whose logger is set when the pipeline
//! is installed, and the lines of the console. Off by default. Invariant: a record carries the ids
//! of the span that is current when the event occurs, whether an annotated call or another crate's
//! span.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, Logger, LoggerProvider, Severity};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::console::ConsoleWriter;
use super::counters::{Arrival, Counters};
use super::export_queue::ExportQueue;

/// The log bridge of a [`Telemetry::layer`](super::Telemetry::layer).
type LogBridge = OpenTelemetryTracingBridge<PipelineLogger, PipelineLogger>;

/// The logger of a layer's pipeline; none before the installation.
#[derive(Debug, Clone, Default)]
pub(super) struct PipelineLogger(Arc<ArcSwapOption<SdkLogger>>);

impl PipelineLogger {
    pub(super) fn fill(&self, provider: &SdkLoggerProvider) {
        self.0.store(Some(Arc::new(provider.logger("tracing"))));
    }

    pub(super) fn empty(&self) {
        self.0.store(None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.load().is_none()
    }

    pub(super) fn bridge(&self) -> LogBridge {
        OpenTelemetryTracingBridge::new(self)
    }
}

impl LoggerProvider for PipelineLogger {
    type Logger = Self;

    fn logger_with_scope(&self, _: InstrumentationScope) -> Self {
        self.clone()
    }
}

impl Logger for PipelineLogger {
    type LogRecord = SdkLogRecord;

    fn create_log_record(&self) -> SdkLogRecord {
        /// Only a logger can create a record.
        static ANY: LazyLock<SdkLogger> =
            LazyLock::new(|| SdkLoggerProvider::builder().build().logger("tracing"));
        ANY.create_log_record()
    }

    fn emit(&self, record: SdkLogRecord) {
        if let Some(logger) = &*self.0.load() {
            logger.emit(record);
        }
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.0
            .load()
            .as_ref()
            .is_some_and(|logger| logger.event_enabled(level, target, name))
    }
}

/// A log record in the queue of an exporter.
#[derive(Debug)]
pub(super) struct QueuedLog {
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "read by OTLP"))]
    pub(super) record: SdkLogRecord,
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "read by OTLP"))]
    pub(super) scope: InstrumentationScope,
}

/// The log processor that fills one exporter's queue.
#[derive(Debug, Clone)]
pub(super) struct BatchLogs(pub(super) Arc<ExportQueue<QueuedLog>>);

impl LogProcessor for BatchLogs {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let log = QueuedLog {
            record: record.clone(),
            scope: scope.clone(),
        };
        self.0.push(log, false);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_in(timeout)
    }
}

/// Prints each record as one line with the ids of its span.
#[derive(Debug)]
pub(super) struct ConsoleLogs {
    pub(super) writer: ConsoleWriter,
    pub(super) counters: Arc<Counters>,
}

impl LogProcessor for ConsoleLogs {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.counters.arrive(Arrival::Queued);
        self.counters.begin(1);
        let result = self.writer.write(&line(record));
        self.counters
            .end(1, usize::from(result.is_err()), result.err());
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn line(record: &SdkLogRecord) -> String {
    let severity = record.severity_text().unwrap_or("LOG");
    let target = record.target().map_or("", |target| target);
    let mut line = format!(
        "log {severity:<5} {target}: {}",
        record.body().map(text).unwrap_or_default()
    );
    for (key, value) in record.attributes_iter() {
        _ = write!(line, "  {key}={}", text(value));
    }
    if let Some(context) = record.trace_context() {
        _ = write!(
            line,
            "  (trace {} span {})",
            context.trace_id, context.span_id
        );
    }
    line.push('\n');
    line
}

fn text(value: &AnyValue) -> String {
    match value {
        AnyValue::Int(number) => number.to_string(),
        AnyValue::Double(number) => number.to_string(),
        AnyValue::Boolean(flag) => flag.to_string(),
        AnyValue::String(text) => text.as_str().to_owned(),
        other => format!("{other:?}"),
    }
}
