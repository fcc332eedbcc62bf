//! The providers of a pipeline as global providers of OpenTelemetry.
//!
//! Calls that no pipeline receives look for global providers. Those of a pipeline were shut down with
//! it, which the API does not show: a call that used them would do its work for nothing.

use std::cell::Cell;

use opentelemetry::InstrumentationScope;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;

thread_local! {
    /// Whether a provider of a pipeline was used since [`foreign`] began to look.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// A provider of a pipeline.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "pipeline"),
    expect(dead_code, reason = "created by the pipeline")
)]
pub(crate) struct OwnProvider<P>(pub(crate) P);

impl<P: TracerProvider> TracerProvider for OwnProvider<P> {
    type Tracer = P::Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Self::Tracer {
        IS_OWN.set(true);
        self.0.tracer_with_scope(scope)
    }
}

impl<P: MeterProvider> MeterProvider for OwnProvider<P> {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        IS_OWN.set(true);
        self.0.meter_with_scope(scope)
    }
}

/// Returns what `look` takes from a global provider, unless it is the provider of a pipeline.
pub(crate) fn foreign<T>(look: impl FnOnce() -> T) -> Option<T> {
    IS_OWN.set(false);
    let found = look();
    (!IS_OWN.get()).then_some(found)
}
