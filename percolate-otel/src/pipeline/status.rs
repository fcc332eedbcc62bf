//! [`TelemetryStatus`]: a snapshot of the pipeline's state and counts.

use super::counters::{ExportCounts, most_lost};
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
    /// Spans of annotated calls that ended or started after the shutdown. Among calls that started
    /// after the shutdown of an installed pipeline, these are the sampled ones; a sampler of the
    /// application is not called for them and counts as one that samples nothing.
    pub dropped_records_after_shutdown: u64,
    /// Annotated calls, sampled or not, that ended or started after the shutdown, so that no exported
    /// metric contains them. Calls of an installed pipeline are counted until another one is
    /// installed, if they have no other receiver: a scope of a thread, or global providers of
    /// OpenTelemetry that the program has set later.
    pub calls_after_shutdown: u64,
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
    /// Returns the number of spans that the exporter with the largest losses has not exported, for any
    /// reason. Exporters receive the same spans: the sum of their losses would exceed the spans that
    /// exist.
    pub fn lost_spans(&self) -> u64 {
        self.dropped_records
            + self.dropped_records_after_shutdown
            + most_lost(self.traces.iter().map(|exporter| &exporter.counts))
    }

    /// Returns which exporters have lost how many spans, with their last errors, as one message;
    /// `None` if no span was lost.
    pub fn describe_lost_spans(&self) -> Option<String> {
        let before = [
            (
                self.dropped_records,
                "before the exporters: calls ended faster than spans were exported",
            ),
            (
                self.dropped_records_after_shutdown,
                "of calls after the shutdown",
            ),
        ];
        let before = before.into_iter().filter(|(lost, _)| *lost > 0);
        let before = before.map(|(lost, reason)| format!("{lost} {reason}"));
        let of_exporters = self.traces.iter().filter_map(|exporter| {
            let ExporterStatus { to, counts } = exporter;
            let reason = match &counts.last_error {
                Some(error) => error.clone(),
                None if counts.dropped_queue_full > 0 => "its queue was full".to_owned(),
                None => "the shutdown did not wait for it".to_owned(),
            };
            let lost = counts.lost();
            (lost > 0).then(|| format!("{lost} on the way to {to}: {reason}"))
        });
        let messages: Vec<_> = before.chain(of_exporters).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    }

    /// Returns the number of log records that the exporter with the largest losses has not exported,
    /// for any reason.
    pub fn lost_log_records(&self) -> u64 {
        most_lost(self.logs.iter().map(|exporter| &exporter.counts))
    }
}
