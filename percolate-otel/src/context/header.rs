//! The names of the headers that carry trace context.

/// The header with the ids of the caller's span.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The header with the entries of tracing systems.
pub(crate) const TRACESTATE: &str = "tracestate";
/// The header with the entries of applications.
pub(crate) const BAGGAGE: &str = "baggage";
