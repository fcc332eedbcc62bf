//! An application with a tracing-opentelemetry layer, and with the same provider set globally.

mod common;

use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[test]
fn annotated_calls_are_spans_of_the_layer_only() {
    let kept = common::Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(kept.clone())
        .build();
    global::set_tracer_provider(provider.clone());
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("application")))
        .init();
    common::work();
    let spans = kept.take();
    assert_eq!(common::describe(&spans), common::TRACE);
    for span in &spans {
        assert_eq!(span.instrumentation_scope.name(), "application");
        common::assert_each_attribute_once(span);
        let events: Vec<_> = span.events.iter().map(|event| &*event.name).collect();
        let own: &[&str] = if span.name == "batch_write novels" {
            &["writing"]
        } else {
            &[]
        };
        assert_eq!(events, own, "the events of {}", span.name);
    }
}
