//! The propagators of trace context and baggage, and their installation for the process. Which of
//! them apply is decided in `settings`; the formats are in `context`.

use crate::context::{Formats, StrictPropagator};

/// A format of context in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// Zipkin's single header `b3`. Its several headers are read too.
    B3,
    /// Zipkin's headers `x-b3-traceid`, `x-b3-spanid` and `x-b3-sampled`. The single header is read
    /// too.
    B3Multi,
    /// Jaeger's `uber-trace-id`, without Jaeger's own baggage headers.
    Jaeger,
    /// No propagation. It only has an effect alone.
    None,
}

impl Propagator {
    fn format(self) -> Formats {
        match self {
            Self::TraceContext => Formats::TRACE_CONTEXT,
            Self::Baggage => Formats::BAGGAGE,
            Self::B3 => Formats::B3,
            Self::B3Multi => Formats::B3_MULTI,
            Self::Jaeger => Formats::JAEGER,
            Self::None => Formats::NONE,
        }
    }
}

/// Sets OpenTelemetry's global propagator, and the formats of `inject` and
/// `TraceContext::from_headers`.
pub(super) fn install(chosen: &[Propagator]) {
    let formats = chosen
        .iter()
        .fold(Formats::NONE, |all, one| all.and(one.format()));
    StrictPropagator::of(formats).install();
}
