//! An application whose `tracing` layer does not use this version of OpenTelemetry: it is told once
//! that the received trace context ends here.
//!
//! One test, because the warning comes once in a process.

mod common;

use std::sync::{Arc, Mutex};

use percolate_otel::tracing::{self, Event, Subscriber};
use percolate_otel::{TraceContext, attach_trace_context};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Keeps the targets of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            let mut kept = self.0.lock().expect("no test panics here");
            kept.push(event.metadata().target().to_owned());
        }
    }
}

#[test]
fn a_trace_context_that_no_layer_continues_is_reported_once() {
    let warnings = Warnings::default();
    let kept = || warnings.0.lock().expect("no test panics here").clone();
    tracing_subscriber::registry().with(warnings.clone()).init();
    common::work();
    assert!(kept().is_empty(), "nothing is attached: {:?}", kept());
    let incoming: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        .parse()
        .expect("it is valid");
    let _guard = attach_trace_context(Some(incoming));
    common::work();
    common::work();
    assert_eq!(kept(), ["percolate::telemetry"]);
}
