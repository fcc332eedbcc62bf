//! An application with percolate's runtime, and with a global tracer provider for the rest of its
//! spans.

mod common;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_sdk::trace::SdkTracerProvider;
use percolate_otel::runtime::{self, Runtime, RuntimeConfig};

#[test]
fn annotated_calls_are_records_of_the_runtime_only() {
    let (kept, others) = (common::Kept::default(), common::Kept::default());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(others.clone())
        .build();
    global::set_tracer_provider(provider);
    let runtime = Runtime::build(RuntimeConfig {
        sink: runtime::sdk_sink(vec![Arc::new(kept.clone())]),
        ..RuntimeConfig::default()
    })
    .expect("threads start");
    runtime::install(runtime).expect("it is the first one");
    common::work();
    assert!(runtime.flush(Duration::from_secs(5)));
    assert_eq!(common::describe(&kept.take()), common::TRACE);
    assert!(others.take().is_empty());
}
