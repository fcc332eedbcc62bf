//! [`TraceContext`]: the trace headers of one request. Attaching it is in `attach`, and the current
//! context as headers in `outgoing`.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanContext;

use super::formats::Formats;
use super::header::{BAGGAGE, TRACEPARENT, TRACESTATE, UBER_TRACE_ID};
use super::received::Received;
use super::traceparent::{TraceParent, TraceParentError};
use super::tracestate::StateList;
use super::{b3, baggage, jaeger, outgoing};
use crate::current_context::with_current;
use crate::shared_attributes::SharedAttributes;

/// The trace context of one request: its `traceparent` and `tracestate` headers.
///
/// All other headers, such as cookies and credentials, are discarded. Baggage is kept only by
/// [`TraceContext::from_headers_with_baggage`]. The headers are validated when they are used;
/// [`TraceContext::parent`] returns `None` if they are invalid.
///
/// # Examples
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
    /// The headers as received, with keys in lower case. Values of repeated headers are joined by
    /// commas, so two `traceparent` headers are invalid. Ids in another format than W3C's are
    /// converted to a `traceparent`.
    pub headers: HashMap<String, String>,
}

impl TraceContext {
    /// Creates a context from the trace headers in a list or map of headers.
    ///
    /// Accepts `&http::HeaderMap`, `&HashMap<String, String>` and arrays of pairs. Keys are
    /// compared case-insensitively. Values that are not text are invalid.
    ///
    /// The installed pipeline's propagators decide the formats (`OTEL_PROPAGATORS`); without them it
    /// is W3C Trace Context. If there are several, a valid `traceparent` is used first, then B3, then
    /// Jaeger.
    pub fn from_headers<K, V>(headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        Self::read(headers, Formats::installed().without(Formats::BAGGAGE))
    }

    /// Like [`from_headers`](Self::from_headers), and keeps the `baggage` header, up to 64 members
    /// and 8192 bytes. When attached, it is the baggage of the current OpenTelemetry context.
    ///
    /// Baggage is untrusted input from callers. Check it before you forward it to third parties.
    pub fn from_headers_with_baggage<K, V>(headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        Self::read(headers, Formats::installed())
    }

    /// Returns the context to send with an outgoing call, `None` if nothing is being traced.
    ///
    /// Under an unsampled root span the context has a trace id with `sampled` unset, the same for
    /// all calls under that root, so that the called services follow the decision.
    ///
    /// Baggage is not included; see [`current_with_baggage`](Self::current_with_baggage).
    pub fn current() -> Option<Self> {
        let (parent, state) = outgoing::current()?;
        Some(Self::from_parts(parent, state.as_ref()))
    }

    /// Like [`current`](Self::current), with the baggage of the current OpenTelemetry context.
    /// Returns `None` if there is neither a trace nor baggage.
    pub fn current_with_baggage() -> Option<Self> {
        let baggage = with_current(|cx| baggage::print(cx.baggage()));
        let mut context = match (Self::current(), &baggage) {
            (None, None) => return None,
            (context, _) => context.unwrap_or_default(),
        };
        context
            .headers
            .extend(baggage.map(|text| (BAGGAGE.to_owned(), text)));
        Some(context)
    }

    /// Returns the caller's span, `None` if there is no valid `traceparent`.
    pub fn parent(&self) -> Option<TraceParent> {
        self.headers.get(TRACEPARENT)?.parse().ok()
    }

    /// Returns the caller's span as a remote OpenTelemetry span context, `None` if there is no
    /// valid `traceparent`.
    ///
    /// The SDK's `TraceState` cannot hold every legal `tracestate`. Attaching and
    /// [`to_headers`](Self::to_headers) keep it complete.
    pub fn span_context(&self) -> Option<SpanContext> {
        self.received().map(|received| received.span_context)
    }

    /// Returns an OpenTelemetry `Context` with this as remote parent, for code that sets a parent
    /// explicitly (`span.set_parent(context.to_context())`).
    ///
    /// It is derived from the current context and keeps its values. Without a valid `traceparent`
    /// it is a new context, in which the next span is a root. Only the attributes of
    /// [`with_attributes`](super::with_attributes()) are kept then.
    pub fn to_context(&self) -> Context {
        let context = with_current(|current| match self.received() {
            Some(received) => received.on(current),
            None if current.is_telemetry_suppressed() => {
                SharedAttributes::only(current).with_telemetry_suppressed()
            }
            None => SharedAttributes::only(current),
        });
        match self.headers.get(BAGGAGE) {
            Some(text) => context.with_baggage(baggage::parse(text)),
            None => context,
        }
    }

    /// Returns the headers to forward: version 00, known flags only, `tracestate` in its order and
    /// without white space. Without a valid `traceparent`, `tracestate` is dropped too.
    ///
    /// The installed pipeline's propagators decide the formats, as for [`inject`](super::inject).
    pub fn to_headers(&self) -> HashMap<String, String> {
        self.written(Formats::installed())
    }

    /// Returns the headers of the formats.
    pub(super) fn written(&self, formats: Formats) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        if let Some(parent) = self.parent() {
            outgoing::write(&mut headers, formats, parent, self.state().as_ref());
        }
        if let Some(text) = self.headers.get(BAGGAGE)
            && formats.has(Formats::BAGGAGE)
        {
            headers.insert(BAGGAGE.to_owned(), text.clone());
        }
        headers
    }

    /// Reads the headers of the formats.
    pub(super) fn read<K, V>(headers: impl IntoIterator<Item = (K, V)>, formats: Formats) -> Self
    where
        K: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut kept: HashMap<String, String> = HashMap::new();
        for (key, value) in headers {
            let Some(key) = formats.reads(key.as_ref()) else {
                continue;
            };
            let value = String::from_utf8_lossy(value.as_ref());
            match kept.get_mut(key) {
                Some(known) => known.extend([",", &value]),
                None => {
                    kept.insert(key.to_owned(), value.into_owned());
                }
            }
        }
        if let Some(received) = kept.remove(BAGGAGE)
            && let Some(bounded) = baggage::bounded(&received)
        {
            kept.insert(BAGGAGE.to_owned(), bounded);
        }
        let mut context = Self { headers: kept };
        if formats.has_foreign() {
            context.convert();
        }
        context
    }

    /// Replaces the headers of other formats by a `traceparent`, unless there is a valid one.
    fn convert(&mut self) {
        let jaeger = self.headers.get(UBER_TRACE_ID);
        let parent =
            b3::parse(&self.headers).or_else(|| jaeger.and_then(|text| jaeger::parse(text)));
        self.headers
            .retain(|name, _| [TRACEPARENT, TRACESTATE, BAGGAGE].contains(&name.as_str()));
        if let (None, Some(parent)) = (self.parent(), parent) {
            self.headers.remove(TRACESTATE);
            self.headers
                .insert(TRACEPARENT.to_owned(), parent.to_string());
        }
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

    pub(super) fn received(&self) -> Option<Received> {
        Some(Received::new(self.parent()?, self.state()))
    }
}

impl From<HashMap<String, String>> for TraceContext {
    /// Like [`TraceContext::from_headers`]. Keys that differ only in case are read in key order.
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

    /// Creates a context with this `traceparent` and no `tracestate`.
    fn from_str(traceparent: &str) -> Result<Self, Self::Err> {
        traceparent.parse().map(|parent: TraceParent| parent.into())
    }
}

impl fmt::Display for TraceContext {
    /// Writes the `traceparent` to forward, or nothing if there is no valid one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent() {
            Some(parent) => parent.fmt(f),
            None => Ok(()),
        }
    }
}
