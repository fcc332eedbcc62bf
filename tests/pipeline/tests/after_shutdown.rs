//! Annotated calls after the shutdown of an installed pipeline: each is counted once, as what it would
//! have been, and nothing else is done for it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use percolate_core::otel::testing::{MetricCallback, Metrics};
use percolate_core::otel::{
    Environment, Exporter, RunningCall, Sampler, Telemetry, TelemetryBuilder, TelemetryGuard,
    TelemetryStatus, db_site, operation,
};
use percolate_core::{background_job, db_op};

const SOON: Duration = Duration::from_secs(20);

/// The threads that make calls during a shutdown.
const THREADS: u64 = 4;

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

#[db_op(scan, cf)]
fn scan(cf: &str) -> impl Iterator<Item = usize> {
    (0..cf.len()).filter(|row| row % 2 == 0)
}

#[db_op(put, cf)]
async fn put(cf: &str) -> Result<(), String> {
    std::future::pending::<()>().await;
    Err(cf.to_owned())
}

#[db_op(delete, cf)]
async fn delete(cf: &str) -> Result<(), String> {
    Err(cf.to_owned())
}

#[background_job(index.build, target = "hnsw")]
fn build() {
    get("inside a job");
}

db_site!(static READ = "read", system = "shelf");

fn read() -> RunningCall {
    operation(READ).collection("books").start()
}

/// The calls that [`make`] makes.
const CALLS: u64 = 10;

/// Makes calls of every kind.
fn make() {
    assert_eq!(get("articles"), Some(8));
    assert_eq!(scan("articles").count(), 4);
    let mut task = TaskContext::from_waker(Waker::noop());
    assert!(
        pin!(put("articles")).poll(&mut task).is_pending(),
        "it is dropped before its end"
    );
    assert!(matches!(
        pin!(delete("articles")).poll(&mut task),
        Poll::Ready(Err(_))
    ));
    build();
    let mut reading = read();
    reading.in_scope(|| get("inside a call"));
    reading.finish();
    thread::spawn(|| get("on a thread"))
        .join()
        .expect("it ends");
    assert!(std::panic::catch_unwind(panicking).is_err());
}

#[db_op(get, collection = "broken")]
fn panicking() {
    std::panic::resume_unwind(Box::new(()));
}

/// Held by each test, because one pipeline at a time can be installed.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn builder() -> TelemetryBuilder {
    Telemetry::builder()
        .environment(Environment::empty())
        .install_subscriber(false)
        .traces([Exporter::Console])
        .metrics([Exporter::Console])
        .console_writer(std::io::sink())
}

fn install(sampler: Sampler) -> TelemetryGuard {
    let guard = builder().sampler(sampler).install();
    guard.expect("no other is installed")
}

/// Checks that the calls after the shutdown are counted, and that everything adds up.
#[track_caller]
fn check(status: &TelemetryStatus, calls: u64, spans: u64) {
    check_sums(status);
    assert_eq!(status.calls_after_shutdown, calls, "{status:#?}");
    assert_eq!(status.dropped_records_after_shutdown, spans, "{status:#?}");
    assert_eq!(status.lost_spans(), spans, "{status:#?}");
}

#[track_caller]
fn check_sums(status: &TelemetryStatus) {
    let lost = status.dropped_records + status.dropped_records_after_shutdown;
    for exporter in &status.traces {
        let total = exporter.counts.total() + lost;
        assert_eq!(total, status.recorded_spans, "{status:#?}");
    }
}

#[test]
fn every_kind_of_call_is_counted() {
    let _alone = alone();
    let guard = install(Sampler::AlwaysOn);
    make();
    assert_eq!(guard.status().calls_after_shutdown, 0);
    guard.shutdown(SOON).expect("it ends");
    let status = guard.status();
    assert_eq!(status.recorded_spans, CALLS);
    check(&status, 0, 0);
    assert_eq!(status.describe_lost_spans(), None);
    for round in 1..=3 {
        make();
        check(&guard.status(), round * CALLS, round * CALLS);
    }
    let losses = guard.status().describe_lost_spans();
    let expected = format!("{} of calls after the shutdown", 3 * CALLS);
    assert_eq!(losses, Some(expected));
}

