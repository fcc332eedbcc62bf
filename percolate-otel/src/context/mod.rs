//! Trace context as it travels: W3C headers in and out, and the current context across threads, tasks and queues.
//! Which span is current inside this process is OpenTelemetry's `Context`; nothing here keeps a second truth.
//!
//! Invalid input never fails a call: it restarts the trace. What is passed on is valid, or nothing is passed on.
//!
//! | To | Use |
//! |---|---|
//! | read incoming headers | [`TraceContext::from_headers`] |
//! | make what follows a child of the caller | [`attach_trace_context`], [`with_trace_context`] for futures |
//! | carry the current context to another thread or task | [`carry`], [`Carry::carry`], [`carry_each`], [`Traced`] |
//! | write outgoing headers | [`inject`], [`TraceContext::current`] |
//! | correlate log lines | [`current_trace_ids`] |
//! | make a whole service strict | [`StrictPropagator`] |

mod attach;
mod baggage;
mod carry;
mod outgoing;
mod propagator;
#[cfg(feature = "serde")]
mod serde;
mod traceparent;
mod tracestate;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod properties;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanContext;

pub use self::attach::{
    TraceContextGuard, WithTraceContext, attach_parent, attach_trace_context, with_trace_context,
};
pub use self::carry::{Carry, Traced, carry, carry_each};
pub use self::outgoing::{HeaderWriter, TraceIds, current_trace_ids, inject};
pub use self::propagator::StrictPropagator;
pub use self::traceparent::{TraceParent, TraceParentError};

use self::attach::Received;
use self::tracestate::StateList;

/// Header that names the caller's span.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Header with vendors' entries.
pub(crate) const TRACESTATE: &str = "tracestate";
/// Header with the application's own entries.
pub(crate) const BAGGAGE: &str = "baggage";

/// The trace context of one request, as its headers carry it.
///
/// Built from any mapping of headers, it keeps `traceparent` and `tracestate` and nothing else: neither cookies nor
/// credentials stay in it. Whether they are valid is found out when they are used; [`TraceContext::parent`] tells.
/// Baggage is kept only by [`TraceContext::from_headers_with_baggage`].
///
/// ```
/// use percolate_otel::TraceContext;
///
/// let incoming = [("TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("Cookie", "secret")];
/// let context = TraceContext::from_headers(incoming);
/// assert_eq!(context.headers.len(), 1);
/// assert!(context.parent().is_some_and(|parent| parent.is_sampled()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceContext {
    /// The headers as received, keys in lower case. Values that came more than once are joined by commas, which makes
    /// two `traceparent` headers an invalid one.
    pub headers: HashMap<String, String>,
}

impl TraceContext {
    /// Takes the trace headers out of any list or map of headers, keys in any letter case. Values that are no text
    /// count as invalid.
    ///
    /// `&http::HeaderMap`, `&HashMap<String, String>` and arrays of pairs all fit.
    pub fn from_headers<K, V>(headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        Self::collect(headers, &[TRACEPARENT, TRACESTATE])
    }

    /// As [`from_headers`](Self::from_headers), and takes the `baggage` header too, within 64 members and 8192 bytes.
    /// Once attached, it is the baggage of the current OpenTelemetry context.
    ///
    /// Baggage is what callers wrote: do not trust it, and do not hand it on to third parties unseen.
    pub fn from_headers_with_baggage<K, V>(headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut context = Self::collect(headers, &[TRACEPARENT, TRACESTATE, BAGGAGE]);
        let received = context.headers.remove(BAGGAGE);
        if let Some(bounded) = received.as_deref().and_then(baggage::bounded) {
            context.headers.insert(BAGGAGE.to_owned(), bounded);
        }
        context
    }

    /// The context to send along with an outgoing call made here and now; `None` when nothing is being traced.
    ///
    /// Under a root span that was decided against, this is a trace id of its own with `sampled` unset, the same for
    /// everything that root sends: whoever is called knows that the decision was taken.
    ///
    /// Baggage stays at home; [`current_with_baggage`](Self::current_with_baggage) takes it along.
    pub fn current() -> Option<Self> {
        let (parent, state) = outgoing::current()?;
        Some(Self::from_parts(parent, state.as_ref()))
    }

