//! [`Telemetry`]: from `OTEL_*` variables to exporters, and an orderly end. Here are the exporters, their queues, the
//! providers and the guard; how a call becomes a record is in `operation` and `record`, how context travels in
//! `context`. Invariant: installing connects to nobody, and nobody is ever kept waiting for a collector longer than
//! they said.

mod assemble;
mod buckets;
mod builder;
mod console;
mod counters;
mod drive;
mod env;
mod error;
mod guard;
mod layer;
mod logs;
#[cfg(feature = "otlp")]
mod otlp;
mod processor;
mod resource;
mod sampler;
mod settings;

pub use buckets::HistogramBuckets;
pub use builder::TelemetryBuilder;
pub use counters::ExportCounts;
pub use env::{ConfigWarning, Environment};
pub use error::TelemetryError;
pub use guard::{ExporterStatus, TelemetryGuard, TelemetryStatus};
pub use layer::{LogFilter, PipelineFilter, PipelineTracer, SpanLayer, TelemetryLayer};
pub use logs::{LogBridge, PipelineLogger};
pub use settings::{Exporter, Otlp, OtlpCompression, OtlpProtocol, Propagator, Signal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

/// `tracing` target of what the pipeline says about itself.
pub(crate) const TELEMETRY_TARGET: &str = "percolate::telemetry";

/// The way to a telemetry pipeline.
///
/// ```
/// use percolate_otel::Telemetry;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // With OTEL_EXPORTER_OTLP_ENDPOINT set, spans and metrics go there; without, they are printed to stderr.
/// let _guard = Telemetry::from_env().install()?;
/// # Ok(())
/// # }
/// ```
///
/// Under a subscriber of your own, add the layer; before or after, the order does not matter:
///
/// ```
/// use percolate_otel::Telemetry;
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let subscriber = tracing_subscriber::registry().with(Telemetry::layer()).with(tracing_subscriber::fmt::layer());
/// tracing::subscriber::set_global_default(subscriber)?;
/// let _guard = Telemetry::from_env().install()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Telemetry;

impl Telemetry {
    /// A pipeline as the environment describes it; what the builder is told wins over that.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// The same as [`builder`](Self::builder), for programs that leave everything to the environment.
    pub fn from_env() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// The layer that feeds other people's `tracing` spans (and, where logs are exported, events), up to `INFO`, to the
    /// installed pipeline. It may be put into a subscriber before anything is installed.
    pub fn layer<S>() -> TelemetryLayer<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        Self::layer_up_to(LevelFilter::INFO)
    }

    /// As [`layer`](Self::layer), for spans up to another level.
    pub fn layer_up_to<S>(level: LevelFilter) -> TelemetryLayer<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        layer::layer(layer::installed_slot(), level)
    }
}
