//! One annotation gives storage code OpenTelemetry-compliant spans and exact metrics.
//!
//! What an annotated function runs, the conventions, trace context, the checking Layer and the pipeline. No storage
//! type is named here: this crate instruments any engine.
//!
//! The way of one call is `operation.rs`: enter, gate, finish. Everything else serves it.

#![cfg_attr(
    not(feature = "pipeline"),
    allow(
        dead_code,
        reason = "records are read by their conversion to spans of the SDK"
    )
)]

// The macros name this crate by its public path, here too.
#[allow(
    unused_extern_crates,
    reason = "used by expansions in this crate, of which some feature sets have none"
)]
extern crate self as percolate_otel;

mod active;
mod api_span;
mod attributes;
mod background;
mod call_values;
mod clock;
mod context;
pub mod conventions;
mod db;
mod details;
#[cfg(feature = "http-client")]
#[doc(hidden)]
pub mod http_client;
mod identity;
mod in_call;
#[cfg(feature = "layer")]
pub mod layer;
mod metrics;
mod named_sites;
#[cfg(feature = "layer")]
mod nearest;
pub(crate) mod operation;
pub(crate) mod outcome;
#[cfg(feature = "pipeline")]
mod pipeline;
#[doc(hidden)]
pub mod private;
mod probe;
#[cfg(feature = "query-text")]
pub mod query_text;
mod queue;
mod quiet;
mod record;
mod recorder;
#[doc(hidden)]
pub mod runtime;
mod sampler;
#[cfg(feature = "pipeline")]
mod sdk;
mod series;
pub(crate) mod site;
pub(crate) mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tracing_span;
mod unsampled;
mod unsampled_root;

pub use opentelemetry;
#[cfg(feature = "pipeline")]
pub use opentelemetry_sdk;
pub use tracing;

pub use background::{BackgroundJobType, background_span, record_background_metrics};
pub use context::{
    Carry, HeaderWriter, StrictPropagator, TraceContext, TraceContextGuard, TraceIds, TraceParent,
    TraceParentError, Traced, WithTraceContext, attach_parent, attach_trace_context, carry,
    carry_each, current_trace_ids, inject, with_trace_context,
};
pub use conventions::JobStatus;
#[cfg(feature = "query-text")]
pub use db::db_query_span;
pub use db::{DbOperation, db_span, record_db_error, record_db_metrics};
#[cfg(feature = "layer")]
pub use layer::ConventionLayer;
pub use metrics::{ADVISED_BOUNDS, ROW_BOUNDS, STORAGE_BOUNDS};
pub use outcome::{ErrorInfo, ErrorType, JobOutcome, Outcome, Rows, register_error_type};
#[cfg(feature = "pipeline")]
pub use pipeline::{
    ConfigWarning, Environment, ExportCounts, Exporter, ExporterStatus, HistogramBuckets, Otlp,
    OtlpCompression, OtlpProtocol, Propagator, Signal, Telemetry, TelemetryBuilder, TelemetryError,
    TelemetryGuard, TelemetryStatus,
};
pub use probe::{Probe, set_probe};
pub use queue::QueueWait;
pub use sampler::Sampler;
pub use unsampled::MAX_EVENTS_PER_SECOND;

/// # Examples
///
/// ```
/// use percolate_otel::background_job;
///
/// #[background_job(index.build, target = "hnsw", batch_size = |built| *built)]
/// fn build(vectors: &[[f32; 2]]) -> Result<usize, std::io::Error> {
///     Ok(vectors.len())
/// }
/// # assert_eq!(build(&[[0.0, 1.0]]).unwrap(), 1);
/// ```
pub use percolate_macros::background_job;
#[doc(inline)]
pub use percolate_macros::background_jobs;
/// # Examples
///
/// ```
/// use percolate_otel::db_op;
///
/// #[db_op(multi_get, cf, rows = |found| found.iter().flatten().count(), fields(app.keys = keys.len()))]
/// fn multi_get(cf: &str, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, std::io::Error> {
///     Ok(keys.iter().map(|key| (*key == "a").then(Vec::new)).collect())
/// }
/// # assert_eq!(multi_get("articles", &["a", "b"]).unwrap().len(), 2);
/// ```
pub use percolate_macros::db_op;
/// # Examples
///
/// ```
/// use percolate_otel::{db_op, db_ops};
///
/// struct Store { name: String }
///
/// #[db_ops(namespace = self.name, system = "redb")]
/// impl Store {
///     #[db_op(get, cf)]
///     fn get(&self, cf: &str) -> Option<Vec<u8>> {
///         None
///     }
/// }
/// # assert!(Store { name: "demo".into() }.get("articles").is_none());
/// ```
pub use percolate_macros::db_ops;
#[doc(hidden)]
pub use private as __private;
