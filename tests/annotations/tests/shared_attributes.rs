//! Attributes of the application that are set for everything inside: on the spans of all annotated
//! calls, on the metrics that list them, and nowhere else.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use percolate_otel::runtime::{AttributeSource, Sampler, SharedAttributes, SpanStart};
use percolate_otel::testing::{Capture, Spans};
use percolate_otel::{
    Carry as _, QueueWait, Traced, attach_trace_context, background_job, carry, db_op, operation,
    with_attributes, with_attributes_async,
};

#[db_op(get, collection, system = "rocksdb")]
fn get(collection: &str) -> Option<u64> {
    (!collection.is_empty()).then_some(1)
}

/// It declares an attribute that the application may set too.
#[db_op(scan, collection, fields(app.mode = "full"), system = "rocksdb")]
fn scan(collection: &str, inside: impl FnOnce()) -> std::io::Result<()> {
    _ = collection;
    percolate_otel::record!(app.found = 2);
    inside();
    Ok(())
}

#[db_op(put, collection, system = "rocksdb")]
async fn put(collection: &str) -> std::io::Result<()> {
    _ = collection;
    tokio::task::yield_now().await;
    get(collection);
    Ok(())
}

#[db_op(scan, collection, system = "rocksdb", rows = stream)]
fn read(collection: &str) -> impl Iterator<Item = u64> {
    (0..2).inspect(|_| {
        get("of rows");
    })
}

#[db_op(query, collection, system = "rocksdb")]
fn load(collection: &str) -> Pin<Box<dyn Future<Output = u64>>> {
    _ = collection;
    Box::pin(async { get("of boxed").unwrap_or(0) })
}

#[background_job(index.build, target, parent = link)]
fn build(target: &str) {
    if target == "queue" {
        let user = Context::current().baggage().get("app.user").cloned();
        assert_eq!(user.expect("baggage is kept").as_str(), "alice");
    }
    get(target);
}

percolate_otel::db_site!(static READ = "read", system = "kv");

/// The set-up of another library, and percolate's own: both export the same.
fn captures() -> [Capture; 2] {
    [Capture::new(), Capture::builder().compact_records().build()]
}

/// The values of an attribute on all spans in the order of their ends.
fn values(spans: &Spans, key: &str) -> Vec<(String, Option<String>)> {
    let value = |value: &Value| value.as_str().into_owned();
    let of = |span: &percolate_otel::testing::CapturedSpan| {
        (span.name().to_owned(), span.attribute(key).map(value))
    };
    let mut values: Vec<_> = spans.iter().map(of).collect();
    values.sort();
    values
}

fn expected(values: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let owned =
        |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(ToOwned::to_owned));
    values.iter().map(owned).collect()
}

#[test]
fn every_call_inside_has_the_attributes_and_no_call_outside() {
    for capture in captures() {
        capture.run(|| {
            get("before");
            with_attributes([("tenant.id", "a")], || {
                scan("outer", || {
                    get("inner");
                })
                .expect("it succeeds");
            });
            get("after");
        });
        assert_eq!(
            values(&capture.spans(), "tenant.id"),
            expected(&[
                ("get after", None),
                ("get before", None),
                ("get inner", Some("a")),
                ("scan outer", Some("a")),
            ])
        );
        let spans = capture.spans();
        assert_eq!(
            spans
                .parent_of(spans.span("get inner"))
                .expect("it has one")
                .id(),
            spans.span("scan outer").id()
        );
        capture.report().assert_clean();
    }
}

#[test]
fn inner_attributes_are_added_and_replace_outer_ones() {
    for capture in captures() {
        capture.run(|| {
            with_attributes([("app.a", 1), ("app.b", 2)], || {
                with_attributes([("app.b", 3), ("app.c", 4)], || get("inner"));
                get("outer");
            });
        });
        let spans = capture.spans();
        for (name, a, b, c) in [
            ("get inner", Some(1), Some(3), Some(4)),
            ("get outer", Some(1), Some(2), None),
        ] {
            let span = spans.span(name);
            let value = |key| span.attribute(key).cloned();
            assert_eq!(value("app.a"), a.map(Value::I64), "{name}");
            assert_eq!(value("app.b"), b.map(Value::I64), "{name}");
            assert_eq!(value("app.c"), c.map(Value::I64), "{name}");
            let keys: Vec<_> = span.data().attributes.iter().map(|kv| &kv.key).collect();
            let is_once = |key| keys.iter().filter(|other| **other == key).count() == 1;
            assert!(keys.iter().all(|key| is_once(*key)), "{keys:?}");
        }
    }
}

