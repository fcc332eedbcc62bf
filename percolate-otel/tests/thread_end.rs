//! Calls in destructors of thread-local values, which an application makes to flush a buffer. They
//! are measured and have no span. A panic in such a destructor aborts the process.
#![cfg(feature = "pipeline")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::Duration;

use percolate_otel::runtime::{
    self, CallRecord, MeterProviderHandle, OwnAggregation, RecordSink, Runtime, RuntimeConfig,
};
use percolate_otel::{
    QueueWait, TraceContext, attach_trace_context, background_job, carry, current_trace_ids, db_op,
    inject, record,
};

static RECORDED: AtomicUsize = AtomicUsize::new(0);

/// Counts the records of sampled calls.
#[derive(Debug)]
struct Counting;

impl RecordSink for Counting {
    fn tick(&mut self) {}

    fn deliver(&mut self, records: Vec<CallRecord>) {
        RECORDED.fetch_add(records.len(), Ordering::SeqCst);
    }
}

#[db_op(put, table, system = "shelf", fields(app.tier = 1))]
fn put(table: &str) {
    record!(app.tier = 2);
    tracing::info!("inside");
    flush(table);
}

#[background_job(wal.flush, table, parent = link)]
fn flush(table: &str) {}

#[db_op(get, table, system = "shelf")]
async fn get(table: &str) -> Result<(), String> {
    Err("gone".to_owned())
}

/// Uses everything that reads or changes the state of its thread.
fn use_everything() {
    put("books");
    let mut task = TaskContext::from_waker(Waker::noop());
    assert_eq!(
        pin!(get("books")).poll(&mut task),
        Poll::Ready(Err("gone".to_owned()))
    );
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse();
    let guard = attach_trace_context(context.ok());
    put("books");
    drop(guard);
    let mut headers = HashMap::new();
    inject(&mut headers);
    _ = (TraceContext::current_with_baggage(), current_trace_ids());
    carry(|| put("books"))();
    QueueWait::begin("books").end();
}

/// Does so when its thread ends.
struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        use_everything();
        ENDED.fetch_add(1, Ordering::SeqCst);
    }
}

static ENDED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    static OTHER: Cell<u8> = const { Cell::new(0) };
}

fn end_a_thread(before: fn()) {
    let ended = ENDED.load(Ordering::SeqCst);
    let thread = thread::spawn(move || {
        // Before the first call, so that it is dropped after what the call has created.
        AT_THE_END.set(Some(AtTheEnd));
        before();
        OTHER.set(1);
    });
    thread.join().expect("the thread does not panic");
    assert_eq!(ENDED.load(Ordering::SeqCst), ended + 1);
}

/// The number of measured calls and waits.
fn measured(runtime: &Runtime) -> u64 {
    let histograms = runtime.collect_histograms(0);
    let points = histograms
        .iter()
        .filter(|it| it.unit == "s")
        .flat_map(|it| &it.points);
    points.map(|point| point.count).sum()
}

#[test]
fn calls_at_the_end_of_a_thread_are_measured_and_have_no_span() {
    let runtime = Runtime::build(RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(
            opentelemetry_sdk::metrics::SdkMeterProvider::builder().build(),
        )),
        own_aggregation: Some(OwnAggregation::default()),
        sink: Some(Box::new(Counting)),
        span_events: true,
        slow: Some(Duration::ZERO),
        ..RuntimeConfig::default()
    })
    .expect("a thread can be started");
    runtime::install(runtime).expect("no other is installed");
    let recorded = || {
        assert!(runtime.flush(Duration::from_mins(1)));
        RECORDED.swap(0, Ordering::SeqCst)
    };
    // On a thread that goes on: three times `put` with a job inside, and `get`; and the wait.
    use_everything();
    let (calls, wait) = (7, 1);
    assert_eq!((recorded(), measured(runtime)), (7, calls + wait));

    // The thread's last calls are measured. Those before had spans.
    end_a_thread(use_everything);
    assert_eq!((recorded(), measured(runtime)), (7, 3 * (calls + wait)));

    // A thread whose first call is one of them can still have spans.
    end_a_thread(|| {});
    assert_eq!(measured(runtime), 4 * (calls + wait));
    recorded();

    // After a shutdown, they are counted. Without a runtime, they do nothing.
    let counted = || {
        (
            recorded(),
            measured(runtime),
            runtime.calls_after_shutdown(),
        )
    };
    runtime::end(runtime);
    end_a_thread(use_everything);
    assert_eq!(counted(), (0, 4 * (calls + wait), 2 * calls));
    runtime::install(runtime).expect("no other is installed");
    runtime::uninstall(runtime);
    end_a_thread(use_everything);
    assert_eq!(counted(), (0, 4 * (calls + wait), 2 * calls));
}
