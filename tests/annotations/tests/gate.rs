//! The gate: which calls are recorded, and that the others create no span and do not allocate.
//!
//! The tests count allocations per thread and finished spans; they measure no time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample, SpanData};
use percolate_otel::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig, Sampler};
use percolate_otel::testing::{Capture, FinishedSpans};
use percolate_otel::{Carry as _, carry};
use percolate_otel::{background_job, db_op};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract of the trait, which is the one of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of the trait, which is the one of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the allocations of a hundred calls, after ten calls that may initialise caches.
fn allocations(call: impl Fn()) -> u64 {
    for _ in 0..10 {
        call();
    }
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        call();
    }
    ALLOCATIONS.get() - before
}

/// A runtime with metrics and spans, scoped to the thread of the test.
struct Scoped {
    spans: FinishedSpans,
    runtime: &'static Runtime,
    _scope: runtime::ScopeGuard,
}

fn scoped(sampler: Sampler) -> Scoped {
    let spans = FinishedSpans::default();
    let runtime = Runtime::build(RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(
            SdkMeterProvider::builder().build(),
        )),
        sampler,
        sink: runtime::sdk_sink(vec![Arc::new(spans.clone())]),
        ..RuntimeConfig::default()
    })
    .expect("threads start");
    Scoped {
        spans,
        runtime,
        _scope: runtime::scope(Some(runtime)),
    }
}

impl Scoped {
    fn spans(&self) -> Vec<SpanData> {
        assert!(
            self.runtime.flush(Duration::from_secs(10)),
            "the flush timed out"
        );
        self.spans.get()
    }

    fn names(&self) -> Vec<String> {
        self.spans()
            .iter()
            .map(|span| span.name.to_string())
            .collect()
    }
}

fn remote(flags: TraceFlags) -> ContextGuard {
    let parent = SpanContext::new(
        TraceId::from(7),
        SpanId::from(9),
        flags,
        true,
        TraceState::default(),
    );
    Context::current().with_remote_span_context(parent).attach()
}

#[db_op(get, collection, namespace = "library", system = "rocksdb")]
fn get(collection: &str, found: bool) -> Option<u64> {
    found.then_some(1)
}

#[db_op(query, collection, fields(app.tier = expensive()), system = "rocksdb")]
fn query(collection: &str) -> Vec<u64> {
    vec![]
}

thread_local! {
    static EVALUATED: Cell<u64> = const { Cell::new(0) };
}

fn expensive() -> &'static str {
    EVALUATED.set(EVALUATED.get() + 1);
    "hot"
}

#[db_op(scan, collection, system = "rocksdb")]
fn scan(collection: &str) -> usize {
    let _foreign = tracing::info_span!("foreign").entered();
    get(collection, true).map_or(0, |_| 1)
}

#[db_op(get, collection, system = "rocksdb")]
async fn get_later(collection: &str) -> Option<u64> {
    tokio::task::yield_now().await;
    get(collection, true)
}

#[background_job(index.build, collection)]
async fn build(collection: &str) {
    get_later(collection).await;
    let collection = collection.to_owned();
    _ = tokio::spawn(async move { get(&collection, true) }.carry()).await;
}

#[test]
fn nothing_installed_allocates_nothing() {
    assert_eq!(allocations(|| _ = get("articles", true)), 0);
}

#[test]
fn under_an_unsampled_remote_parent_no_span_is_created_and_nothing_is_allocated() {
    let scoped = scoped(Sampler::default());
    let _parent = remote(TraceFlags::default());
    assert_eq!(allocations(|| _ = get("articles", true)), 0);
    assert_eq!(scoped.spans(), []);
}

#[test]
fn an_unsampled_root_and_the_calls_inside_create_no_span_and_allocate_nothing() {
    let scoped = scoped(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    assert_eq!(allocations(|| _ = scan("articles")), 0);
    assert_eq!(scoped.spans(), []);
}

#[test]
fn a_suppressed_context_silences_spans_and_metrics() {
    let capture = Capture::builder().compact_records().build();
    capture.run(|| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        assert_eq!(allocations(|| _ = get("articles", true)), 0);
    });
    assert!(capture.spans().is_empty());
    assert_eq!(
        capture.metrics().count("db.client.operation.duration", &[]),
        0
    );
}

/// A sampler that refuses calls on `authors`, and itself makes a context current.
#[derive(Debug, Clone, Default)]
struct Custom(Arc<Mutex<Vec<String>>>);

impl ShouldSample for Custom {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let _attached = Context::current().attach();
        let has_parent = parent.is_some_and(Context::has_active_span);
        let mut keys: Vec<_> = attributes.iter().map(|own| own.key.as_str()).collect();
        keys.sort_unstable();
        let seen = format!(
            "{name} {kind:?} {has_parent} {} {}",
            links.len(),
            keys.join(" ")
        );
        self.0.lock().expect("no panic").push(seen);
        SamplingResult {
            decision: if name.ends_with("authors") {
                SamplingDecision::Drop
            } else {
                SamplingDecision::RecordAndSample
            },
            attributes: vec![
                KeyValue::new("app.rate", 0.5),
                KeyValue::new("db.namespace", "changed"),
            ],
            trace_state: TraceState::from_key_value([("rate", "2")]).expect("valid"),
        }
    }
}