#[test]
fn attributes_of_the_call_itself_are_not_replaced() {
    for capture in captures() {
        let set = [
            ("db.collection.name", "other"),
            ("error.type", "none"),
            ("app.mode", "fast"),
            ("app.found", "none"),
            ("", "no name"),
            ("app.more", "kept"),
        ];
        capture.run(|| with_attributes(set, || scan("novels", || ())).expect("it succeeds"));
        let spans = capture.spans();
        let data = spans.span("scan novels").data();
        let value = |key: &str| {
            let found = data.attributes.iter().filter(|kv| kv.key.as_str() == key);
            let values: Vec<_> = found.map(|kv| kv.value.as_str().into_owned()).collect();
            values.join(" and ")
        };
        assert_eq!(value("db.collection.name"), "novels");
        assert_eq!(value("app.mode"), "full");
        assert_eq!(value("app.found"), "2");
        assert_eq!(value("app.more"), "kept");
        assert_eq!(value("error.type"), "");
        assert_eq!(value(""), "");
        assert_eq!(data.dropped_attributes_count, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attributes_follow_the_context_to_threads_tasks_and_queues() {
    for capture in captures() {
        let inside = capture.clone();
        let baggage = Context::current().with_baggage([KeyValue::new("app.user", "alice")]);
        let attached = baggage.attach();
        let work = with_attributes_async([("tenant.id", "a")], async move {
            put("awaited").await.expect("it succeeds");
            let task = async { put("spawned").await }.carry();
            let task = inside.instrument(task);
            tokio::spawn(task)
                .await
                .expect("no panic")
                .expect("it succeeds");
            let thread = std::thread::spawn(carry(|| get("thread")));
            thread.join().expect("no panic");
            let message = Traced::new("queue");
            message.run(build);
            let lone = inside.clone();
            let lost = move || lone.run(|| get("not carried"));
            std::thread::spawn(lost).join().expect("no panic");
        });
        drop(attached);
        capture.instrument(work).await;
        capture.run(|| get("after"));
        assert_eq!(
            values(&capture.spans(), "tenant.id"),
            expected(&[
                ("get after", None),
                ("get awaited", Some("a")),
                ("get not carried", None),
                ("get queue", Some("a")),
                ("get spawned", Some("a")),
                ("get thread", Some("a")),
                ("index.build queue", Some("a")),
                ("put awaited", Some("a")),
                ("put spawned", Some("a")),
            ])
        );
    }
}

#[test]
fn calls_by_hand_have_them_and_a_received_context_keeps_them() {
    for capture in captures() {
        capture.run(|| {
            with_attributes([("tenant.id", "a")], || {
                operation(READ).collection("hand").start().finish();
            });
            let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            for headers in [incoming, "invalid"] {
                with_attributes([("tenant.id", headers)], || {
                    let headers = [("traceparent", headers)];
                    let context = percolate_otel::TraceContext::from_headers(headers);
                    let _attached = attach_trace_context(Some(context));
                    get("received");
                });
            }
        });
        let values = values(&capture.spans(), "tenant.id");
        assert_eq!(values.len(), 3, "{values:?}");
        assert!(
            values.iter().all(|(_, value)| value.is_some()),
            "{values:?}"
        );
    }
}

#[test]
fn a_span_has_at_most_128_and_long_strings_are_cut() {
    let capture = Capture::builder().compact_records().build();
    let many = (0..200).map(|number| (format!("app.number_{number}"), "é".repeat(4000)));
    capture.run(|| with_attributes(many, || get("many")));
    let spans = capture.spans();
    let data = spans.span("get many").data();
    let shared = data.attributes.iter();
    let shared: Vec<_> = shared
        .filter(|kv| kv.key.as_str().starts_with("app.number_"))
        .collect();
    assert_eq!(data.attributes.len(), 128);
    assert_eq!(data.dropped_attributes_count as usize, 200 - shared.len());
    assert!(
        shared
            .iter()
            .all(|kv| kv.value.as_str() == "é".repeat(2048))
    );
}

#[test]
fn arrays_are_cut_too() {
    let capture = Capture::builder().compact_records().build();
    let strings = |text: String| Value::Array(vec![StringValue::from(text); 10_000].into());
    let attributes = [
        ("app.words", strings("w".repeat(1000))),
        ("app.empty", strings(String::new())),
        ("app.numbers", Value::Array(vec![7_i64; 10_000].into())),
    ];
    capture.run(|| with_attributes(attributes, || get("many")));
    let spans = capture.spans();
    let elements = |key: &str| match spans.span("get many").attribute(key) {
        Some(Value::Array(Array::String(texts))) => texts
            .iter()
            .map(|text| text.as_str().len())
            .collect::<Vec<_>>(),
        Some(Value::Array(Array::I64(numbers))) => vec![8; numbers.len()],
        other => panic!("{key} is {other:?}"),
    };
    let words = elements("app.words");
    assert_eq!((words.len(), words.iter().sum::<usize>()), (512, 4096));
    assert_eq!(words[..5], [1000, 1000, 1000, 1000, 96]);
    assert_eq!(elements("app.empty").len(), 512);
    assert_eq!(elements("app.numbers").len(), 512);
}

#[test]
fn rows_that_are_read_elsewhere_keep_the_attributes_of_the_caller() {
    for is_sampled in [true, false] {
        for builder in [Capture::builder(), Capture::builder().compact_records()] {
            let capture = builder
                .sampler(if is_sampled {
                    Sampler::AlwaysOn
                } else {
                    Sampler::AlwaysOff
                })
                .metric_attributes(["tenant.id"])
                .build();
            capture.run(|| {
                let rows = with_attributes([("tenant.id", "caller")], || read("rows"));
                let boxed = with_attributes([("tenant.id", "caller")], || load("boxed"));
                with_attributes([("tenant.id", "reader")], || {
                    assert_eq!(rows.count(), 2);
                    assert_eq!(boxed.now_or_never(), Some(1));
                });
            });
            let calls = [
                "get of boxed",
                "get of rows",
                "get of rows",
                "query boxed",
                "scan rows",
            ];
            let caller = calls.map(|call| (call, Some("caller")));
            let found = values(&capture.spans(), "tenant.id");
            assert_eq!(found, expected(if is_sampled { &caller } else { &[] }));
            let metrics = capture.metrics();
            let measured =
                |tenant| metrics.count("db.client.operation.duration", &[("tenant.id", tenant)]);
            assert_eq!((measured("caller"), measured("reader")), (5, 0));
        }
    }
}

#[test]
fn metrics_do_not_have_a_listed_attribute_that_the_annotation_declares() {
    let capture = Capture::builder().metric_attributes(["app.mode"]).build();
    capture.run(|| {
        with_attributes([("app.mode", "context")], || {
            get("plain");
            scan("own", || ()).unwrap();
        });
    });
    let spans = capture.spans();
    assert_eq!(
        spans.span("scan own").attribute("app.mode"),
        Some(&"full".into())
    );
    let metrics = capture.metrics();
    let points = metrics.metric("db.client.operation.duration").points();
    let mut found: Vec<_> = points
        .iter()
        .map(|point| {
            let of = |key| {
                point
                    .attribute(key)
                    .map(|value| value.as_str().into_owned())
            };
            (of("db.collection.name"), of("app.mode"))
        })
        .collect();
    found.sort();
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        found,
        [(name("own"), None), (name("plain"), name("context"))]
    );
}

#[test]
fn metrics_have_only_the_attributes_that_are_listed() {
    let duration = "db.client.operation.duration";
    let run = |capture: &Capture| {
        capture.run(|| {
            for tenant in ["a", "b", "a"] {
                let attributes = [("tenant.id", tenant), ("app.other", tenant)];
                with_attributes(attributes, || get("novels"));
            }
            get("novels");
        });
        let metrics = capture.metrics();
        let points = metrics.metric(duration).points();
        let mut found: Vec<_> = points
            .iter()
            .map(|point| {
                assert_eq!(point.attribute("app.other"), None);
                let tenant = point.attribute("tenant.id");
                (
                    tenant.map(|value| value.as_str().into_owned()),
                    point.count(),
                )
            })
            .collect();
        found.sort();
        found
    };
    let plain = Capture::new();
    assert_eq!(run(&plain), [(None, 4)]);
    let listed = Capture::builder()
        .metric_attributes(["tenant.id", "db.namespace"])
        .build();
    let tenant = |name: &str| Some(name.to_owned());
    assert_eq!(
        run(&listed),
        [(None, 1), (tenant("a"), 2), (tenant("b"), 1)]
    );
    let rows = listed.metrics();
    let rows = rows.metric("db.client.response.returned_rows");
    assert_eq!(rows.points().len(), 3);
    listed.report().assert_clean();
}

#[test]
fn calls_that_are_not_sampled_are_measured_with_the_listed_attributes() {
    let capture = Capture::builder()
        .compact_records()
        .sampler(Sampler::AlwaysOff)
        .metric_attributes(["tenant.id"])
        .build();
    capture.run(|| {
        with_attributes([("tenant.id", "a")], || {
            get("novels");
            build("novels");
        });
    });
    assert!(capture.spans().is_empty());
    let of_tenant = [("tenant.id", "a")];
    let metrics = capture.metrics();
    assert_eq!(metrics.count("db.client.operation.duration", &of_tenant), 2);
    assert_eq!(metrics.count("job.duration", &of_tenant), 1);
    let active = metrics.metric("job.active").points();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].attribute("tenant.id"), None);
}