#[test]
fn calls_without_a_span_are_counted_as_calls() {
    let _alone = alone();
    let guard = install(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    make();
    guard.shutdown(SOON).expect("it ends");
    make();
    check(&guard.status(), CALLS, 0);

    // The parent decides, as it does before the shutdown.
    for (flags, spans) in [(TraceFlags::SAMPLED, 1), (TraceFlags::NOT_SAMPLED, 0)] {
        let before = guard.status();
        let parent = SpanContext::new(
            TraceId::from(7_u128),
            SpanId::from(9_u64),
            flags,
            true,
            TraceState::default(),
        );
        let _current = Context::new().with_remote_span_context(parent).attach();
        get("articles");
        let calls = before.calls_after_shutdown + 1;
        let spans = before.dropped_records_after_shutdown + spans;
        check(&guard.status(), calls, spans);
    }

    // A call in an exporter is no call of the program.
    let before = guard.status().calls_after_shutdown;
    let suppressed = Context::enter_telemetry_suppressed_scope();
    make();
    drop(suppressed);
    let counted = guard.status().calls_after_shutdown - before;
    assert_eq!(counted, 1, "only the one on a thread of its own");
}

#[test]
fn the_share_of_sampled_calls_is_that_of_the_sampler() {
    let _alone = alone();
    let guard = install(Sampler::TraceIdRatio(0.5));
    guard.shutdown(SOON).expect("it ends");
    for _ in 0..1000 {
        get("articles");
    }
    let status = guard.status();
    let spans = status.dropped_records_after_shutdown;
    assert!((300..700).contains(&spans), "{spans}");
    check(&status, 1000, spans);
}

#[test]
fn a_pipeline_without_spans_counts_no_spans() {
    let _alone = alone();
    let guard = builder().traces([Exporter::None]).install();
    let guard = guard.expect("no other is installed");
    guard.shutdown(SOON).expect("it ends");
    make();
    check(&guard.status(), CALLS, 0);
}

#[test]
fn a_call_that_ends_after_the_shutdown_is_counted() {
    let _alone = alone();
    for (sampler, spans) in [(Sampler::AlwaysOn, 1), (Sampler::AlwaysOff, 0)] {
        let guard = install(sampler);
        let reading = read();
        guard.shutdown(SOON).expect("it ends");
        check(&guard.status(), 0, 0);
        reading.finish();
        check(&guard.status(), 1, spans);
        // In a scope, calls still reach it.
        let scope = guard.enter();
        thread::scope(|threads| {
            threads.spawn(|| get("outside of the scope"));
        });
        get("articles");
        drop(scope);
        check(&guard.status(), 3, 3 * spans);
    }
}

#[test]
fn another_pipeline_has_counts_of_its_own() {
    let _alone = alone();
    let first = install(Sampler::AlwaysOn);
    make();
    first.shutdown(SOON).expect("it ends");
    make();
    let second = install(Sampler::AlwaysOn);
    assert_eq!(Telemetry::calls_after_shutdown(), 0, "one is installed");
    check(&second.status(), 0, 0);
    make();
    check(&first.status(), CALLS, CALLS);
    second.shutdown(SOON).expect("it ends");
    assert_eq!(second.status().recorded_spans, CALLS);
    check(&second.status(), 0, 0);
    get("articles");
    check(&second.status(), 1, 1);
    check(&first.status(), CALLS, CALLS);

    // A pipeline that was never installed is not responsible for these calls.
    let built = builder().build().expect("it starts");
    built.shutdown(SOON).expect("it ends");
    make();
    check(&built.status(), 0, 0);
    check(&second.status(), CALLS + 1, CALLS + 1);
}

#[test]
fn calls_after_the_guard_was_dropped_are_counted() {
    let _alone = alone();
    let guard = install(Sampler::AlwaysOff);
    make();
    assert_eq!(Telemetry::calls_after_shutdown(), 0);
    drop(guard);
    make();
    assert_eq!(Telemetry::calls_after_shutdown(), CALLS);
    let disabled: Environment = [("OTEL_SDK_DISABLED", "true")].into_iter().collect();
    let guard = builder().environment(disabled).install();
    drop(guard.expect("no other is installed"));
    assert_eq!(
        Telemetry::calls_after_shutdown(),
        CALLS,
        "a disabled pipeline has no calls"
    );
}

#[test]
fn a_call_is_in_the_metrics_or_after_the_shutdown() {
    let _alone = alone();
    let exported = Arc::<Mutex<Metrics>>::default();
    let newest = Arc::clone(&exported);
    let exporter = MetricCallback::new(move |metrics| {
        let mut newest = newest.lock().expect("nothing panics");
        *newest = Metrics::from_sdk(metrics);
    });
    let guard = builder().metrics([]).metric_exporter(exporter).install();
    let guard = guard.expect("no other is installed");
    let (made, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    get("articles");
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let wait_for_more = || {
            let before = made.load(Ordering::Relaxed);
            while made.load(Ordering::Relaxed) < before + 1000 {
                thread::yield_now();
            }
        };
        wait_for_more();
        guard.shutdown(SOON).expect("it ends");
        wait_for_more();
        is_over.store(true, Ordering::Relaxed);
    });
    let made = made.into_inner();
    let measured = exported
        .lock()
        .expect("nothing panics")
        .count("db.client.operation.duration", &[]);
    let status = guard.status();
    let later = status.calls_after_shutdown;
    assert!(measured > 0 && later > 0, "{measured} and {later}");
    // A thread may be measuring a call at the moment of the last collection.
    let missing = made - measured - later;
    assert!(missing <= THREADS, "{made}, {measured}, {later}");
    // Spans are exact. Some may have found the buffer full.
    assert_eq!(status.recorded_spans, made);
    check_sums(&status);
}
