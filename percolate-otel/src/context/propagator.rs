//! The strict rules as a propagator for the OpenTelemetry SDK, so that other instrumentation in the
//! same service follows them too. `TraceContext` parses and prints the headers.
//!
//! Extraction changes a context only if the headers are valid.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use super::formats::Formats;
use super::header::BAGGAGE;
use super::outgoing::HeaderWriter;
use super::trace_context::TraceContext;
use super::{baggage, outgoing};

/// The variable that selects the propagators of a service.
const VARIABLE: &str = "OTEL_PROPAGATORS";

/// A propagator for W3C Trace Context Level 2, with strict parsing, for W3C Baggage within its
/// limits, and on request for B3 and Jaeger.
///
/// ```
/// use percolate_otel::StrictPropagator;
///
/// let (propagator, _refused) = StrictPropagator::from_env();
/// propagator.install();
/// ```
#[derive(Debug, Clone)]
pub struct StrictPropagator {
    formats: Formats,
    fields: Vec<String>,
}

impl StrictPropagator {
    /// Creates a propagator of trace context without baggage.
    pub fn new() -> Self {
        Self::of(Formats::TRACE_CONTEXT)
    }

    /// Creates a propagator of trace context and baggage, the default of `OTEL_PROPAGATORS`.
    pub fn with_baggage() -> Self {
        Self::of(Formats::DEFAULT)
    }

    /// Creates the propagator that `OTEL_PROPAGATORS` selects: any of `tracecontext`, `baggage`,
    /// `b3`, `b3multi` and `jaeger`, or `none`. The default is `tracecontext,baggage`. The second
    /// value contains unsupported names, for a warning.
    pub fn from_env() -> (Self, Vec<String>) {
        Self::from_names(std::env::var(VARIABLE).ok().as_deref())
    }

    /// Like [`from_env`](Self::from_env), with the value of the variable.
    pub fn from_names(names: Option<&str>) -> (Self, Vec<String>) {
        let Some(names) = names.filter(|names| !names.trim().is_empty()) else {
            return (Self::with_baggage(), Vec::new());
        };
        let mut formats = Formats::NONE;
        let mut refused = Vec::new();
        let names = names.split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            match Formats::of_word(name) {
                Some(format) => formats = formats.and(format),
                None => refused.push(name.to_owned()),
            }
        }
        (Self::of(formats), refused)
    }

    /// Creates the propagator of these formats.
    pub(crate) fn of(formats: Formats) -> Self {
        Self {
            formats,
            fields: formats.written().map(str::to_owned).collect(),
        }
    }

    /// Sets this as OpenTelemetry's global propagator, and its formats as those of
    /// [`inject`](super::inject), [`TraceContext::from_headers`] and
    /// [`TraceContext::to_headers`] in this process. A percolate pipeline does this itself.
    pub fn install(self) {
        self.formats.install();
        opentelemetry::global::set_text_map_propagator(self);
    }
}

impl Default for StrictPropagator {
    fn default() -> Self {
        Self::with_baggage()
    }
}

/// Headers of another instrumentation.
struct Injected<'a>(&'a mut dyn Injector);

impl HeaderWriter for Injected<'_> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.0.set(name, value.to_owned());
    }

    fn remove(&mut self, _name: &'static str) {}
}

impl TextMapPropagator for StrictPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if let Some((parent, state)) = outgoing::of(cx) {
            let mut headers = Injected(&mut *injector);
            outgoing::write(&mut headers, self.formats, parent, state.as_ref());
        }
        if let Some(text) = baggage::print(cx.baggage())
            && self.formats.has(Formats::BAGGAGE)
        {
            injector.set(BAGGAGE, text);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let headers = extractor.keys().into_iter();
        let headers = headers.filter(|name| self.formats.reads(name).is_some());
        let values = headers.flat_map(|key| {
            extractor
                .get_all(key)
                .unwrap_or_default()
                .into_iter()
                .map(move |v| (key, v))
        });
        let received = TraceContext::read(values, self.formats);
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
