//! The names of the headers that carry trace context.

/// The header with the ids of the caller's span.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The header with the entries of tracing systems.
pub(crate) const TRACESTATE: &str = "tracestate";
/// The header with the entries of applications.
pub(crate) const BAGGAGE: &str = "baggage";
/// The single header of B3.
pub(super) const B3: &str = "b3";
/// The trace id of B3 with several headers.
pub(super) const B3_TRACE_ID: &str = "x-b3-traceid";
/// The span id of B3 with several headers.
pub(super) const B3_SPAN_ID: &str = "x-b3-spanid";
/// The id of the caller's parent, of B3 with several headers.
pub(super) const B3_PARENT_SPAN_ID: &str = "x-b3-parentspanid";
/// Whether the trace is sampled, of B3 with several headers.
pub(super) const B3_SAMPLED: &str = "x-b3-sampled";
/// The debug flag of B3 with several headers.
pub(super) const B3_FLAGS: &str = "x-b3-flags";
/// The header of Jaeger.
pub(super) const UBER_TRACE_ID: &str = "uber-trace-id";
