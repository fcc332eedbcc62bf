//! The current context as outgoing headers, and as ids for log lines.
//!
//! Injecting replaces headers of an earlier injection.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceFlags, TraceId};

use super::formats::Formats;
use super::header::{
    B3, B3_FLAGS, B3_PARENT_SPAN_ID, B3_SAMPLED, B3_SPAN_ID, B3_TRACE_ID, TRACEPARENT, TRACESTATE,
    UBER_TRACE_ID,
};
use super::received::Origin;
use super::traceparent::TraceParent;
use super::tracestate::StateList;
use super::{b3, jaeger};
use crate::current_context::with_current;
use crate::identity::mixed;
use crate::runtime;
use crate::unsampled_root::is_in_unsampled_call;

/// The ids of the current span, for a log line or an error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TraceIds {
    /// The id of the trace, displayed as 32 hexadecimal digits.
    pub trace_id: TraceId,
    /// The id of the span, displayed as 16 hexadecimal digits.
    pub span_id: SpanId,
    /// Whether the trace is sampled.
    pub sampled: bool,
}

/// Returns the ids of the current span, `None` if nothing is being traced.
///
/// # Examples
/// ```
/// use percolate_otel::{TraceContext, attach_trace_context, current_trace_ids};
///
/// let incoming: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// let _guard = attach_trace_context(Some(incoming));
/// let ids = current_trace_ids().unwrap();
/// assert_eq!(format!("trace_id={}", ids.trace_id), "trace_id=0af7651916cd43dd8448eb211c80319c");
/// # Ok::<(), percolate_otel::TraceParentError>(())
/// ```
pub fn current_trace_ids() -> Option<TraceIds> {
    let span = with_current(|cx| {
        let span = cx.span();
        let span = span.span_context();
        TraceParent::new(span.trace_id(), span.span_id(), span.trace_flags())
    });
    let span = span.or_else(unsampled_root)?;
    Some(TraceIds {
        trace_id: span.trace_id(),
        span_id: span.span_id(),
        sampled: span.is_sampled(),
    })
}

/// Writes the current trace context into the headers of an outgoing call.
///
/// The installed pipeline's propagators decide the formats (`OTEL_PROPAGATORS`); without them it is
/// W3C Trace Context. Existing trace headers are replaced, and a stale `tracestate` is removed. If
/// nothing is being traced, or nothing is to be propagated, the headers are unchanged.
///
/// # Examples
/// ```
/// use std::collections::HashMap;
/// use percolate_otel::{attach_trace_context, inject};
///
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// let mut headers = HashMap::new();
/// inject(&mut headers);
/// assert_eq!(headers["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// ```
pub fn inject(headers: &mut impl HeaderWriter) {
    if let Some((parent, state)) = current() {
        write(headers, Formats::installed(), parent, state.as_ref());
    }
}

/// Headers that a trace context can be written to.
///
/// Implemented for maps and lists of strings and, with the feature `http`, for `http::HeaderMap`.
pub trait HeaderWriter {
    /// Sets the header to `value` and removes its other values. `name` is in lower case; both are
    /// visible ASCII.
    fn set(&mut self, name: &'static str, value: &str);

    /// Removes the header.
    fn remove(&mut self, name: &'static str);
}

impl<S: BuildHasher> HeaderWriter for HashMap<String, String, S> {
    fn set(&mut self, name: &'static str, value: &str) {
        HeaderWriter::remove(self, name);
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove(&mut self, name: &'static str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl HeaderWriter for BTreeMap<String, String> {
    fn set(&mut self, name: &'static str, value: &str) {
        HeaderWriter::remove(self, name);
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove(&mut self, name: &'static str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl HeaderWriter for Vec<(String, String)> {
    fn set(&mut self, name: &'static str, value: &str) {
        HeaderWriter::remove(self, name);
        self.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &'static str) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

#[cfg(feature = "http")]
impl HeaderWriter for http::HeaderMap {
    fn set(&mut self, name: &'static str, value: &str) {
        // Visible ASCII is always a header value.
        if let Ok(value) = http::HeaderValue::from_str(value) {
            self.insert(http::HeaderName::from_static(name), value);
        }
    }

    fn remove(&mut self, name: &'static str) {
        http::HeaderMap::remove(self, name);
    }
}

/// Returns the current span and its `tracestate`.
pub(super) fn current() -> Option<(TraceParent, Option<StateList>)> {
    with_current(of).or_else(|| unsampled_root().map(|parent| (parent, None)))
}

/// Returns the ids to send under an unsampled root. It has no span: the parent id is derived from
/// the trace id.
fn unsampled_root() -> Option<TraceParent> {
    let trace_id = runtime::unsampled_root()?.get();
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (high, low) = ((trace_id >> 64) as u64, trace_id as u64);
    let span_id = if high == 0 { low } else { high };
    TraceParent::new(
        TraceId::from(trace_id),
        SpanId::from(span_id),
        runtime::RANDOM_TRACE_ID,
    )
}

/// Returns the span id to send for an operation that is not recorded, below a span that is not
/// sampled. The receiver must see the current operation as its parent, not the caller of the caller,
/// and the operation has no span. The id is derived, so that it is the same for all of a request.
fn stand_in(trace_id: TraceId, span_id: SpanId) -> SpanId {
    let trace_id = u128::from_be_bytes(trace_id.to_bytes());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is random enough"
    )]
    let seed = u64::from_be_bytes(span_id.to_bytes()) ^ trace_id as u64;
    SpanId::from(mixed(seed).max(1))
}

/// Returns the span of `context` and its `tracestate`. Inside a call below a span that is not
/// sampled, a stand-in for the call replaces that span.
pub(super) fn of(context: &Context) -> Option<(TraceParent, Option<StateList>)> {
    let span = context.span();
    let span = span.span_context();
    let origin = Origin::of(context, span);
    let random = if origin.is_some_and(Origin::is_random) {
        TraceFlags::new(0x02)
    } else {
        TraceFlags::default()
    };
    let is_stand_in = span.is_valid() && !span.is_sampled() && is_in_unsampled_call();
    let span_id = if is_stand_in {
        stand_in(span.trace_id(), span.span_id())
    } else {
        span.span_id()
    };
    let parent = TraceParent::new(span.trace_id(), span_id, span.trace_flags() | random)?;
    let state = origin
        .and_then(|origin| origin.state(span))
        .or_else(|| StateList::from_sdk(span.trace_state()));
    Some((parent, state))
}

/// Writes the trace headers of the formats. Removes `tracestate` if `state` is `None`.
pub(super) fn write(
    headers: &mut impl HeaderWriter,
    formats: Formats,
    parent: TraceParent,
    state: Option<&StateList>,
) {
    if formats.has(Formats::TRACE_CONTEXT) {
        headers.set(TRACEPARENT, &parent.to_string());
        match state {
            Some(state) => headers.set(TRACESTATE, &state.outgoing()),
            None => headers.remove(TRACESTATE),
        }
    }
    if formats.has(Formats::B3) {
        headers.set(B3, &b3::print(&parent));
    }
    if formats.has(Formats::B3_MULTI) {
        headers.set(B3_TRACE_ID, &parent.trace_id().to_string());
        headers.set(B3_SPAN_ID, &parent.span_id().to_string());
        headers.set(B3_SAMPLED, b3::sampled(&parent));
        headers.remove(B3_PARENT_SPAN_ID);
        headers.remove(B3_FLAGS);
    }
    if formats.has(Formats::JAEGER) {
        headers.set(UBER_TRACE_ID, &jaeger::print(&parent));
    }
}
