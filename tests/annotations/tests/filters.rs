//! Annotated calls next to a layer with a per-layer filter. `tracing-subscriber` keeps the result
//! of the filter in the thread until the checked span or event arrives. If none arrives, the result
//! applies to the next one. This happened to events after an unsampled call.
//!
//! One test, because the subscriber must be the only one of its process: otherwise `tracing` checks
//! the filter again each time, which hides the mistake.

use std::sync::{Arc, Mutex};

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use percolate_otel::ConventionLayer;
use percolate_otel::db_op;
use percolate_otel::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};

#[db_op(get, cf, system = "rocksdb")]
fn get(cf: &str) -> Option<u8> {
    (!cf.is_empty()).then_some(7)
}

/// Keeps the targets of events.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        self.0
            .lock()
            .expect("no test panics here")
            .push(event.metadata().target().to_owned());
    }
}

#[test]
fn an_unsampled_call_leaves_no_filter_result_behind() {
    let events = Events::default();
    let others = events
        .clone()
        .with_filter(filter_fn(|metadata| metadata.target() != "percolate::db"));
    let conventions = ConventionLayer::new();
    let subscriber = tracing_subscriber::registry()
        .with(others)
        .with(conventions.layer());
    let meters = SdkMeterProvider::builder().build();
    let config = RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(meters)),
        ..RuntimeConfig::default()
    };
    let _runtime = runtime::scope(Some(Runtime::build(config).expect("threads start")));
    tracing::subscriber::with_default(subscriber, || {
        let event = || tracing::error!(target: "app", "something else");
        event();
        let unsampled = SpanContext::new(
            TraceId::from(7_u128),
            SpanId::from(9_u64),
            TraceFlags::default(),
            true,
            TraceState::default(),
        );
        {
            let _unsampled = Context::new().with_remote_span_context(unsampled).attach();
            assert_eq!(get("articles"), Some(7));
            event();
        }
        assert_eq!(get("articles"), Some(7));
        event();
    });
    assert_eq!(*events.0.lock().expect("no test panics here"), ["app"; 3]);
    // A layer sees the calls that it is interested in, sampled or not.
    assert_eq!(conventions.report().spans, 2);
}
