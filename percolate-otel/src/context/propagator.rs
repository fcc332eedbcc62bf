//! The strict rules as a propagator for the OpenTelemetry SDK, so that other instrumentation in the
//! same service follows them too. `TraceContext` parses and prints the headers.
//!
//! Extraction changes a context only if the headers are valid.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use super::header::{BAGGAGE, TRACEPARENT, TRACESTATE};
use super::trace_context::TraceContext;
use super::{baggage, outgoing};

/// The variable that selects the propagators of a service.
const VARIABLE: &str = "OTEL_PROPAGATORS";
/// The supported names.
const KNOWN: [&str; 3] = ["tracecontext", "baggage", "none"];

/// A propagator for W3C Trace Context Level 2, with strict parsing, and for W3C Baggage within its
/// limits.
///
/// ```
/// use opentelemetry::global;
/// use percolate_otel::StrictPropagator;
///
/// let (propagator, _refused) = StrictPropagator::from_env();
/// global::set_text_map_propagator(propagator);
/// ```
#[derive(Debug, Clone)]
pub struct StrictPropagator {
    fields: Vec<String>,
}

impl StrictPropagator {
    /// Creates a propagator of trace context without baggage.
    pub fn new() -> Self {
        Self {
            fields: vec![TRACEPARENT.to_owned(), TRACESTATE.to_owned()],
        }
    }

    /// Creates a propagator of trace context and baggage, the default of `OTEL_PROPAGATORS`.
    pub fn with_baggage() -> Self {
        Self {
            fields: vec![
                TRACEPARENT.to_owned(),
                TRACESTATE.to_owned(),
                BAGGAGE.to_owned(),
            ],
        }
    }

    /// Creates the propagator that `OTEL_PROPAGATORS` selects: `tracecontext`, `baggage`, both (the
    /// default) or `none`. The second value contains unsupported names, for a warning.
    pub fn from_env() -> (Self, Vec<String>) {
        Self::from_names(std::env::var(VARIABLE).ok().as_deref())
    }

    /// Like [`from_env`](Self::from_env), with the value of the variable.
    pub fn from_names(names: Option<&str>) -> (Self, Vec<String>) {
        let Some(names) = names.filter(|names| !names.trim().is_empty()) else {
            return (Self::with_baggage(), Vec::new());
        };
        let names: Vec<&str> = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let mut fields = Vec::new();
        if names.contains(&"tracecontext") {
            fields.extend([TRACEPARENT.to_owned(), TRACESTATE.to_owned()]);
        }
        if names.contains(&"baggage") {
            fields.push(BAGGAGE.to_owned());
        }
        let refused = names
            .iter()
            .filter(|name| !KNOWN.contains(name))
            .map(ToString::to_string)
            .collect();
        (Self { fields }, refused)
    }

    fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|own| own == field)
    }
}

impl Default for StrictPropagator {
    fn default() -> Self {
        Self::with_baggage()
    }
}

impl TextMapPropagator for StrictPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if let Some((parent, state)) = outgoing::of(cx).filter(|_| self.has(TRACEPARENT)) {
            injector.set(TRACEPARENT, parent.to_string());
            if let Some(state) = state {
                injector.set(TRACESTATE, state.outgoing().into_owned());
            }
        }
        if let Some(text) = baggage::print(cx.baggage()).filter(|_| self.has(BAGGAGE)) {
            injector.set(BAGGAGE, text);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let headers = extractor
            .keys()
            .into_iter()
            .filter(|key| self.fields.iter().any(|own| own.eq_ignore_ascii_case(key)));
        let values = headers.flat_map(|key| {
            extractor
                .get_all(key)
                .unwrap_or_default()
                .into_iter()
                .map(move |v| (key, v))
        });
        let received = TraceContext::from_headers_with_baggage(values);
        let context = received
            .received()
            .map_or_else(|| cx.clone(), |received| received.on(cx));
        match received.headers.get(BAGGAGE) {
            Some(text) => context.with_baggage(baggage::parse(text)),
            None => context,
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}
