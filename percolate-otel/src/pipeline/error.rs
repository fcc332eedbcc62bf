//! What can go wrong when telemetry is installed, flushed or shut down.

use std::time::Duration;

/// Why [`TelemetryBuilder::install`](super::TelemetryBuilder::install) or an operation of the
/// [`TelemetryGuard`](super::TelemetryGuard) did not succeed.
///
/// Odd values in the environment are never an error; they are warnings in
/// [`TelemetryStatus::warnings`](super::TelemetryStatus::warnings).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A pipeline is installed in this process already.
    #[error(
        "telemetry is already installed in this process; keep the first `TelemetryGuard` and install once"
    )]
    AlreadyInstalled,
    /// An OTLP exporter was asked for, but this build has none.
    #[error(
        "cannot export {signal} over OTLP: percolate-core was built without its feature `otlp`; enable it"
    )]
    OtlpNotBuilt {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
    },
    /// An OTLP exporter could not be made from its settings.
    #[error("cannot export {signal} to `{endpoint}`: {problem}")]
    Exporter {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// Where it should have gone.
        endpoint: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A certificate or key of the OTLP exporter could not be read.
    #[error("cannot read the TLS file `{}` for exporting {signal}; give the path of a PEM file", path.display())]
    TlsFile {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why it could not be read.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the thread `{name}` of the telemetry pipeline")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The deadline passed first. What is still queued is kept by a flush and given up by a shutdown.
    #[error(
        "{operation} of telemetry did not finish within {timeout:?}; the collector may be slow or unreachable"
    )]
    Timeout {
        /// `flush` or `shutdown`.
        operation: &'static str,
        /// The deadline given.
        timeout: Duration,
    },
    /// Some telemetry could not be handed over.
    #[error("{operation} of telemetry failed: {problem}")]
    Export {
        /// `flush` or `shutdown`.
        operation: &'static str,
        /// The exporter's words.
        problem: String,
    },
    /// The pipeline was shut down before.
    #[error("telemetry was shut down already")]
    AlreadyShutdown,
}