    /// As [`current`](Self::current), with the baggage of the current OpenTelemetry context; `None` when there is
    /// neither a trace nor baggage.
    pub fn current_with_baggage() -> Option<Self> {
        let baggage = Context::map_current(|cx| baggage::print(cx.baggage()));
        let mut context = match (Self::current(), &baggage) {
            (None, None) => return None,
            (context, _) => context.unwrap_or_default(),
        };
        context
            .headers
            .extend(baggage.map(|text| (BAGGAGE.to_owned(), text)));
        Some(context)
    }

    /// The caller's span; `None` if there is no valid `traceparent`.
    pub fn parent(&self) -> Option<TraceParent> {
        self.headers.get(TRACEPARENT)?.parse().ok()
    }

    /// The caller's span as OpenTelemetry sees it, marked as remote; `None` if there is no valid `traceparent`.
    ///
    /// The SDK's `TraceState` cannot hold every legal `tracestate`; attaching and [`to_headers`](Self::to_headers) can.
    pub fn span_context(&self) -> Option<SpanContext> {
        self.received().map(|received| received.span_context)
    }

    /// An OpenTelemetry `Context` with this as remote parent: what [`attach_trace_context`] attaches, for code that
    /// wants a parent explicitly (`span.set_parent(context.to_context())`).
    ///
    /// It stands on the current context, so that values others put there stay; without a valid `traceparent` it is a
    /// fresh one, in which the next span is a root.
    pub fn to_context(&self) -> Context {
        let context = Context::map_current(|current| match self.received() {
            Some(received) => received.on(current),
            None if current.is_telemetry_suppressed() => Context::new().with_telemetry_suppressed(),
            None => Context::new(),
        });
        match self.headers.get(BAGGAGE) {
            Some(text) => context.with_baggage(baggage::parse(text)),
            None => context,
        }
    }

    /// The headers to pass on: version 00, known flags, `tracestate` in its order and without white space. Without a
    /// valid `traceparent` there is no `tracestate` either.
    pub fn to_headers(&self) -> HashMap<String, String> {
        let mut headers = match self.parent() {
            Some(parent) => Self::from_parts(parent, self.state().as_ref()).headers,
            None => HashMap::new(),
        };
        headers.extend(
            self.headers
                .get_key_value(BAGGAGE)
                .map(|(key, text)| (key.clone(), text.clone())),
        );
        headers
    }

    fn collect<K, V>(headers: impl IntoIterator<Item = (K, V)>, wanted: &[&str]) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut kept: HashMap<String, String> = HashMap::new();
        for (key, value) in headers {
            let Some(key) = wanted
                .iter()
                .find(|name| name.eq_ignore_ascii_case(key.as_ref()))
            else {
                continue;
            };
            let value = String::from_utf8_lossy(value.as_ref());
            match kept.get_mut(*key) {
                Some(known) => known.extend([",", &value]),
                None => {
                    kept.insert((*key).to_owned(), value.into_owned());
                }
            }
        }
        Self { headers: kept }
    }

    fn from_parts(parent: TraceParent, state: Option<&StateList>) -> Self {
        let mut headers = HashMap::with_capacity(2);
        headers.insert(TRACEPARENT.to_owned(), parent.to_string());
        headers.extend(state.map(|state| (TRACESTATE.to_owned(), state.outgoing().into_owned())));
        Self { headers }
    }

    fn state(&self) -> Option<StateList> {
        self.headers
            .get(TRACESTATE)
            .and_then(|text| StateList::parse(text))
    }

    fn received(&self) -> Option<Received> {
        Some(Received::new(self.parent()?, self.state()))
    }
}

impl From<HashMap<String, String>> for TraceContext {
    /// As [`TraceContext::from_headers`]. A map has no order: keys that differ only in case are taken in key order.
    fn from(headers: HashMap<String, String>) -> Self {
        let mut headers: Vec<(String, String)> = headers.into_iter().collect();
        headers.sort();
        Self::from_headers(headers)
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> FromIterator<(K, V)> for TraceContext {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(headers: I) -> Self {
        Self::from_headers(headers)
    }
}

impl From<TraceParent> for TraceContext {
    fn from(parent: TraceParent) -> Self {
        Self::from_parts(parent, None)
    }
}

impl FromStr for TraceContext {
    type Err = TraceParentError;

    /// A context of a `traceparent` alone.
    fn from_str(traceparent: &str) -> Result<Self, Self::Err> {
        traceparent.parse().map(|parent: TraceParent| parent.into())
    }
}

impl fmt::Display for TraceContext {
    /// The `traceparent` to pass on; nothing if there is no valid one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent() {
            Some(parent) => parent.fmt(f),
            None => Ok(()),
        }
    }
}
