use std::io;

use super::*;
use crate::testing::{ABSENT, Capture, Spans};
use crate::{LinkTarget, Observed, ObservedStream, Sampler, assert_span, background_job, db_op};

crate::db_site!(static SCAN = "scan", system = "shelf", fields = ["app.tenant"]);
crate::db_site!(static PUT = "put", system = "shelf");
crate::job_site!(static WARM = "cache.warm");

type Row = Result<u64, io::Error>;

fn rows() -> Vec<Row> {
    vec![Ok(1), Err(io::ErrorKind::NotFound.into()), Ok(2)]
}

#[db_op(get, "inner", system = "shelf")]
fn inner() {}

fn spans_of(work: impl FnOnce()) -> Spans {
    let capture = Capture::new();
    capture.run(work);
    capture.spans()
}

#[test]
fn a_call_by_hand_is_equal_to_an_annotated_one() {
    #[db_op(scan, table, namespace = "demo", server_address = "db.example", system = "shelf",
        parent = root, rows = |()| 3, affected_rows = 4, fields(app.tenant = "t1"))]
    fn annotated(table: &str) -> Result<(), io::Error> {
        inner();
        Ok(())
    }
    fn by_hand(table: &str) {
        let mut call = operation(SCAN)
            .collection(table)
            .namespace("demo")
            .server_address("db.example")
            .parent(Parent::Root)
            .field("app.tenant", "t1")
            .start();
        call.in_scope(inner);
        call.row();
        call.rows(2);
        call.affected_rows(4);
        call.finish();
    }
    let capture = Capture::new();
    capture.run(|| {
        annotated("annotated").expect("it succeeds");
        by_hand("by hand");
    });
    let spans = capture.spans();
    let (one, other) = (spans.span("scan annotated"), spans.span("scan by hand"));
    assert_eq!(one.kind(), other.kind());
    let without_name = |span: &crate::testing::CapturedSpan| {
        let attributes = span.data().attributes.iter();
        let mut kept: Vec<_> = attributes
            .filter(|pair| pair.key.as_str() != "db.collection.name")
            .cloned()
            .collect();
        kept.sort_by(|a, b| a.key.cmp(&b.key));
        kept
    };
    assert_eq!(without_name(one), without_name(other));
    assert_eq!(spans.children_of(one).len(), 1);
    assert_eq!(spans.children_of(other).len(), 1);
    let metrics = capture.metrics();
    for table in ["annotated", "by hand"] {
        for metric in [
            "db.client.operation.duration",
            "db.client.response.returned_rows",
        ] {
            assert_eq!(
                metrics.count(metric, &[("db.collection.name", table)]),
                1,
                "{metric}"
            );
        }
    }
}

#[test]
fn a_job_by_hand_has_its_status() {
    #[background_job("cache.warm", "annotated")]
    fn annotated() -> Result<(), io::Error> {
        Err(io::ErrorKind::NotFound.into())
    }
    let spans = spans_of(|| {
        annotated().expect_err("it fails");
        let mut job = operation(WARM).target("failed").start();
        job.fail(&io::Error::from(io::ErrorKind::NotFound));
        job.fail("a later failure");
        job.finish();
        let mut job = operation(WARM).target("partial").batch_size(1).start();
        job.job_status(JobStatus::Partial);
        job.finish();
        drop(
            operation(WARM)
                .named("cache.clear")
                .target("dropped")
                .start(),
        );
    });
    for target in ["annotated", "failed"] {
        assert_span!(spans, &format!("cache.warm {target}"), kind: Internal, error: true,
            "job.status" = "failed", "error.type" = "NotFound");
    }
    assert_span!(spans, "cache.warm partial", error: false, "job.status" = "partial",
        "job.batch_size" = 1);
    assert_span!(spans, "cache.clear dropped", error: false, "job.status" = "cancelled",
        "job.type" = "cache.clear");
}

#[test]
fn a_call_that_is_dropped_is_cancelled_and_a_cursor_is_not() {
    let spans = spans_of(|| {
        drop(operation(PUT).collection("dropped").start());
        let mut failed = operation(PUT).collection("failed").start();
        failed.fail("Full");
        drop(failed);
        let mut cursor = operation(SCAN).collection("cursor").start_cursor();
        cursor.row();
        drop(cursor);
        let caught = std::panic::catch_unwind(|| {
            let _call = operation(PUT).collection("panicked").start();
            panic!("the body");
        });
        assert!(caught.is_err());
    });
    assert_span!(spans, "put dropped", error: true, "error.type" = "cancelled");
    assert_span!(spans, "put failed", error: true, "error.type" = "Full");
    assert_span!(spans, "scan cursor", error: false, "db.response.returned_rows" = 1);
    assert_span!(spans, "put panicked", error: true, "error.type" = "panic");
}

