//! Everything about telemetry: what an annotated function runs, the conventions, trace context, the checking
//! Layer and the pipeline. No storage type is named here: this module instruments any engine.
//!
//! The way of one call is `operation.rs`: enter, gate, finish. Everything else serves it.

mod background;
mod clock;
mod context;
pub mod conventions;
mod db;
pub mod layer;
pub(crate) mod metrics;
mod named_sites;
pub(crate) mod operation;
pub(crate) mod outcome;
mod pipeline;
mod probe;
pub mod query_text;
mod queue;
mod quiet;
mod record;
pub mod runtime;
pub(crate) mod site;
pub(crate) mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod unsampled;

pub use background::{BackgroundJobType, background_span, record_background_metrics};
pub use context::{
    Carry, HeaderWriter, StrictPropagator, TraceContext, TraceContextGuard, TraceIds, TraceParent,
    TraceParentError, Traced, WithTraceContext, attach_parent, attach_trace_context, carry,
    carry_each, current_trace_ids, inject, with_trace_context,
};
pub use db::{DbOperation, db_query_span, db_span, record_db_error, record_db_metrics};
pub use layer::ConventionLayer;
pub use metrics::{ADVISED_BOUNDS, ROW_BOUNDS, STORAGE_BOUNDS};
pub use outcome::{ErrorInfo, ErrorType, JobStatus, Outcome, Rows, name_errors};
pub use pipeline::{
    ConfigWarning, Environment, ExportCounts, Exporter, ExporterStatus, HistogramBuckets,
    LogBridge, LogFilter, Otlp, OtlpCompression, OtlpProtocol, PipelineFilter, PipelineLogger,
    PipelineTracer, Propagator, Signal, SpanLayer, Telemetry, TelemetryBuilder, TelemetryError,
    TelemetryGuard, TelemetryLayer, TelemetryStatus,
};
pub use probe::{Probe, set_probe};
pub use queue::QueueWait;
pub use runtime::Sampler;
pub use unsampled::MAX_EVENTS_PER_SECOND;