#[test]
fn too_many_values_are_measured_in_the_overflow_series() {
    const VALUES: u64 = 2100;
    let capture = Capture::builder()
        .metric_attributes(["tenant.id"])
        .sampler(Sampler::AlwaysOff)
        .build();
    capture.run(|| {
        for _ in 0..2 {
            for number in 0..VALUES {
                with_attributes([("tenant.id", format!("t{number}"))], || get("novels"));
            }
        }
        with_attributes([("tenant.id", "t".repeat(2000))], || get("novels"));
    });
    let metrics = capture.metrics();
    let points = metrics.metric("db.client.operation.duration").points();
    assert!(points.len() <= 2001, "{} points", points.len());
    let total: u64 = points
        .iter()
        .map(percolate_otel::testing::Point::count)
        .sum();
    assert_eq!(total, 2 * VALUES + 1);
    let is_long = |value: &Value| value.as_str().len() > 1024;
    let has_long =
        |point: &&percolate_otel::testing::Point| point.attribute("tenant.id").is_some_and(is_long);
    assert!(points.iter().find(has_long).is_none());
}

#[test]
fn the_wait_in_a_queue_has_no_attributes_of_the_context() {
    let capture = Capture::builder().metric_attributes(["tenant.id"]).build();
    capture.run(|| {
        with_attributes([("tenant.id", "a")], || {
            let wait = QueueWait::begin("index");
            std::thread::sleep(Duration::from_millis(1));
            wait.end();
        });
    });
    let metrics = capture.metrics();
    for name in ["job.queue.wait", "job.queue.length"] {
        let points = metrics.find(name).map(|metric| metric.points().to_vec());
        for point in points.unwrap_or_default() {
            assert_eq!(point.attribute("tenant.id"), None);
        }
    }
}

