//! Exporters do not wait for each other: the report and the files on this machine have every span and
//! are complete in time, whatever the state of the collector.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use percolate_core::db_op;
use percolate_core::otel::{
    Environment, Exporter, Otlp, Telemetry, TelemetryBuilder, TelemetryGuard, TelemetryStatus,
};
use percolate_pipeline_tests::{Answer, Collector, dead_endpoint};

/// Far longer than any deadline below that is expected to pass.
const HANG: Duration = Duration::from_mins(1);
/// More than the queue of an exporter, and less than the buffer of records.
const CALLS: u64 = 6000;

#[db_op(get, cf)]
fn get(cf: &str) -> Result<(), std::io::Error> {
    if cf == "missing" {
        return Err(std::io::Error::other("no such table"));
    }
    Ok(())
}

fn pipeline(endpoint: String, folder: &Path) -> TelemetryBuilder {
    Telemetry::builder()
        .environment(Environment::empty())
        .otlp(Otlp::to(endpoint))
        .traces([Exporter::Otlp, Exporter::OtlpFile, Exporter::Chrome])
        .metrics([Exporter::Otlp, Exporter::OtlpFile])
        .file_folder(folder)
        .report(folder.join("report.html"))
}

/// An exporter of the program, which counts spans.
#[derive(Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len(), Ordering::AcqRel);
        Ok(())
    }
}

/// Makes calls, of which the last one fails.
fn calls(guard: &TelemetryGuard) {
    let _scope = guard.enter();
    for _ in 1..CALLS {
        _ = get("articles");
    }
    _ = get("missing");
}

/// Asserts that all exporters but the first one, which is that to the collector, have every span.
#[track_caller]
fn assert_local_have_all(status: &TelemetryStatus) {
    assert_eq!(status.traces.len(), 4, "{status:#?}");
    for exporter in &status.traces[1..] {
        assert_eq!(exporter.counts.exported, CALLS, "{status:#?}");
    }
    assert_eq!(status.dropped_records, 0, "{status:#?}");
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < HANG, "it takes too long");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn local_exporters_have_every_span_when_no_collector_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(dead_endpoint(), folder.path())
        .build()
        .expect("building does not connect");
    calls(&guard);
    guard
        .force_flush(Duration::from_secs(2))
        .expect_err("no listener");
    assert_local_have_all(&guard.status());
    guard
        .shutdown(Duration::from_secs(3))
        .expect_err("no listener");
    let page = fs::read_to_string(folder.path().join("report.html"));
    let page = page.expect("the page is written before the shutdown returns");
    assert!(page.contains(&format!("\"seen_spans\":{CALLS}")));
    assert!(page.contains("\"errors\":1"), "with the failed call");
    for name in ["traces.jsonl", "metrics.jsonl", "trace.json"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    let status = guard.status();
    assert_local_have_all(&status);
    let error = status.traces[0].counts.last_error.as_deref();
    assert!(
        error.is_some_and(|error| error.contains("refused")),
        "the last error is known when the shutdown returns: {status:#?}"
    );
}

#[test]
fn the_page_is_written_long_before_a_late_deadline() {
    let collector = Collector::grpc(Answer::After(HANG * 60));
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(collector.endpoint(), folder.path())
        .build()
        .expect("building does not connect");
    calls(&guard);
    // It is not joined: it ends with the process.
    let shutdown = thread::spawn(move || guard.shutdown(HANG * 30));
    wait_until(|| {
        let page = fs::read_to_string(folder.path().join("report.html"));
        page.is_ok_and(|page| page.contains(&format!("\"seen_spans\":{CALLS}")))
    });
    assert!(!shutdown.is_finished());
}

#[test]
fn a_slow_exporter_does_not_use_up_the_time_of_the_next_one() {
    let collector = Collector::grpc(Answer::After(HANG * 60));
    let exporter = Counting::default();
    let spans = Arc::clone(&exporter.0);
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .otlp(Otlp::to(collector.endpoint()))
        .traces([Exporter::Otlp])
        .metrics([Exporter::None])
        .span_exporter(exporter)
        .batch_delay(HANG)
        .build()
        .expect("building does not connect");
    let scope = guard.enter();
    for _ in 0..10 {
        _ = get("articles");
    }
    drop(scope);
    guard
        .force_flush(Duration::from_secs(1))
        .expect_err("it is slow");
    assert_eq!(spans.load(Ordering::Acquire), 10);
}
