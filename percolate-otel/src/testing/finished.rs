//! A span processor that stores finished spans.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// A span processor that stores all finished spans, for tests that build their own provider or
/// runtime. Clones share the spans.
///
/// ```
/// use opentelemetry::trace::{Tracer as _, TracerProvider as _};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use percolate_otel::testing::FinishedSpans;
///
/// let spans = FinishedSpans::default();
/// let provider = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
/// provider.tracer("test").in_span("request", |_| ());
/// assert_eq!(spans.get()[0].name, "request");
/// ```
#[derive(Debug, Clone, Default)]
pub struct FinishedSpans(Arc<Mutex<Vec<SpanData>>>);

impl FinishedSpans {
    /// Returns the stored spans, in the order in which they ended.
    pub fn get(&self) -> Vec<SpanData> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl SpanProcessor for FinishedSpans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
