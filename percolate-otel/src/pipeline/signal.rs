//! The signals ([`Signal`]), the destinations each can have ([`Exporter`]), and the names of their
//! variables. Which destination applies is decided in `settings`.

/// The name of the console exporter.
pub(super) const CONSOLE: &str = "console";

/// A signal that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records: `tracing` events.
    Logs,
}

impl Signal {
    /// `traces`, `metrics` or `logs`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// The exported items in messages.
    pub(super) fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "metrics",
            Self::Logs => "log records",
        }
    }

    /// The variable of this signal's OTLP exporter with this suffix.
    pub(super) fn variable(self, suffix: &str) -> String {
        format!(
            "OTEL_EXPORTER_OTLP_{}_{suffix}",
            self.name().to_ascii_uppercase()
        )
    }

    /// The variable that selects the exporters.
    pub(super) fn exporter_variable(self) -> &'static str {
        match self {
            Self::Traces => "OTEL_TRACES_EXPORTER",
            Self::Metrics => "OTEL_METRICS_EXPORTER",
            Self::Logs => "OTEL_LOGS_EXPORTER",
        }
    }
}

/// The destination of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exporter {
    /// A collector over OTLP.
    Otlp,
    /// A readable tree of spans and a table of metrics on stderr, or on the builder's writer.
    Console,
    /// A file of JSON lines as OTLP defines them: `traces.jsonl`, `metrics.jsonl` or `logs.jsonl` in
    /// the [folder of files](super::TelemetryBuilder::file_folder). A file of 64 MiB is renamed, and
    /// replaces the one before.
    OtlpFile,
    /// `trace.json` in the [folder of files](super::TelemetryBuilder::file_folder), a Chrome trace of
    /// the latest 50,000 spans. It is written at a flush and at the shutdown. For spans only.
    Chrome,
    /// No export.
    None,
}
