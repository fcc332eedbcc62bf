//! [`SampledSpans`]: a filter for layers that export spans.

use tracing_core::subscriber::Interest;
use tracing_core::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::conventions::target;
use crate::site;

/// Disables the spans of annotated calls whose parent is not sampled, for the layer that it is added
/// to. All other spans and events are enabled.
///
/// A layer of tracing-opentelemetry drops such spans when they end. With this filter they are not
/// created, unless another layer is interested in them, and the call is only measured. The decision
/// whether a trace is sampled stays with the layer.
///
/// ```
/// use percolate_otel::layer::SampledSpans;
/// use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
///
/// let exported = tracing_opentelemetry::layer().with_filter(SampledSpans);
/// let subscriber = tracing_subscriber::registry().with(exported);
/// # drop(subscriber);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SampledSpans;

fn is_annotated_call(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && matches!(metadata.target(), target::DB | target::JOB)
}

impl<S: Subscriber> Filter<S> for SampledSpans {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        !(is_annotated_call(metadata) && site::is_unsampled_start())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_annotated_call(metadata) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }
}
