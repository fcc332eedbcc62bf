//! A subscriber without percolate's layer: one warning, annotated calls are exported, and the
//! events of other crates cost the same as before. One test, because it changes global state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use percolate_core::db_op;
use percolate_core::otel::{Environment, Telemetry};
use percolate_pipeline_tests::Written;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// Enables every event when its call site is registered, and counts later checks.
#[derive(Clone, Default)]
struct EventChecks(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for EventChecks {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.fetch_add(
            usize::from(metadata.target() == "other_crate"),
            Ordering::Relaxed,
        );
        true
    }
}

#[test]
fn a_subscriber_without_the_layer_is_reported_once() {
    let messages = Written::default();
    let for_fmt = messages.clone();
    let fmt = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || for_fmt.clone());
    let checks = EventChecks::default();
    let subscriber = tracing_subscriber::registry()
        .with(fmt)
        .with(checks.clone());
    tracing::subscriber::set_global_default(subscriber).expect("no subscriber is set");
    let written = Written::default();
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .console_writer(written.clone())
        .install();
    let guard = guard.expect("it is the first");
    tracing::info_span!("request").in_scope(|| get("articles"));
    guard
        .force_flush(Duration::from_secs(20))
        .expect("the console accepts everything");
    for _ in 0..10 {
        tracing::info!(target: "other_crate", "event");
    }
    assert_eq!(
        checks.0.load(Ordering::Relaxed),
        0,
        "a second dispatcher makes `tracing` check every event"
    );
    guard
        .shutdown(Duration::from_secs(20))
        .expect("the console accepts everything");
    assert!(!guard.status().layer_in_subscriber);
    assert_eq!(
        messages.text().matches("Telemetry::layer()").count(),
        1,
        "{}",
        messages.text()
    );
    assert!(
        written.text().contains("get articles"),
        "{}",
        written.text()
    );
    assert!(!written.text().contains("request"), "{}", written.text());
}
