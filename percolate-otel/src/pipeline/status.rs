//! [`TelemetryStatus`]: a snapshot of the pipeline's state and counts.

use super::counters::ExportCounts;
use super::env::ConfigWarning;

/// A snapshot of a pipeline's state and counts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TelemetryStatus {
    /// Whether `OTEL_SDK_DISABLED` or the builder disabled the pipeline.
    pub disabled: bool,
    /// Whether the pipeline was shut down.
    pub shut_down: bool,
    /// The sampler as text, e.g. `parentbased_traceidratio(0.01)`.
    pub sampler: String,
    /// The exporters of spans with their counts of spans.
    pub traces: Vec<ExporterStatus>,
    /// The exporters of metrics with their counts of exports, and the report with its counts of pages.
    pub metrics: Vec<ExporterStatus>,
    /// The exporters of log records with their counts of records.
    pub logs: Vec<ExporterStatus>,
    /// Sampled annotated calls that have ended, whatever became of their spans: exported, lost, or
    /// waiting.
    pub recorded_spans: u64,
    /// Spans of annotated calls that were dropped because the buffer of records was full, or
    /// because their thread was ending.
    pub dropped_records: u64,
    /// Spans of annotated calls that ended after the shutdown.
    pub dropped_records_after_shutdown: u64,
    /// Whether the subscriber of the current thread has
    /// [`Telemetry::layer`](super::Telemetry::layer) or
    /// [`TelemetryGuard::layer`](super::TelemetryGuard::layer), so that the `tracing` spans of
    /// other crates are exported too.
    pub layer_in_subscriber: bool,
    /// Variables and options that were not used, or only in part.
    pub warnings: Vec<ConfigWarning>,
}

/// The state of one exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterStatus {
    /// The destination, e.g. `http://collector:4317 (OTLP/gRPC)` or `console`.
    pub to: String,
    /// The counts of exported and lost data.
    pub counts: ExportCounts,
}

impl TelemetryStatus {
    /// Returns the number of lost spans, over all exporters and reasons.
    pub fn lost_spans(&self) -> u64 {
        self.dropped_records
            + self.dropped_records_after_shutdown
            + self
                .traces
                .iter()
                .map(|exporter| exporter.counts.lost())
                .sum::<u64>()
    }

    /// Returns the number of lost log records, over all exporters and reasons.
    pub fn lost_log_records(&self) -> u64 {
        self.logs
            .iter()
            .map(|exporter| exporter.counts.lost())
            .sum()
    }
}