/// Keeps the spans that it was called for.
#[derive(Debug, Default)]
struct Kept {
    decided: OnceLock<SharedAttributes>,
    starts: Mutex<Vec<SpanStart>>,
}

impl AttributeSource for Kept {
    fn attributes(&self, start: &dyn Fn() -> SpanStart) -> SharedAttributes {
        let decide = || {
            let start = start();
            let name = start.name.clone();
            self.starts.lock().expect("no test panics here").push(start);
            let added = [
                KeyValue::new("app.first", name),
                KeyValue::new("app.both", "source"),
            ];
            SharedAttributes::default().extended(added)
        };
        self.decided.get_or_init(decide).clone()
    }
}

#[test]
fn a_source_is_called_with_the_span_that_starts_first() {
    let capture = Capture::builder().compact_records().build();
    let kept = Arc::new(Kept::default());
    capture.run(|| {
        let source = SharedAttributes::from_source(Arc::clone(&kept) as Arc<dyn AttributeSource>);
        let _attached = source.on(&Context::current()).attach();
        scan("outer", || {
            with_attributes([("app.both", "inner")], || get("inner"));
        })
        .expect("it succeeds");
        get("second");
    });
    let spans = capture.spans();
    let starts = kept.starts.lock().expect("no test panics here");
    let [start] = &starts[..] else {
        panic!("{starts:?}");
    };
    let scanned = spans.span("scan outer");
    assert_eq!(start.name, "scan outer");
    assert_eq!(start.kind, SpanKind::Client);
    assert_eq!(start.span_context.span_id(), scanned.id());
    assert_eq!(start.span_context.trace_id(), scanned.trace_id());
    assert!(start.parent.is_none() && start.link.is_none());
    let keys: Vec<_> = start.attributes.iter().map(|kv| kv.key.as_str()).collect();
    assert!(keys.contains(&"db.collection.name"), "{keys:?}");
    for (name, both) in [
        ("scan outer", "source"),
        ("get inner", "inner"),
        ("get second", "source"),
    ] {
        let span = spans.span(name);
        let value = |key| span.attribute(key).map(|value| value.as_str().into_owned());
        assert_eq!(value("app.first").as_deref(), Some("scan outer"));
        assert_eq!(value("app.both").as_deref(), Some(both), "{name}");
    }
}

#[test]
fn a_source_is_not_called_for_calls_that_are_not_sampled() {
    let capture = Capture::builder()
        .compact_records()
        .sampler(Sampler::AlwaysOff)
        .build();
    let kept = Arc::new(Kept::default());
    capture.run(|| {
        let source = SharedAttributes::from_source(Arc::clone(&kept) as Arc<dyn AttributeSource>);
        let _attached = source.on(&Context::current()).attach();
        get("novels");
        assert!(!Context::current().has_active_span());
    });
    assert!(kept.starts.lock().expect("no test panics here").is_empty());
}
