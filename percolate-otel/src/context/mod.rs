//! Trace context: headers in and out (W3C, and others on request), and the current context across threads, tasks and queues.
//! The current span of this process is in OpenTelemetry's `Context` and nowhere else.
//!
//! Invalid input never fails a call: it starts a new trace. Only valid headers are forwarded.
//!
//! | To | Use |
//! |---|---|
//! | read incoming headers | [`TraceContext::from_headers`] |
//! | make the next spans children of the caller | [`attach_trace_context`], [`with_trace_context`] for futures |
//! | carry the current context to another thread or task | [`carry`](fn@carry), [`Carry::carry`], [`carry_each`], [`Traced`] |
//! | set attributes for all spans inside | [`with_attributes`], [`with_attributes_async`] for futures |
//! | write outgoing headers | [`inject`], [`TraceContext::current`] |
//! | correlate log lines | [`current_trace_ids`] |
//! | use these rules for a whole service | [`StrictPropagator`] |

mod attach;
mod b3;
mod baggage;
mod carried;
mod carry;
mod formats;
mod header;
mod jaeger;
mod outgoing;
mod propagator;
mod received;
#[cfg(feature = "serde")]
mod serde;
mod trace_context;
mod traceparent;
mod tracestate;
mod with_attributes;

#[cfg(test)]
mod tests;

pub use self::attach::{
    TraceContextGuard, WithTraceContext, attach_parent, attach_trace_context, with_trace_context,
};
pub use self::carry::{Carry, Traced, carry, carry_each};
#[cfg(feature = "pipeline")]
pub(crate) use self::formats::Formats;
pub use self::outgoing::{HeaderWriter, TraceIds, current_trace_ids, inject};
pub use self::propagator::StrictPropagator;
pub use self::trace_context::TraceContext;
pub use self::traceparent::{TraceParent, TraceParentError};
pub use self::with_attributes::{with_attributes, with_attributes_async};
