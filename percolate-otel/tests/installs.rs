//! What a pipeline keeps after its shutdown. The allocator of this binary counts the bytes of all
//! threads, so it contains nothing else.
#![cfg(all(feature = "pipeline", feature = "testing"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use percolate_otel::testing::MetricCallback;
use percolate_otel::{Exporter, Telemetry, TelemetryBuilder, background_job, db_op};

static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

fn count(change: usize, sign: i64) {
    let change = i64::try_from(change).unwrap_or(i64::MAX);
    LIVE.fetch_add(sign * change, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator; counting changes an atomic number.
#[expect(unsafe_code, reason = "only an allocator can count bytes")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the promise of the caller is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the promise of the caller is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that a pipeline with two call sites keeps. `docs/reliability.md` states it.
const KEPT: i64 = 24 << 10;
const INSTALLS: i64 = 20;

/// Accepts everything and drops it.
#[derive(Debug)]
struct Forget;

impl SpanExporter for Forget {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

#[db_op(get, table, system = "shelf", rows = |found| found.as_slice().len())]
fn read(table: &str) -> Vec<u8> {
    vec![1, 2]
}

#[background_job(index.build, target = "hnsw")]
fn build() {}

/// A pipeline whose durations the runtime aggregates.
fn own_aggregation() -> TelemetryBuilder {
    Telemetry::builder()
        .metrics([Exporter::Console])
        .traces([Exporter::Console])
        .console_writer(std::io::sink())
}

/// A pipeline whose durations the SDK aggregates, because the exporter is the program's.
fn sdk_aggregation() -> TelemetryBuilder {
    Telemetry::builder()
        .metrics([])
        .traces([])
        .span_exporter(Forget)
        .metric_exporter(MetricCallback::new(|_| {}))
}

fn install_and_shut_down(builder: TelemetryBuilder) {
    let guard = builder.install().expect("it installs");
    assert_eq!(read("articles").len(), 2);
    build();
    guard.shutdown(Duration::from_secs(10)).expect("it ends");
    call_after_the_shutdown();
}

/// Calls after the shutdown are counted, which takes no memory for each of them.
fn call_after_the_shutdown() {
    for _ in 0..1000 {
        assert_eq!(read("articles").len(), 2);
    }
    // Other names would be further series.
    for shelf in 0..100 {
        read(&format!("shelf {shelf}"));
    }
    build();
    assert_eq!(Telemetry::calls_after_shutdown(), 1101);
}

/// Returns the bytes that each of some installations keeps. Threads that end may need a moment to
/// free what they had.
fn kept_by_each(builder: fn() -> TelemetryBuilder) -> i64 {
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..INSTALLS {
        install_and_shut_down(builder());
    }
    let begin = Instant::now();
    loop {
        let kept = (LIVE.load(Ordering::Relaxed) - before) / INSTALLS;
        if kept <= KEPT || begin.elapsed() > Duration::from_secs(5) {
            return kept;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn installing_again_and_again_keeps_little() {
    for builder in [own_aggregation, sdk_aggregation] {
        // The first installations fill what the process has once.
        kept_by_each(builder);
        let kept = kept_by_each(builder);
        assert!(kept <= KEPT, "each installation keeps {kept} bytes");
    }
}
