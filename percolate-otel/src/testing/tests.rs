use std::thread;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry::{KeyValue, Value};
use tracing::{error_span, info_span};

use super::*;
use crate::assert_span;
use crate::site::attr;

fn message(assertion: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(assertion).expect_err("the assertion should have failed");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn spans_come_out_as_a_tree_with_kinds_and_status() {
    let capture = Capture::new();
    capture.run(|| {
        let _request = info_span!("request").entered();
        info_span!("first", otel.kind = "client").in_scope(|| ());
        info_span!("second", otel.status_code = "ERROR")
            .in_scope(|| info_span!("inner").in_scope(|| ()));
    });
    capture.spans().assert_tree(
        "
        request [internal]
          first [client]
          second [internal, error]
            inner [internal]
        ",
    );
}

#[test]
fn attributes_keep_their_types_and_nothing_is_added() {
    let capture = Capture::new();
    capture.run(|| {
        info_span!(
            "s",
            text = "1",
            int = 1_i64,
            float = 1.0,
            flag = true,
            unsigned = 1_u64
        )
        .in_scope(|| ());
    });
    capture.spans().assert_tree_with_attributes(
        r#"
        s [internal]
          | flag = true
          | float = 1.0
          | int = 1
          | text = "1"
          | unsigned = "1"
        "#,
    );
}

#[test]
fn two_captures_at_once_do_not_see_each_other() {
    let (one, two) = (Capture::new(), Capture::new());
    let _one = one.enter();
    thread::scope(|scope| {
        let two = two.clone();
        scope.spawn(move || two.run(|| info_span!("in two").in_scope(|| ())));
    });
    info_span!("in one").in_scope(|| ());
    assert_eq!(one.spans().names(), ["in one"]);
    assert_eq!(two.spans().names(), ["in two"]);
}

#[test]
fn a_future_runs_inside_the_capture_on_any_thread() {
    let capture = Capture::new();
    let future = capture.instrument(async { info_span!("in a future").in_scope(|| ()) });
    thread::spawn(move || futures_executor(future))
        .join()
        .expect("the thread finishes");
    assert_eq!(capture.spans().names(), ["in a future"]);
}

fn futures_executor<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let mut cx = TaskContext::from_waker(std::task::Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

#[test]
fn unsampled_spans_are_not_captured() {
    let capture = Capture::builder().sampler(Sampler::AlwaysOff).build();
    capture.run(|| info_span!("dropped").in_scope(|| ()));
    assert!(capture.spans().is_empty());
}

#[test]
fn links_and_foreign_parents_show_in_the_tree() {
    let capture = Capture::new();
    let tracer = capture.tracer_provider().tracer("other");
    let target = tracer.start("target");
    let context = opentelemetry::trace::Span::span_context(&target).clone();
    drop(target);
    let linked = tracer
        .span_builder("linked")
        .with_links(vec![opentelemetry::trace::Link::with_context(context)]);
    drop(linked.start(&tracer));
    capture
        .spans()
        .assert_tree("target [internal]\nlinked [internal]\n  ~ link to target");
    assert_eq!(capture.spans().span("linked").links().len(), 1);
    assert_eq!(capture.spans().span("linked").scope(), "other");
}

#[test]
fn a_wrong_tree_is_shown_as_a_diff() {
    let capture = Capture::new();
    capture.run(|| info_span!("there").in_scope(|| ()));
    let spans = capture.spans();
    let text = message(move || spans.assert_tree("missing [internal]"));
    assert!(
        text.contains("- missing [internal]\n+ there [internal]\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_span_lists_everything_that_is_wrong() {
    let capture = Capture::new();
    capture.run(|| error_span!("s", n = 1_u64, other = "x").in_scope(|| ()));
    let spans = capture.spans();
    let text = message(move || {
        assert_span!(spans, "s", kind: Client, parent: "p", error: true, "n" = 1, "other" = ABSENT);
    });
    for line in [
        "kind: expected client, is internal",
        "parent: expected `p`, is not captured",
        "status: expected error, is Unset",
        "n: expected 1 (int), is \"1\" (string)",
        "other: expected absent, is \"x\" (string)",
    ] {
        assert!(text.contains(line), "{line} is missing from:\n{text}");
    }
}

#[test]
fn an_unknown_span_name_shows_the_tree() {
    let capture = Capture::new();
    capture.run(|| info_span!("there").in_scope(|| ()));
    let spans = capture.spans();
    let text = message(move || {
        spans.span("missing");
    });
    assert!(
        text.contains("expected one span named `missing`, captured 0")
            && text.contains("there [internal]"),
        "{text}"
    );
}

#[test]
fn metrics_come_with_unit_instrument_and_points() {
    let capture = Capture::new();
    let meter = capture.meter_provider().meter("test");
    let histogram = meter
        .f64_histogram("wait.duration")
        .with_unit("s")
        .with_boundaries(vec![1.0, 2.0])
        .build();
    histogram.record(1.5, &[KeyValue::new("queue", "a")]);
    histogram.record(0.5, &[KeyValue::new("queue", "a")]);
    histogram.record(0.5, &[KeyValue::new("queue", "b")]);
    meter
        .i64_up_down_counter("wait.active")
        .with_unit("{task}")
        .build()
        .add(-2, &[]);
    let metrics = capture.metrics();
    metrics.assert_text(
        r#"
        wait.active updowncounter {task}
          {} -2
        wait.duration histogram s
          {queue="a"} count 2
          {queue="b"} count 1
        "#,
    );
    assert_eq!(metrics.count("wait.duration", &[("queue", "a")]), 2);
    let point = &metrics.metric("wait.duration").points()[0];
    assert_eq!(point.bounds(), [1.0, 2.0]);
    assert!(matches!(point.attribute("queue"), Some(Value::String(_))));
    assert!((metrics.sum("wait.duration", &[]) - 2.5).abs() < 1e-9);
}

#[test]
fn an_attribute_that_is_exported_twice_fails_every_expectation_of_its_span() {
    let capture = Capture::new();
    capture.run(|| {
        let span = info_span!("fetch", pages = 1_i64);
        span.record("pages", 2_i64);
        span.in_scope(|| ());
        info_span!("other", pages = 1_i64).in_scope(|| ());
    });
    let spans = capture.spans();
    spans.assert_tree_with_attributes(
        "
        fetch [internal]
          | pages = 1
          | pages = 2
        other [internal]
          | pages = 1
        ",
    );
    assert_span!(spans, "other", "pages" = 1);
    let text = message(|| _ = assert_span!(spans, "fetch", "pages" = 2));
    assert!(text.contains("pages: exported more than once"), "{text}");
}

#[test]
fn a_large_tree_is_complete() {
    const SPANS: usize = 20_000;
    let capture = Capture::new();
    capture.run(|| {
        info_span!("root").in_scope(|| {
            for _ in 1..SPANS {
                info_span!("child").in_scope(|| ());
            }
        });
    });
    let spans = capture.spans();
    assert_eq!(spans.roots().len(), 1);
    assert_eq!(spans.children_of(spans.span("root")).len(), SPANS - 1);
    assert_eq!(spans.tree().lines().count(), SPANS);
}

crate::__private::site!(GET, db, INFO, attr::COLLECTION | attr::RETURNED_ROWS, [], { name: "get" });

fn annotated_get() {
    let names = crate::__private::Names {
        operation: None,
        target: Some("articles"),
        ..crate::__private::Names::default()
    };
    let mut call = crate::__private::SyncCall::idle();
    crate::__private::enter(&mut call, &GET, names, crate::Parent::Child, &mut |_| ());
    call.finish(crate::Outcome {
        returned_rows: Some(1),
        ..crate::Outcome::default()
    });
}

#[test]
fn annotated_calls_come_out_the_same_as_compact_records_and_through_tracing() {
    for builder in [Capture::builder(), Capture::builder().compact_records()] {
        let capture = builder.build();
        capture.run(|| info_span!("request").in_scope(annotated_get));
        capture.spans().assert_tree_with_attributes(
            r#"
            request [internal]
              get articles [client]
                | db.collection.name = "articles"
                | db.operation.name = "get"
                | db.response.returned_rows = 1
                | db.system.name = "rocksdb"
            "#,
        );
        assert_eq!(
            capture.metrics().count(
                "db.client.operation.duration",
                &[("db.collection.name", "articles")]
            ),
            1
        );
        let report = capture.report();
        report.assert_clean();
        assert_eq!((report.spans, report.call_sites), (1, 1));
    }
}

#[test]
fn a_call_with_an_overlong_name_is_measured_in_the_overflow_series() {
    // The Layer's rule about the length of span names would report them.
    let conventions = crate::ConventionLayer::builder()
        .profile(crate::layer::Profile::Off)
        .build();
    let capture = Capture::builder()
        .compact_records()
        .conventions(conventions)
        .build();
    let longest = "a".repeat(1024);
    let overlong = "b".repeat(1025);
    let get = |target: &str, address: Option<&str>| {
        let names = crate::__private::Names::new(Some(target), None, address);
        let mut call = crate::__private::SyncCall::idle();
        crate::__private::enter(&mut call, &GET, names, crate::Parent::Child, &mut |_| ());
        call.finish(crate::Outcome::success());
    };
    capture.run(|| {
        get(&longest, None);
        get(&overlong, None);
        // An address is not on metrics.
        get("articles", Some(&overlong));
    });
    let metrics = capture.metrics();
    let points = metrics.metric("db.client.operation.duration").points();
    let mut collections: Vec<_> = points
        .iter()
        .map(|point| {
            point
                .attribute("db.collection.name")
                .map(ToString::to_string)
        })
        .collect();
    collections.sort();
    assert_eq!(
        collections,
        [None, Some(longest.clone()), Some("articles".to_owned())]
    );
    let overflow = points
        .iter()
        .find(|point| point.attribute("otel.metric.overflow").is_some());
    assert_eq!(overflow.map(crate::testing::Point::count), Some(1));
    let spans = capture.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(
        names,
        [
            format!("get {longest}"),
            format!("get {overlong}"),
            "get articles".to_owned()
        ]
    );
}

#[test]
fn a_conventional_future_is_checked_to_its_end() {
    let tree = futures_executor(check_conventions_async(|capture| async move {
        annotated_get();
        capture.spans().tree()
    }));
    assert_eq!(tree, "get articles [client]\n");
    let text = message(|| {
        futures_executor(check_conventions_async(|_| async {
            info_span!("x", db.operation.name = "x").in_scope(|| ());
        }));
    });
    assert!(
        text.contains("the database span has no `db.system.name`"),
        "{text}"
    );
}

#[test]
fn a_conventional_test_fails_on_a_finding() {
    check_conventions(|_| annotated_get());
    let text =
        message(|| check_conventions(|_| info_span!("x", db.operation.name = "x").in_scope(|| ())));
    assert!(
        text.contains("the database span has no `db.system.name`"),
        "{text}"
    );
}
