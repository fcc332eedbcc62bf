//! The filter that enables the spans of a Layer: a call site is classified once, when `tracing`
//! registers it.

use tracing_core::subscriber::Interest;
use tracing_core::{Level as TracingLevel, Metadata, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter, Layer as _};
use tracing_subscriber::registry::LookupSpan;

use super::convention_layer::ConventionLayer;
use super::finding_log::LOG_TARGET;
use super::profile::Profile;

impl ConventionLayer {
    /// Returns the Layer with its own filter, which enables only the call sites it checks and
    /// decides once for each call site. Add this to the subscriber.
    pub fn layer<S>(&self) -> Filtered<Self, RelevantSpans, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.clone().with_filter(RelevantSpans {
            layer: self.clone(),
        })
    }
}

/// Enables the spans that a [`ConventionLayer`] checks, and the ERROR events inside them.
#[derive(Debug, Clone)]
pub struct RelevantSpans {
    pub(super) layer: ConventionLayer,
}

impl<S> Filter<S> for RelevantSpans {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        if self.layer.profile() == Profile::Off {
            return false;
        }
        if metadata.is_span() {
            // A call site that was not registered here is classified with its first span.
            let call_sites = &self.layer.shared.call_sites;
            call_sites.may_be_checked(&metadata.callsite())
        } else {
            is_error_event(metadata)
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_relevant = self.layer.profile() != Profile::Off
            && if metadata.is_span() {
                metadata.target() != LOG_TARGET && self.layer.site(metadata).is_some()
            } else {
                is_error_event(metadata)
            };
        if is_relevant {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}

/// Whether an event sets the status of the span it is in. The Layer's own log lines do not.
pub(super) fn is_error_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && *metadata.level() == TracingLevel::ERROR
        && metadata.target() != LOG_TARGET
}