#[test]
fn an_observed_iterator_counts_rows_and_reports_the_first_error() {
    let start = |table| operation(SCAN).collection(table).start_cursor();
    let spans = spans_of(|| {
        let all = rows().into_iter().inspect(|_| inner());
        assert_eq!(Observed::new(start("all"), all).count(), 3);
        let mut early = Observed::infallible(start("early"), 0..5);
        assert_eq!(
            (early.len(), early.next(), early.next_back()),
            (5, Some(0), Some(4))
        );
        assert_eq!(early.inner_mut().nth(1), Some(2));
        drop(early);
        let named = Observed::with_errors(start("named"), rows().into_iter(), |row| {
            row.as_ref().err().map(|error| crate::error_info!(error))
        });
        assert_eq!(named.count(), 3);
    });
    let all = assert_span!(spans, "scan all", error: true, "error.type" = "NotFound",
        "db.response.returned_rows" = 2);
    assert_eq!(spans.children_of(all).len(), 3);
    assert_span!(spans, "scan early", error: false, "db.response.returned_rows" = 2);
    assert_span!(spans, "scan named", error: true, "error.type" = "NotFound");
}

#[test]
fn a_future_and_a_stream_run_inside_their_call() {
    struct Rows(std::vec::IntoIter<Row>);
    impl futures_core::Stream for Rows {
        type Item = Row;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Row>> {
            inner();
            std::task::Poll::Ready(self.0.next())
        }
    }
    let capture = Capture::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(capture.instrument(async {
        let call = operation(PUT).collection("future").start();
        let (mut call, value) = call
            .run(async {
                tokio::task::yield_now().await;
                inner();
                7
            })
            .await;
        call.affected_rows(value);
        call.finish();
        let call = operation(SCAN).collection("stream").start_cursor();
        let mut rows = Box::pin(ObservedStream::new(call, Rows(rows().into_iter())));
        let next = |rows: &mut std::pin::Pin<Box<ObservedStream<Rows>>>| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            futures_core::Stream::poll_next(rows.as_mut(), &mut context)
        };
        for _ in 0..4 {
            assert!(next(&mut rows).is_ready());
        }
    }));
    let spans = capture.spans();
    let future = assert_span!(spans, "put future", "db.response.affected_rows" = 7);
    assert_eq!(spans.children_of(future).len(), 1);
    let stream = assert_span!(spans, "scan stream", error: true, "db.response.returned_rows" = 2);
    assert_eq!(spans.children_of(stream).len(), 4);
}

#[test]
fn fields_that_are_not_declared_and_names_that_are_malformed_are_refused() {
    let spans = spans_of(|| {
        operation(PUT)
            .collection("a")
            .field("app.tenant", 1)
            .start()
            .finish();
    });
    assert_span!(spans, "put a", "app.tenant" = ABSENT);
    for name in ["scan", "range_delete", "BATCH put", "a.b-c"] {
        assert!(is_words(name.as_bytes(), b"_.- "), "{name}");
    }
    for name in ["", " ", "a  b", "_a", "a_", "1a", "a/b", "é"] {
        assert!(!is_words(name.as_bytes(), b"_.- "), "{name}");
    }
}

crate::job_site!(static MERGE = "segment.merge", fields = ["app.reason"], late = ["app.segments", "app.size"]);

#[test]
fn a_call_has_the_times_and_the_late_attributes_that_are_reported_afterwards() {
    let began = std::time::Instant::now();
    let ended = began + std::time::Duration::from_secs(90);
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        capture.run(|| {
            let mut job = operation(MERGE)
                .target("articles")
                .field("app.reason", "full")
                .started_at(began)
                .start();
            job.record("app.segments", 3);
            job.record("app.segments", 4);
            job.record("app.reason", "not a late one");
            job.record("app.unknown", 1);
            job.finish_at(ended);
        });
        let spans = capture.spans();
        assert_span!(spans, "segment.merge articles", error: false, "app.reason" = "full",
            "app.segments" = 4, "app.size" = ABSENT, "job.duration_ms" = 90_000,
            "job.status" = "success");
        let metrics = capture.metrics();
        let sum = metrics.sum("job.duration", &[]);
        assert!((sum - 90.0).abs() < 0.001, "{sum}");
        assert!(metrics.sum("job.active", &[]).abs() < f64::EPSILON);
    }
    // percolate's own pipeline exports the times as reported.
    let capture = Capture::builder().compact_records().build();
    capture.run(|| operation(MERGE).started_at(began).start().finish_at(ended));
    let spans = capture.spans();
    let span = spans.span("segment.merge").data();
    let took = span.end_time.duration_since(span.start_time);
    assert!(took.is_ok_and(|took| took.as_secs() == 90), "{span:?}");
    let ago = std::time::SystemTime::now().duration_since(span.start_time);
    assert!(
        ago.is_ok_and(|ago| ago < std::time::Duration::from_secs(30)),
        "{span:?}"
    );
}

