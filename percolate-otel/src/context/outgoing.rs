//! What leaves this process: the current context as headers and as ids for log lines.
//!
//! Headers are written only from what is current; a carrier that is injected into twice holds the second context alone.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceFlags, TraceId};

use super::attach::Origin;
use super::tracestate::StateList;
use super::{TRACEPARENT, TRACESTATE, TraceParent};
use crate::runtime;

/// The ids of the current span, for a log line or an error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TraceIds {
    /// The trace: 32 hexadecimal digits when printed.
    pub trace_id: TraceId,
    /// The span: 16 hexadecimal digits when printed.
    pub span_id: SpanId,
    /// Whether the trace is recorded, and worth looking for.
    pub sampled: bool,
}

/// The ids of the current span; `None` when nothing is being traced.
///
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
    let span = Context::map_current(|cx| {
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

/// Writes the current trace context into the headers of an outgoing call. Headers from an earlier call are replaced,
/// a stale `tracestate` is removed; when nothing is being traced, the headers are left alone.
///
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
        write(headers, parent, state.as_ref());
    }
}

/// Headers that a trace context can be written into. Implemented for maps and lists of strings and, with the feature
/// `http`, for `http::HeaderMap`.
pub trait HeaderWriter {
    /// Sets the header to this value alone. `name` is in lower case, both are visible ASCII.
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

/// The current span and the `tracestate` to send with it.
pub(super) fn current() -> Option<(TraceParent, Option<StateList>)> {
    Context::map_current(of).or_else(|| unsampled_root().map(|parent| (parent, None)))
}

/// The root that was decided against has no span: its trace id goes out, with a parent id made from it.
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

/// The span of `context` and the `tracestate` to send with it.
pub(super) fn of(context: &Context) -> Option<(TraceParent, Option<StateList>)> {
    let span = context.span();
    let span = span.span_context();
    let origin = Origin::of(context, span);
    let random = if origin.is_some_and(Origin::is_random) {
        TraceFlags::new(0x02)
    } else {
        TraceFlags::default()
    };
    let parent = TraceParent::new(span.trace_id(), span.span_id(), span.trace_flags() | random)?;
    let state = origin
        .and_then(|origin| origin.state(span))
        .or_else(|| StateList::from_sdk(span.trace_state()));
    Some((parent, state))
}

/// Writes both headers; without `tracestate` an old one is removed.
pub(super) fn write(
    headers: &mut impl HeaderWriter,
    parent: TraceParent,
    state: Option<&StateList>,
) {
    headers.set(TRACEPARENT, &parent.to_string());
    match state {
        Some(state) => headers.set(TRACESTATE, &state.outgoing()),
        None => headers.remove(TRACESTATE),
    }
}