#[test]
fn a_custom_sampler_sees_the_span_and_what_it_returns_is_kept() {
    let sampler = Custom::default();
    let seen = Arc::clone(&sampler.0);
    let scoped = scoped(Sampler::Custom(Box::new(sampler)));
    EVALUATED.set(0);
    get("articles", true);
    get("authors", true);
    query("articles");
    {
        let _parent = remote(TraceFlags::SAMPLED);
        get("articles", true);
        get("authors", true);
    }
    assert_eq!(EVALUATED.get(), 1);
    let names = "db.collection.name db.namespace db.operation.name db.system.name";
    let own = "app.tier db.collection.name db.operation.name db.system.name";
    assert_eq!(
        *seen.lock().expect("no panic"),
        [
            format!("get articles Client false 0 {names}"),
            format!("get authors Client false 0 {names}"),
            format!("query articles Client false 0 {own}"),
            format!("get articles Client true 0 {names}"),
            format!("get authors Client true 0 {names}"),
        ]
    );
    let spans = scoped.spans();
    assert_eq!(
        scoped.names(),
        ["get articles", "query articles", "get articles"]
    );
    for span in &spans {
        assert_eq!(span.span_context.trace_state().get("rate"), Some("2"));
        let values = |key: &str| {
            let found = span.attributes.iter().filter(|own| own.key.as_str() == key);
            found.map(|own| own.value.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(values("app.rate"), ["0.5"]);
        assert_eq!(values("db.namespace"), ["changed"]);
    }
}

#[test]
fn unsampled_calls_are_measured_exactly() {
    let capture = Capture::builder()
        .sampler(Sampler::AlwaysOff)
        .compact_records()
        .build();
    capture.run(|| (0..1000).for_each(|n| _ = get("articles", n % 4 == 0)));
    assert!(capture.spans().is_empty());
    let metrics = capture.metrics();
    let about = [
        ("db.operation.name", "get"),
        ("db.collection.name", "articles"),
        ("db.namespace", "library"),
    ];
    assert_eq!(metrics.count("db.client.operation.duration", &about), 1000);
    assert_eq!(
        metrics.count("db.client.response.returned_rows", &about),
        1000
    );
    assert!((metrics.sum("db.client.response.returned_rows", &about) - 250.0).abs() < f64::EPSILON);
}

#[test]
fn a_sampled_leaf_costs_a_bounded_number_of_allocations() {
    let scoped = scoped(Sampler::default());
    let _parent = remote(TraceFlags::SAMPLED);
    // Each call allocates its context; a few also allocate a buffer of records.
    let count = allocations(|| _ = get("articles", true));
    assert!((100..=110).contains(&count), "{count}");
    assert_eq!(scoped.spans().len(), 110);
}

#[test]
fn fields_are_evaluated_for_recorded_calls_only() {
    let scoped = scoped(Sampler::default());
    {
        let _parent = remote(TraceFlags::default());
        query("articles");
        assert_eq!(EVALUATED.get(), 0);
    }
    let _parent = remote(TraceFlags::SAMPLED);
    query("articles");
    assert_eq!(EVALUATED.get(), 1);
    assert_eq!(scoped.names(), ["query articles"]);
}

#[test]
fn a_foreign_span_that_is_not_exported_does_not_change_the_parent() {
    let scoped = scoped(Sampler::default());
    scan("articles");
    let spans = scoped.spans();
    let (inner, outer) = (&spans[0], &spans[1]);
    assert_eq!(
        (inner.name.as_ref(), outer.name.as_ref()),
        ("get articles", "scan articles")
    );
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
}

#[test]
fn a_foreign_span_that_is_exported_is_child_and_parent() {
    let capture = Capture::builder().compact_records().build();
    capture.run(|| _ = scan("articles"));
    capture.spans().assert_tree(
        "
        scan articles [client]
          foreign [internal]
            get articles [client]
        ",
    );
}

#[test]
fn an_error_is_measured_and_recorded_with_the_same_type() {
    #[db_op(put, collection, system = "rocksdb")]
    fn put(collection: &str) -> std::io::Result<()> {
        _ = collection;
        Err(std::io::ErrorKind::StorageFull.into())
    }
    let capture = Capture::builder().compact_records().build();
    capture.run(|| _ = put("articles"));
    let spans = capture.spans();
    let span = spans.span("put articles");
    assert!(span.is_error());
    let error_type = span
        .attribute("error.type")
        .expect("a failed call has an error type")
        .to_string();
    let about = [
        ("error.type", error_type.as_str()),
        ("db.operation.name", "put"),
    ];
    assert_eq!(
        capture
            .metrics()
            .count("db.client.operation.duration", &about),
        1
    );
}

#[test]
fn the_unsampled_state_follows_futures_across_threads_and_carried_work() {
    let scoped = scoped(Sampler::AlwaysOff);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("it starts");
    runtime.block_on(async {
        let jobs: Vec<_> = (0..50)
            .map(|_| tokio::spawn(build("articles").carry()))
            .collect();
        for job in jobs {
            job.await.expect("no job panics");
        }
    });
    assert_eq!(scoped.spans(), []);
    assert!(
        runtime::unsampled_root().is_none(),
        "the unsampled root is still current"
    );
}

#[test]
fn calls_inside_a_refused_future_are_not_children_of_the_span_that_is_current_when_it_is_polled() {
    let scoped = scoped(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    let mut later = std::pin::pin!(get_later("articles"));
    let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(later.as_mut().poll(&mut waker).is_pending());
    let _other = remote(TraceFlags::SAMPLED);
    assert!(later.poll(&mut waker).is_ready());
    assert_eq!(scoped.names(), Vec::<String>::new());
    _ = get("articles", true);
    assert_eq!(
        scoped.names(),
        ["get articles"],
        "the other trace is sampled"
    );
}

#[test]
fn sampled_futures_keep_their_parents_across_threads_and_carried_work() {
    let scoped = scoped(Sampler::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("it starts");
    runtime.block_on(build("articles").carry());
    let spans = scoped.spans();
    let find = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let build = find("index.build articles")[0];
    let gets = find("get articles");
    assert_eq!(gets.len(), 3);
    let direct = gets
        .iter()
        .filter(|get| get.parent_span_id == build.span_context.span_id())
        .count();
    assert_eq!(direct, 2, "the awaited call and the carried one");
    let later = gets.iter().find(|get| {
        gets.iter()
            .any(|other| other.parent_span_id == get.span_context.span_id())
    });
    assert!(
        later.is_some(),
        "the call inside the awaited one is its child"
    );
}

#[test]
fn the_sampler_ratio_is_kept_and_traces_are_complete() {
    let scoped = scoped(Sampler::ParentBased(Box::new(Sampler::TraceIdRatio(0.25))));
    for _ in 0..4000 {
        scan("articles");
    }
    let names = scoped.names();
    let (scans, gets) = names
        .iter()
        .partition::<Vec<_>, _>(|name| name.starts_with("scan"));
    assert_eq!(scans.len(), gets.len());
    assert!((800..1200).contains(&scans.len()), "{}", scans.len());
}

#[test]
fn records_of_ended_threads_are_not_lost() {
    let scoped = scoped(Sampler::default());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(carry(|| {
                for _ in 0..700 {
                    get("articles", true);
                }
            }))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    assert_eq!(
        scoped.spans().len() as u64 + scoped.runtime.dropped_spans(),
        8 * 700
    );
}

#[test]
fn records_of_an_idle_thread_are_exported_without_a_flush() {
    let scoped = scoped(Sampler::default());
    get("articles", true);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while scoped.spans.get().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "the record was not exported"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keeps the name of every `tracing` span with the names of its parents.
#[derive(Clone, Default)]
struct LocalSpans(Arc<std::sync::Mutex<Vec<String>>>);

impl<S> tracing_subscriber::Layer<S> for LocalSpans
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    fn on_new_span(
        &self,
        _: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let names: Vec<_> = context
            .span_scope(id)
            .into_iter()
            .flatten()
            .map(|span| span.name())
            .collect();
        let mut spans = self.0.lock().expect("no test panics here");
        spans.push(names.join(" < "));
    }
}

#[test]
fn layers_see_calls_that_are_not_sampled() {
    #[db_op(query, collection = none, system = "rocksdb")]
    fn outer() {
        get("articles", true);
    }
    #[db_op(scan, "articles", rows = stream, system = "rocksdb")]
    fn scan() -> impl Iterator<Item = u8> {
        (0..2).inspect(|_| _ = get("in a step", true))
    }
    let scoped = scoped(Sampler::AlwaysOff);
    let local = LocalSpans::default();
    let subscriber = tracing_subscriber::layer::SubscriberExt::with(
        tracing_subscriber::registry(),
        local.clone(),
    );
    let take = || std::mem::take(&mut *local.0.lock().expect("no test panics here"));
    tracing::subscriber::with_default(subscriber, || {
        outer();
        assert_eq!(take(), ["query", "get < query"]);
        scan().for_each(drop);
        assert_eq!(take(), ["scan", "get < scan", "get < scan"]);
        let _parent = remote(TraceFlags::NOT_SAMPLED);
        outer();
        assert_eq!(take(), ["query", "get < query"]);
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        outer();
        assert!(take().is_empty());
    });
    assert!(scoped.spans().is_empty());
}
