//! [`SampledSpans`]: a filter for subscribers that export spans.

use tracing_core::subscriber::Interest;
use tracing_core::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::conventions::target;
use crate::site;

/// Disables the spans of annotated calls whose parent is not sampled, for all layers of a subscriber.
/// All other spans and events are enabled.
///
/// A layer of tracing-opentelemetry drops such spans when they end. With this filter they are not
/// created, and the calls are only measured. Whether a trace is sampled is still decided by that
/// layer. Do not add the filter if another layer prints spans that are not sampled.
///
/// ```
/// use percolate_otel::layer::SampledSpans;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(SampledSpans)
///     .with(tracing_opentelemetry::layer());
/// # drop(subscriber);
/// ```
// A filter for one layer would not do: the registry creates a span that all layers have disabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampledSpans;

fn is_annotated_call(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && target::is_of_calls(metadata.target())
}

impl<S: Subscriber> Layer<S> for SampledSpans {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_annotated_call(metadata) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !(is_annotated_call(metadata) && site::is_unsampled_start())
    }
}