#[test]
fn an_unsampled_call_is_measured_with_the_reported_times() {
    let began = std::time::Instant::now();
    let ended = began + std::time::Duration::from_secs(90);
    let capture = Capture::builder()
        .sampler(crate::Sampler::AlwaysOff)
        .compact_records()
        .build();
    capture.run(|| {
        let mut job = operation(MERGE).started_at(began).start();
        job.record("app.segments", 3);
        job.finish_at(ended);
    });
    assert_eq!(capture.spans().iter().count(), 0);
    let sum = capture.metrics().sum("job.duration", &[]);
    assert!((sum - 90.0).abs() < 0.001, "{sum}");
}

#[test]
fn a_site_is_observed_inside_a_capture() {
    assert!(!MERGE.is_observed());
    Capture::new().run(|| assert!(MERGE.is_observed()));
}

#[test]
fn a_site_of_several_systems_has_the_system_of_the_call() {
    let capture = Capture::new();
    capture.run(|| {
        let sql = "SELECT \"name\" FROM users";
        for system in ["mysql", "postgresql", ""] {
            let call = operation(SCAN).collection("users").system(system);
            call.query_text(sql).start().finish();
        }
    });
    let text = |span: &crate::testing::CapturedSpan, name: &str| {
        let value = span.attribute(name);
        value.map(ToString::to_string).unwrap_or_default()
    };
    let found: Vec<_> = capture
        .spans()
        .iter()
        .map(|span| (text(span, "db.system.name"), text(span, "db.query.text")))
        .collect();
    let expected = [
        ("mysql", "SELECT ? FROM users"),
        ("postgresql", "SELECT \"name\" FROM users"),
        // An empty name does not replace the one of the site.
        ("shelf", "SELECT ? FROM users"),
    ];
    let expected = expected.map(|(system, text)| (system.to_owned(), text.to_owned()));
    assert_eq!(found, expected);
    for system in ["mysql", "postgresql", "shelf"] {
        let attributes = [("db.system.name", system)];
        let metrics = capture.metrics();
        assert_eq!(
            metrics.count("db.client.operation.duration", &attributes),
            1
        );
    }
}

/// Runs two jobs as targets, of which one has a link, and returns their spans and those targets.
fn of_targets(sampler: Sampler) -> (Spans, [LinkTarget; 2]) {
    let capture = Capture::builder()
        .compact_records()
        .sampler(sampler)
        .build();
    let targets = [LinkTarget::new(), LinkTarget::new()];
    capture.run(|| {
        for (target, name) in targets.iter().zip(["linked", "alone"]) {
            let mut job = operation(WARM)
                .target(name)
                .link_target(target.clone())
                .start();
            job.in_scope(inner);
            if name == "linked" {
                assert!(target.link().is_some());
            }
            job.finish();
        }
    });
    let metrics = capture.metrics();
    assert_eq!(
        metrics.count("job.duration", &[("job.type", "cache.warm")]),
        2
    );
    assert!(metrics.sum("job.active", &[]).abs() < f64::EPSILON);
    (capture.spans(), targets)
}

#[test]
fn a_link_target_is_recorded_if_it_is_sampled_or_linked() {
    let ids = |target: &LinkTarget| {
        let link = target.link().expect("it is recorded");
        (link.trace_id(), link.span_id())
    };
    let of = |spans: &Spans, name: &str| {
        let span = spans.span(name);
        assert_eq!(span.parent_id(), None);
        (span.trace_id(), span.id())
    };
    let (spans, [linked, alone]) = of_targets(Sampler::AlwaysOn);
    assert_eq!(of(&spans, "cache.warm linked"), ids(&linked));
    assert_eq!(of(&spans, "cache.warm alone"), ids(&alone));
    assert_eq!(spans.all("get inner").len(), 2);

    let (spans, [linked, alone]) = of_targets(Sampler::AlwaysOff);
    assert_eq!(of(&spans, "cache.warm linked"), ids(&linked));
    assert_eq!(spans.len(), 1, "neither the other one nor calls inside");
    assert_eq!(alone.link(), None);
}

#[test]
fn a_link_target_that_no_pipeline_of_percolate_records_has_no_link() {
    let target = LinkTarget::new();
    operation(WARM).link_target(target.clone()).start().finish();
    assert_eq!(target.link(), None);
    // A foreign set-up chooses ids of its own.
    let target = LinkTarget::new();
    let capture = Capture::new();
    capture.run(|| {
        operation(WARM)
            .target("foreign")
            .link_target(target.clone())
            .start()
            .finish();
    });
    assert_eq!(target.link(), None);
    assert_eq!(capture.spans().span("cache.warm foreign").parent_id(), None);
}
