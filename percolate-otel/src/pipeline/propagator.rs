//! The propagators of trace context and baggage, and their installation as OpenTelemetry's global
//! propagator. Which of them apply is decided in `settings`; the formats are in `context`.

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;

use crate::context::StrictPropagator;

/// A format of context in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// No propagation. It only has an effect alone.
    None,
}

/// Sets OpenTelemetry's global propagator.
pub(super) fn install(chosen: &[Propagator]) {
    use opentelemetry::global::set_text_map_propagator as set;
    match (
        chosen.contains(&Propagator::TraceContext),
        chosen.contains(&Propagator::Baggage),
    ) {
        (true, true) => set(StrictPropagator::with_baggage()),
        (true, false) => set(StrictPropagator::new()),
        (false, true) => set(BaggagePropagator::new()),
        (false, false) => set(TextMapCompositePropagator::new(Vec::new())),
    }
}
