//! [`Telemetry`]: a telemetry pipeline from `OTEL_*` variables, and a shutdown that flushes and
//! cannot hang. This room has the exporters, their queues, the providers and the guard. Records of
//! annotated calls are created in `operation` and `record`; `context` carries trace context.
//! Invariants: installing does not connect, and no call waits for a collector beyond its deadline.

mod assemble;
mod buckets;
mod builder;
mod choices;
mod chrome;
mod console;
mod counters;
mod diagnostics;
mod drive;
mod env;
mod error;
mod export_queue;
mod file;
mod guard;
mod histogram_points;
mod install;
mod json;
mod layer;
mod logs;
mod operation_table;
#[cfg(feature = "otlp")]
mod otlp;
mod otlp_options;
#[cfg(feature = "otlp")]
mod otlp_thread;
mod own_histograms;
mod parts;
mod processor;
mod propagator;
mod report;
mod resource;
mod sampler;
mod settings;
mod side_report;
mod signal;
mod span_size;
mod status;
mod trace_tree;

pub use buckets::HistogramBuckets;
pub use builder::TelemetryBuilder;
pub use counters::ExportCounts;
pub use env::{ConfigWarning, Environment};
pub use error::TelemetryError;
pub use guard::TelemetryGuard;
pub use otlp_options::{Otlp, OtlpCompression, OtlpProtocol};
pub use propagator::Propagator;
pub use report::{LastFigure, keep_last_figures};
#[cfg(feature = "testing")]
pub(crate) use sampler::RespectsGate;
pub use side_report::SideReport;
pub use signal::{Exporter, Signal};
pub use status::{ExporterStatus, TelemetryStatus};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::runtime::{self, Runtime};

/// The entry point of the telemetry pipeline.
///
/// ```
/// use percolate_otel::Telemetry;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Spans and metrics go to OTEL_EXPORTER_OTLP_ENDPOINT if it is set, else to stderr.
/// let _guard = Telemetry::from_env().install()?;
/// # Ok(())
/// # }
/// ```
///
/// If your program has its own subscriber, add the layer to it, before or after the installation:
///
/// ```
/// use percolate_otel::Telemetry;
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let subscriber = tracing_subscriber::registry()
///     .with(Telemetry::layer())
///     .with(tracing_subscriber::fmt::layer());
/// tracing::subscriber::set_global_default(subscriber)?;
/// let _guard = Telemetry::from_env().install()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Telemetry;

/// Returns the warnings about the variables, as an installed pipeline reports them.
#[cfg(feature = "testing")]
pub(crate) fn read_variables(environment: &Environment) -> Vec<ConfigWarning> {
    settings::Settings::decide(&choices::Choices::default(), environment).warnings
}

impl Telemetry {
    /// Returns the builder of a pipeline. Its methods override the `OTEL_*` variables of the
    /// environment.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// The same as [`builder`](Self::builder), for programs that are configured by the environment
    /// alone.
    pub fn from_env() -> TelemetryBuilder {
        Self::builder()
    }

    /// Returns the number of annotated calls that ended or started after the shutdown of the pipeline
    /// that was installed last, also after its guard was dropped. It is 0 if no pipeline was
    /// installed, and while one is. See [`TelemetryStatus::calls_after_shutdown`].
    ///
    /// A number above 0 at the end of a program means that the guard was dropped too early.
    pub fn calls_after_shutdown() -> u64 {
        runtime::ended().map_or(0, Runtime::calls_after_shutdown)
    }

    /// Returns the layer that sends the `tracing` spans of other crates up to `INFO`, and their
    /// events if logs are exported, to the installed pipeline. A subscriber may have it before a
    /// pipeline is installed.
    pub fn layer<S>() -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        Self::layer_up_to(LevelFilter::INFO)
    }

    /// Returns the layer as [`layer`](Self::layer) does, for spans and events up to another level.
    pub fn layer_up_to<S>(level: LevelFilter) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        layer::layer(layer::installed_slot(), level)
    }
}
