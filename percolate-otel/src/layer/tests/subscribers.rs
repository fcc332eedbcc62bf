//! The Layer in subscribers: its filter, its profiles and stacks of layers.

use std::sync::{Arc, Mutex};

use tracing::{Event, Span, Subscriber, error_span, info_span};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::{close, report_of};
use crate::layer::{ConventionLayer, LOG_TARGET, Level, Profile, RelevantSpans};

/// Returns the interest of the Layer's own filter. Called directly, because `tracing` enables a
/// call site if any subscriber of the process does.
fn interest(conventions: &ConventionLayer, span: &Span) -> &'static str {
    let filter = RelevantSpans {
        layer: conventions.clone(),
    };
    let metadata = span.metadata().expect("a registry enables everything");
    let interest = Filter::<tracing_subscriber::Registry>::callsite_enabled(&filter, metadata);
    if interest.is_always() {
        "always"
    } else {
        "never"
    }
}

#[test]
fn the_filter_enables_only_checked_spans() {
    let off = ConventionLayer::builder().profile(Profile::Off).build();
    let on = ConventionLayer::new();
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let (theirs, ours) = (
            info_span!("request", http.route = "/x"),
            info_span!("x", db.operation.name = "flush"),
        );
        assert_eq!(
            [interest(&on, &theirs), interest(&on, &ours)],
            ["never", "always"]
        );
        assert_eq!(
            [interest(&off, &theirs), interest(&off, &ours)],
            ["never", "never"]
        );
    });
}

#[test]
fn the_off_profile_checks_nothing() {
    let report = report_of(ConventionLayer::builder().profile(Profile::Off), || {
        close(info_span!("x", db.operation.name = "flush"));
    });
    assert_eq!((report.spans, report.findings().len()), (0, 0));
}

/// Records for each log line of the Layer whether it was inside a span.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<bool>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logged {
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if event.metadata().target() == LOG_TARGET {
            self.0
                .lock()
                .expect("no test panics here")
                .push(ctx.event_span(event).is_some());
        }
    }
}

#[test]
fn the_log_profile_logs_each_finding_once_and_outside_of_spans() {
    let (logged, conventions) = (
        Logged::default(),
        ConventionLayer::builder().profile(Profile::Log).build(),
    );
    let subscriber = tracing_subscriber::registry()
        .with(logged.clone())
        .with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _outer = get!().entered();
        for _ in 0..3 {
            close(info_span!(
                "x",
                otel.kind = "client",
                db.system.name = "a",
                db.operation.name = "x",
                db.odd = 1
            ));
        }
    });
    assert_eq!(*logged.0.lock().expect("no test panics here"), [false]);
}

#[test]
fn every_stack_of_layers_and_filters_works() {
    let broken = || close(error_span!("x", db.operation.name = "flush"));
    for kind in 0..6 {
        let conventions = ConventionLayer::new();
        let c = conventions.clone();
        let registry = tracing_subscriber::registry();
        match kind {
            0 => tracing::subscriber::with_default(registry.with(c), broken),
            1 => tracing::subscriber::with_default(registry.with(Some(c.layer())), broken),
            2 => tracing::subscriber::with_default(registry.with(c.layer().boxed()), broken),
            3 => tracing::subscriber::with_default(
                registry
                    .with(c.layer())
                    .with(tracing_subscriber::filter::LevelFilter::ERROR),
                broken,
            ),
            4 => tracing::subscriber::with_default(
                registry
                    .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
                    .with(c.layer()),
                broken,
            ),
            _ => {
                let (layer, _handle) = tracing_subscriber::reload::Layer::new(c);
                tracing::subscriber::with_default(registry.with(layer), broken);
            }
        }
        assert_eq!(conventions.report().spans, 1, "stack {kind}");
    }
    // Filtered away, there is nothing to check.
    let conventions = ConventionLayer::new();
    let filtered = conventions
        .clone()
        .with_filter(tracing_subscriber::filter::LevelFilter::OFF);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(filtered), broken);
    assert_eq!(conventions.report().spans, 0);
}

#[cfg(feature = "testing")]
#[test]
fn logging_next_to_an_exporting_layer_adds_no_event_and_does_not_block() {
    use crate::testing::Capture;
    let conventions = ConventionLayer::builder().profile(Profile::Log).build();
    let capture = Capture::builder().conventions(conventions).build();
    capture.run(|| {
        let _outer = get!().entered();
        close(info_span!(
            "x",
            otel.kind = "client",
            db.operation.name = "x"
        ));
    });
    assert_eq!(
        capture
            .report()
            .findings()
            .iter()
            .filter(|finding| finding.level == Level::Violation)
            .count(),
        1
    );
    let spans = capture.spans();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.data().events.is_empty()));
}
