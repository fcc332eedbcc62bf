//! Telemetry in files that other tools read: lines of OTLP as JSON, and a Chrome trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::logs::v1::LogsData;
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use percolate_core::otel::{
    Environment, Exporter, Otlp, Telemetry, TelemetryBuilder, TelemetryError, TelemetryGuard,
};
use percolate_core::{background_job, db_op};
use percolate_pipeline_tests::{Answer, Collector};
use serde_json::Value;
use tracing_subscriber::prelude::*;

const SOON: Duration = Duration::from_secs(20);

#[db_op(get, cf, namespace = "demo", rows = |found| found.iter().count())]
fn get(cf: &str) -> Result<Option<Vec<u8>>, std::io::Error> {
    if cf == "missing" {
        return Err(std::io::Error::other("no such table"));
    }
    Ok(Some(Vec::new()))
}

#[background_job(index.key.rebuild, target = "all", batch_size = |n| *n)]
fn rebuild() -> usize {
    tracing::info!("rebuilding");
    _ = get("articles");
    _ = get("missing");
    2
}

fn pipeline(folder: &Path) -> TelemetryBuilder {
    Telemetry::builder()
        .environment(Environment::empty())
        .service_name("shop")
        .file_folder(folder)
}

fn run(guard: &TelemetryGuard) {
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _entered = guard.enter();
        let request = tracing::info_span!("request", otel.kind = "server", app.size = 1_i64 << 60);
        request.in_scope(rebuild);
    });
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the file is there");
    text.lines().map(str::to_owned).collect()
}

fn spans(path: &Path) -> BTreeMap<String, Span> {
    let mut spans = BTreeMap::new();
    for line in lines(path) {
        let data: TracesData = serde_json::from_str(&line).expect("a line is TracesData");
        let scopes = data
            .resource_spans
            .into_iter()
            .flat_map(|it| it.scope_spans);
        for span in scopes.flat_map(|it| it.spans) {
            spans.insert(span.name.clone(), span);
        }
    }
    spans
}

#[test]
fn lines_of_a_file_are_the_spans_that_a_collector_receives() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::grpc(Answer::Accept);
    let guard = pipeline(folder.path())
        .otlp(Otlp::to(collector.endpoint()))
        .traces([Exporter::Otlp, Exporter::OtlpFile])
        .metrics([Exporter::None])
        .build()
        .expect("it builds");
    run(&guard);
    guard.shutdown(SOON).expect("it ends");
    let in_file = spans(&folder.path().join("traces.jsonl"));
    let received: BTreeMap<String, Span> = collector
        .spans()
        .into_iter()
        .map(|received| (received.span.name.clone(), received.span))
        .collect();
    assert_eq!(in_file.len(), 4);
    assert_eq!(in_file, received);
}

#[test]
fn ids_are_hexadecimal_and_large_numbers_are_strings() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(folder.path())
        .traces([Exporter::OtlpFile])
        .metrics([Exporter::OtlpFile])
        .build()
        .expect("it builds");
    run(&guard);
    guard.force_flush(SOON).expect("it flushes");
    let first = &lines(&folder.path().join("traces.jsonl"))[0];
    let line: Value = serde_json::from_str(first).expect("JSON");
    let resource = &line["resourceSpans"][0];
    assert!(resource["resource"]["attributes"].is_array());
    let span = resource["scopeSpans"]
        .as_array()
        .expect("scopes")
        .iter()
        .flat_map(|scope| scope["spans"].as_array().expect("spans"))
        .find(|span| span["name"] == "request")
        .expect("the request");
    let id = span["traceId"].as_str().expect("a text");
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert!(span["startTimeUnixNano"].is_string(), "{span}");
    let attributes = span["attributes"].as_array().expect("attributes");
    let size = attributes.iter().find(|it| it["key"] == "app.size");
    let expected = (1_i64 << 60).to_string();
    assert_eq!(size.expect("the size")["value"]["intValue"], expected);

    let metrics = &lines(&folder.path().join("metrics.jsonl"))[0];
    let line: Value = serde_json::from_str(metrics).expect("JSON");
    let scopes = line["resourceMetrics"][0]["scopeMetrics"].as_array();
    let durations = scopes
        .expect("scopes")
        .iter()
        .flat_map(|scope| scope["metrics"].as_array().expect("metrics"))
        .find(|metric| metric["name"] == "db.client.operation.duration")
        .expect("the durations");
    let point = &durations["histogram"]["dataPoints"][0];
    assert!(point["count"].is_string(), "{point}");
    assert!(point["timeUnixNano"].is_string(), "{point}");
    let buckets = point["bucketCounts"].as_array().expect("buckets");
    assert!(buckets.iter().all(Value::is_string), "{point}");
    drop(guard);
}

