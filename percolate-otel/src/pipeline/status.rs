//! [`TelemetryStatus`]: a snapshot of the pipeline's state and counts.

use super::counters::ExportCounts;
use super::env::ConfigWarning;

/// What a telemetry pipeline does and did, at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TelemetryStatus {
    /// Switched off by `OTEL_SDK_DISABLED` or the builder.
    pub disabled: bool,
    /// Flushed and ended.
    pub shut_down: bool,
    /// The sampler in words, e.g. `parentbased_traceidratio(0.01)`.
    pub sampler: String,
    /// Each exporter of spans and what became of what it was given.
    pub traces: Vec<ExporterStatus>,
    /// Each exporter of metrics; it counts exports.
    pub metrics: Vec<ExporterStatus>,
    /// Each exporter of log records. What the SDK's queue before it drops is not known here.
    pub logs: Vec<ExporterStatus>,
    /// Spans of percolate's calls that were lost before any exporter, as they were made faster than taken over.
    pub dropped_records: u64,
    /// Whether the subscriber of the asking thread has [`Telemetry::layer`](super::Telemetry::layer) (or
    /// [`TelemetryGuard::layer`]), so that other people's `tracing` spans are exported too.
    pub layer_in_subscriber: bool,
    /// Variables and options that were not used as they stand.
    pub warnings: Vec<ConfigWarning>,
}

/// One exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterStatus {
    /// Where to, e.g. `http://collector:4317 (OTLP/gRPC)` or `console`.
    pub to: String,
    /// What became of it.
    pub counts: ExportCounts,
}

impl TelemetryStatus {
    /// Spans that did not arrive everywhere they should have, for whatever reason.
    pub fn lost_spans(&self) -> u64 {
        self.dropped_records
            + self
                .traces
                .iter()
                .map(|exporter| exporter.counts.lost())
                .sum::<u64>()
    }
}
