//! [`TelemetryError`]: the errors of installation, flush and shutdown.

use std::time::Duration;

/// An error of [`TelemetryBuilder::install`](super::TelemetryBuilder::install) or of an operation
/// of the [`TelemetryGuard`](super::TelemetryGuard).
///
/// Invalid values in the environment are not errors, except a URL or a TLS file that an exporter
/// cannot use. They are warnings in
/// [`TelemetryStatus::warnings`](super::TelemetryStatus::warnings).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// This process already has an installed pipeline.
    #[error(
        "telemetry is already installed in this process; keep the first `TelemetryGuard` and install once"
    )]
    AlreadyInstalled,
    /// An OTLP exporter was selected, but this build has none.
    #[error(
        "cannot export {signal} over OTLP: this build has no OTLP exporters; enable the feature `otlp`"
    )]
    OtlpNotBuilt {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
    },
    /// An OTLP exporter could not be created from its settings.
    #[error("cannot export {signal} to `{endpoint}`: {problem}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The endpoint.
        endpoint: String,
        /// The problem and what to do.
        problem: String,
    },
    /// A certificate or key of the OTLP exporter could not be read.
    #[error("cannot read the TLS file `{}` for exporting {signal}; set the path of a PEM file", path.display())]
    TlsFile {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// The error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the thread `{name}` of the telemetry pipeline")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The pipeline belongs to the process that this one was forked from. Its threads do not exist
    /// here, and what was recorded after the fork is not exported.
    #[error(
        "cannot {operation} telemetry: it was installed before this process was forked; drop the \
         guard and install telemetry after the fork"
    )]
    Forked {
        /// `flush` or `shut down`.
        operation: &'static str,
    },
    /// The deadline passed. A flush keeps the queued data; a shutdown drops and counts it.
    #[error(
        "{operation} of telemetry did not finish within {timeout:?}; the collector may be slow or unreachable"
    )]
    Timeout {
        /// `flush` or `shutdown`.
        operation: &'static str,
        /// The time limit.
        timeout: Duration,
    },
    /// A part of the telemetry could not be exported.
    #[error("{operation} of telemetry failed: {problem}")]
    Export {
        /// `flush` or `shutdown`.
        operation: &'static str,
        /// The error messages of the exporters.
        problem: String,
    },
    /// The pipeline was already shut down.
    #[error("telemetry was already shut down")]
    AlreadyShutdown,
}