#[test]
fn each_collection_of_metrics_is_a_line_with_the_histograms() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(folder.path())
        .traces([Exporter::None])
        .metrics([Exporter::OtlpFile])
        .build()
        .expect("it builds");
    for _ in 0..2 {
        run(&guard);
        guard.force_flush(SOON).expect("it flushes");
    }
    guard.shutdown(SOON).expect("it ends");
    let counts: Vec<u64> = lines(&folder.path().join("metrics.jsonl"))
        .iter()
        .map(|line| {
            let data: MetricsData = serde_json::from_str(line).expect("MetricsData");
            let scopes = data
                .resource_metrics
                .into_iter()
                .flat_map(|it| it.scope_metrics);
            let mut metrics = scopes.flat_map(|it| it.metrics);
            let durations = metrics.find(|it| it.name == "db.client.operation.duration");
            let Some(Data::Histogram(histogram)) = durations.and_then(|it| it.data) else {
                panic!("no histogram in {line}");
            };
            histogram.data_points.iter().map(|point| point.count).sum()
        })
        .collect();
    assert_eq!(counts, [2, 4, 4]);
}

#[test]
fn log_records_have_a_file_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(folder.path())
        .traces([Exporter::OtlpFile])
        .metrics([Exporter::None])
        .logs([Exporter::OtlpFile])
        .build()
        .expect("it builds");
    run(&guard);
    guard.shutdown(SOON).expect("it ends");
    let line = &lines(&folder.path().join("logs.jsonl"))[0];
    let data: LogsData = serde_json::from_str(line).expect("LogsData");
    let record = &data.resource_logs[0].scope_logs[0].log_records[0];
    let job = &spans(&folder.path().join("traces.jsonl"))["index.key.rebuild all"];
    assert_eq!(record.span_id, job.span_id);
}

#[test]
fn a_missing_folder_is_an_error_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(&folder.path().join("missing"))
        .traces([Exporter::OtlpFile, Exporter::Chrome])
        .metrics([Exporter::OtlpFile])
        .build()
        .expect("it builds");
    run(&guard);
    let error = guard.shutdown(SOON).expect_err("nothing can be written");
    assert!(matches!(error, TelemetryError::Export { .. }), "{error}");
    let text = error.to_string();
    for part in [
        "traces.jsonl`",
        "metrics.jsonl`",
        "Chrome trace: cannot write",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let status = guard.status();
    assert_eq!(status.traces[0].counts.failed, 4);
    assert_eq!(status.metrics[0].counts.failed, 1);
    let chrome = &status.traces[1];
    assert!(
        chrome.to.ends_with("trace.json (Chrome trace)"),
        "{}",
        chrome.to
    );
    assert!(chrome.counts.last_error.is_some());
}

#[test]
fn the_variables_select_files_and_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [
        ("OTEL_TRACES_EXPORTER", "otlp_file,chrome"),
        ("OTEL_METRICS_EXPORTER", "otlp_file,chrome"),
        (
            "PERCOLATE_FILE_FOLDER",
            folder.path().to_str().expect("text"),
        ),
    ];
    let guard = Telemetry::builder()
        .environment(variables.into_iter().collect())
        .build()
        .expect("it builds");
    let warnings: Vec<String> = guard
        .status()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "OTEL_METRICS_EXPORTER: `chrome` is not supported; expected otlp, console, otlp_file, \
             none; ignored"
        ]
    );
    run(&guard);
    guard.shutdown(SOON).expect("it ends");
    let files = fs::read_dir(folder.path()).expect("a folder");
    let mut names: Vec<_> = files.map(|it| it.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["metrics.jsonl", "trace.json", "traces.jsonl"]);
}

/// An event of a Chrome trace: phase, track, start and end in nanoseconds, name.
#[derive(Debug)]
struct Complete {
    track: u64,
    start: f64,
    end: f64,
    name: String,
}

#[test]
fn a_chrome_trace_is_complete_after_each_flush_and_its_tracks_are_nested() {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = pipeline(folder.path())
        .traces([Exporter::Chrome])
        .metrics([Exporter::None])
        .build()
        .expect("it builds");
    for flushes in 1..=3 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| run(&guard));
            }
        });
        guard.force_flush(SOON).expect("it flushes");
        let text = fs::read_to_string(folder.path().join("trace.json")).expect("the file");
        let trace: Value = serde_json::from_str(&text).expect("JSON");
        let events = trace["traceEvents"].as_array().expect("events");
        let spans: Vec<Complete> = events
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| {
                let number = |key: &str| event[key].as_f64().expect("a number");
                Complete {
                    track: event["tid"].as_u64().expect("a track"),
                    start: number("ts"),
                    end: number("ts") + number("dur"),
                    name: event["name"].as_str().expect("a name").to_owned(),
                }
            })
            .collect();
        assert_eq!(spans.len(), flushes * 16);
        assert_nested(&spans);
        let named = events.iter().filter(|event| event["name"] == "thread_name");
        let tracks: std::collections::BTreeSet<u64> = spans.iter().map(|it| it.track).collect();
        assert_eq!(named.count(), tracks.len());
    }
}

/// speedscope and Perfetto refuse or mend spans of a track that overlap without being nested.
fn assert_nested(spans: &[Complete]) {
    for (at, a) in spans.iter().enumerate() {
        for b in spans[at + 1..].iter().filter(|b| b.track == a.track) {
            let apart = b.start >= a.end - 0.001 || b.end <= a.start + 0.001;
            let inside = (b.start >= a.start - 0.001 && b.end <= a.end + 0.001)
                || (a.start >= b.start - 0.001 && a.end <= b.end + 0.001);
            assert!(apart || inside, "{a:?} {b:?}");
        }
    }
    assert!(spans.iter().any(|span| span.name == "get articles"));
}
