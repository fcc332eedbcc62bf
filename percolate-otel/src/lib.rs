#![cfg_attr(docsrs, feature(doc_cfg))]
// Of two definitions of a label the first one counts, so these replace the links at the end of the page.
//! [`background_job`]: macro@background_job
//! [`carry`]: carry
//! [`db_op`]: macro@db_op
//! [`inject`]: inject
//! [`operation`]: operation()
//! [`providers_changed`]: providers_changed
//! [`TraceContext`]: TraceContext
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(
    all(doc, not(doctest)),
    doc = "# Manual\n\n",
    doc = "[All keys of the annotations](manual::macros), [annotating an engine](manual::annotate_your_engine), ",
    doc = "[with existing telemetry](manual::existing_telemetry), [trace context](manual::propagation), ",
    doc = "[the pipeline](manual::pipeline), [checking telemetry](manual::checks), ",
    doc = "[all exported names](manual::conventions)."
)]
//!
//! # The source
//!
//! `operation.rs` has the path of one call: enter, gate, finish. `attributes.rs` has one row for
//! each attribute.

// The macros name this crate by its public path, here too.
#[allow(
    unused_extern_crates,
    reason = "used by expansions in this crate, of which some feature sets have none"
)]
extern crate self as percolate_otel;

mod active;
mod aggregation;
mod api_span;
mod attributes;
mod background;
mod by_hand;
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "the layer of the pipeline collects events")
)]
mod call_events;
mod call_values;
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "anchors serve the conversion to the SDK's spans")
)]
mod clock;
mod context;
pub mod conventions;
mod current_context;
mod db;
#[cfg_attr(
    not(feature = "pipeline"),
    expect(
        dead_code,
        reason = "owned names serve the conversion to the SDK's spans"
    )
)]
mod details;
mod entered;
mod forks;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "http-client")]
#[doc(hidden)]
pub mod http_client;
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "parents serve the conversion to the SDK's spans")
)]
mod identity;
mod in_call;
mod later_calls;
#[cfg(feature = "layer")]
pub mod layer;
mod link_target;
mod live_call;
#[cfg(all(doc, not(doctest)))]
pub mod manual;
mod measured_call;
mod metrics;
mod name_bytes;
mod named_sites;
#[cfg(feature = "layer")]
mod nearest;
mod observed;
pub(crate) mod operation;
pub(crate) mod outcome;
mod own_providers;
#[cfg(feature = "pipeline")]
mod pipeline;
#[doc(hidden)]
pub mod private;
mod probe;
#[cfg(any(feature = "http-client", feature = "pipeline"))]
mod public_url;
pub mod query_text;
mod queue;
mod quiet;
mod record;
mod recorder;
#[cfg(feature = "pipeline")]
#[doc(hidden)]
pub mod replacement;
#[doc(hidden)]
pub mod returned;
#[doc(hidden)]
pub mod runtime;
mod sampler;
#[cfg(feature = "pipeline")]
mod sdk;
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "names serve the conversion to the SDK's spans")
)]
mod series;
mod shared_attributes;
pub(crate) mod site;
mod started_call;
mod starting_call;
pub(crate) mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tracing_span;
mod unsampled;
mod unsampled_calls;
mod unsampled_root;

pub use opentelemetry;
#[cfg(feature = "pipeline")]
pub use opentelemetry_sdk;
pub use tracing;

pub use background::{BackgroundJobType, background_span, record_background_metrics};
pub use by_hand::{CallBuilder, RunningCall, operation};
pub use context::{
    Carry, HeaderWriter, StrictPropagator, TraceContext, TraceContextGuard, TraceIds, TraceParent,
    TraceParentError, Traced, WithTraceContext, attach_parent, attach_trace_context, carry,
    carry_each, current_trace_ids, inject, with_attributes, with_attributes_async,
    with_trace_context,
};
pub use conventions::JobStatus;
pub use db::{DbOperation, db_query_span, db_span, record_db_error, record_db_metrics};
pub use details::FieldValue;
#[cfg(feature = "layer")]
pub use layer::ConventionLayer;
pub use link_target::LinkTarget;
pub use metrics::{ADVISED_BOUNDS, JOB_BOUNDS, ROW_BOUNDS, STORAGE_BOUNDS};
pub use observed::{Observed, ObservedStream};
pub use operation::CallScope;
pub use outcome::{ErrorInfo, ErrorType, JobOutcome, Outcome, Rows, register_error_type};
#[cfg(feature = "pipeline")]
pub use pipeline::{
    ConfigWarning, Environment, ExportCounts, Exporter, ExporterStatus, HistogramBuckets, Otlp,
    OtlpCompression, OtlpProtocol, Propagator, Signal, Telemetry, TelemetryBuilder, TelemetryError,
    TelemetryGuard, TelemetryStatus,
};
#[cfg(feature = "pipeline")]
#[doc(hidden)]
pub use pipeline::{LastFigure, SideReport, keep_last_figures};
pub use probe::{Probe, ProbeReport, set_probe};
pub use queue::QueueWait;
pub use runtime::providers_changed;
pub use sampler::Sampler;
pub use site::{Parent, Site};
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
/// #[db_op(multi_get, cf, rows = |found| found.iter().flatten().count(), fields(app.keys = keys.len()), system = "redb")]
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
