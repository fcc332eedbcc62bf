//! The allocations of the Layer: one for a checked span, none for other spans. The allocator of this binary counts, so it contains nothing else.

#[path = "../../percolate-core/tests/counting/mod.rs"]
mod counting;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use percolate_otel::ConventionLayer;
use percolate_otel::db_op;
use percolate_otel::testing::Capture;
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

const TIMES: u64 = 1000;

fn allocations(times: u64, mut body: impl FnMut()) -> u64 {
    // The first spans allocate call sites, thread-locals and slots of the registry.
    for _ in 0..100 {
        body();
    }
    counting::counted(|| (0..times).for_each(|_| body())).0
}

fn checked() {
    let span = tracing::info_span!(
        target: "percolate::db",
        "get",
        otel.name = "get articles",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = "articles",
        db.response.returned_rows = Empty,
        error.type = Empty
    );
    span.in_scope(|| ());
    span.record("db.response.returned_rows", 1_i64);
}

fn others() {
    tracing::info_span!("request", http.route = "/articles").in_scope(|| ());
}

#[test]
fn a_checked_span_costs_one_allocation_and_another_none() {
    let bare = tracing::subscriber::with_default(registry(), || {
        (allocations(TIMES, checked), allocations(TIMES, others))
    });
    let conventions = ConventionLayer::new();
    let subscriber = registry().with(conventions.layer());
    let layered = tracing::subscriber::with_default(subscriber, || {
        (allocations(TIMES, checked), allocations(TIMES, others))
    });
    assert!(
        layered.0 <= bare.0 + TIMES,
        "{} instead of {}",
        layered.0,
        bare.0
    );
    assert_eq!(layered.1, 0);
    assert!(conventions.report().spans >= TIMES);
}

#[db_op(get, cf, system = "rocksdb")]
fn get(cf: &str) -> Option<u32> {
    (!cf.is_empty()).then_some(7)
}

#[test]
fn a_call_that_is_not_sampled_is_checked_and_measured() {
    let capture = Capture::new();
    let parent = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(9_u64),
        TraceFlags::default(),
        true,
        TraceState::default(),
    );
    capture.run(|| {
        let _unsampled = Context::current().with_remote_span_context(parent).attach();
        for _ in 0..TIMES {
            assert_eq!(get("articles"), Some(7));
        }
    });
    assert_eq!(capture.report().spans, TIMES);
    assert!(capture.spans().is_empty());
    assert_eq!(
        capture.metrics().count("db.client.operation.duration", &[]),
        TIMES
    );
}

#[test]
fn a_finding_that_is_known_costs_nothing_more() {
    let conventions = ConventionLayer::new();
    let subscriber = registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || {
        let broken = || {
            drop(tracing::info_span!(
                "x",
                db.operation.name = "flush",
                db.odd = 1
            ));
        };
        assert!(allocations(TIMES, broken) <= TIMES);
    });
    assert!(
        conventions
            .report()
            .findings()
            .iter()
            .all(|finding| finding.count >= TIMES)
    );
}
