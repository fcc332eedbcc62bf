//! What the page of a pipeline has.

use std::fs;
use std::time::{Duration, Instant};

use percolate_otel::testing::MetricCallback;
use percolate_otel::{
    ConventionLayer, Environment, Exporter, HistogramBuckets, Telemetry, TelemetryError,
};
use serde_json::Value;

use super::shelf::{DOCUMENT, KEY, LITERAL, Shelf, data, day, get, import, operation};

/// The sum of the cells of an operation's heat map, and of its failed calls.
fn cells(data: &Value, name: &str) -> (u64, u64) {
    let maps = data["heat"]["maps"].as_array().expect("maps");
    let map = maps.iter().find(|map| map["name"] == name);
    let cells = map.expect("a map")["cells"].as_array().expect("cells");
    let number = |value: &Value| value.as_u64().expect("a count");
    cells.iter().fold((0, 0), |(calls, failed), column| {
        let column = column.as_array().expect("a column");
        let counts: u64 = column[2..].chunks(2).map(|pair| number(&pair[1])).sum();
        (calls + counts, failed + number(&column[1]))
    })
}

#[test]
fn a_flush_writes_a_page_with_traces_operations_and_exporters() {
    let shelf = Shelf::new();
    shelf.run(|| day(None));
    let data = shelf.flush();
    let kept = data["traces"]["kept"].as_array().expect("traces");
    let mut traces: Vec<_> = kept
        .iter()
        .map(|trace| {
            let text = |key: &str| trace[key].as_str().expect("text").to_owned();
            (text("name"), text("why"), trace["spans"].as_u64())
        })
        .collect();
    traces.sort();
    let request = "GET /books/{id}".to_owned();
    let expected = [
        (request.clone(), "failed".to_owned(), Some(2)),
        (request, "slow".to_owned(), Some(6)),
        ("shelf.import books".to_owned(), "slow".to_owned(), Some(41)),
    ];
    assert_eq!(traces, expected);
    let row = operation(&data["operations"], "get");
    let of_row = [&row["target"], &row["count"], &row["errors"], &row["rows"]];
    assert_eq!(
        of_row,
        [&Value::from("books"), &5.into(), &1.into(), &4.into()]
    );
    assert_eq!(row["error_types"][0][0], "report::shelf::ShelfError");
    assert_eq!(operation(&data["jobs"], "shelf.import")["count"], 1);
    let names: Vec<_> = data["flame"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| node["n"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["GET /books/{id}", "shelf.import books"]);
    let exporter = &data["pipeline"]["exporters"][1];
    assert_eq!(
        (&exporter["items"], &exporter["exported"]),
        (&"spans".into(), &49.into())
    );
    assert_eq!(data["pipeline"]["lost"], 0);
    assert_eq!(data["pipeline"]["last"], false);
}

#[test]
fn a_later_page_replaces_the_one_before_and_the_last_has_all_that_ended() {
    let shelf = Shelf::new();
    shelf.run(|| import(3));
    let first = shelf.flush();
    shelf.run(|| import(3));
    let last = shelf.shutdown();
    assert_eq!(first["traces"]["seen"], 1);
    assert_eq!(last["traces"]["seen"], 2);
    assert_eq!(last["pipeline"]["last"], true);
    assert_eq!(operation(&last["operations"], "put")["count"], 6);
    let files = fs::read_dir(shelf.folder.path()).expect("a folder");
    assert_eq!(files.count(), 1, "no temporary file stays");
}

#[test]
fn the_cells_of_a_heat_map_sum_up_to_the_count_of_the_metric() {
    for buckets in [HistogramBuckets::Storage, HistogramBuckets::Exponential] {
        let shelf = Shelf::with(|builder| builder.histogram_buckets(buckets.clone()));
        let end = Instant::now() + Duration::from_millis(300);
        shelf.run(|| {
            while Instant::now() < end {
                day(None);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        shelf.flush();
        shelf.run(|| import(7));
        let data = shelf.flush();
        for (table, name) in [
            ("operations", "get"),
            ("operations", "put"),
            ("operations", "query"),
            ("jobs", "shelf.import"),
        ] {
            let row = operation(&data[table], name);
            let counts = (row["count"].as_u64(), row["errors"].as_u64());
            let (calls, failed) = cells(&data, name);
            assert_eq!((Some(calls), Some(failed)), counts, "{name} {buckets:?}");
        }
        let columns = data["heat"]["columns"].as_array().expect("columns").len();
        assert!(columns >= 2, "{columns}");
    }
}

#[test]
fn histograms_that_the_sdk_aggregates_are_on_the_page_too() {
    // A metric exporter of the program makes the SDK aggregate.
    let shelf = Shelf::with(|builder| builder.metric_exporter(MetricCallback::new(|_| ())));
    shelf.run(|| day(None));
    shelf.flush();
    shelf.run(|| import(2));
    let data = shelf.flush();
    assert_eq!(operation(&data["operations"], "put")["count"], 42);
    assert_eq!(operation(&data["operations"], "get")["rows"], 4);
    assert_eq!(cells(&data, "put"), (42, 0));
    assert_eq!(cells(&data, "get"), (5, 1));
}

#[test]
fn keys_documents_and_literals_are_not_on_the_page() {
    let shelf = Shelf::new();
    shelf.run(|| day(None));
    shelf.shutdown();
    let page = fs::read_to_string(shelf.path()).expect("the page");
    for canary in [KEY, DOCUMENT, LITERAL] {
        assert!(!page.contains(canary), "{canary}");
    }
    assert!(page.contains("SELECT * FROM books WHERE title = ?"));
}

#[test]
fn unsampled_slow_and_failed_calls_are_listed_with_their_duration() {
    let shelf = Shelf::unsampled();
    shelf.run(|| {
        get(KEY).expect("it is there");
        get("missing").expect_err("it is missing");
    });
    let data = shelf.flush();
    assert_eq!(data["traces"]["seen"], 0);
    let calls = data["unsampled"]["calls"].as_array().expect("calls");
    let of = |call: &Value| (call["operation"].clone(), call["failed"].clone());
    let listed: Vec<_> = calls.iter().map(of).collect();
    assert_eq!(
        listed,
        [("get".into(), true.into()), ("get".into(), false.into())]
    );
    assert_eq!(calls[0]["error"], "report::shelf::ShelfError");
    assert!(calls.iter().all(|call| call["took"].as_u64() > Some(0)));
    assert!(calls.iter().all(|call| call["trace"].is_string()));
}

#[test]
fn the_findings_of_a_layer_are_listed_with_file_and_line() {
    let conventions = ConventionLayer::new();
    let shelf = Shelf::with(|builder| builder.report_conventions(&conventions));
    shelf.run(|| day(Some(&conventions)));
    let data = shelf.flush();
    let findings = data["conventions"]["findings"]
        .as_array()
        .expect("findings");
    let deprecated = findings.iter().find(|it| it["rule"] == "deprecated");
    let deprecated = deprecated.expect("db.system is deprecated");
    let file = deprecated["file"].as_str().expect("a file");
    assert!(file.ends_with("shelf.rs"), "{file}");
    assert!(deprecated["line"].as_u64() > Some(0));
}

#[test]
fn losses_are_on_the_page_with_their_reason() {
    // The export of the first span never ends, so that the queue is full.
    let shelf = Shelf::with(|builder| builder.span_exporter(Never).queue_size(1).batch_size(1));
    shelf.run(|| {
        for _ in 0..50 {
            tracing::info_span!("of another crate").in_scope(|| ());
        }
    });
    let result = shelf.telemetry.shutdown(Duration::from_secs(2));
    assert!(
        matches!(result, Err(TelemetryError::Timeout { .. })),
        "{result:?}"
    );
    let data = data(&shelf.path());
    let exporters = data["pipeline"]["exporters"].as_array().expect("exporters");
    let never = exporters.iter().find(|it| it["to"] == "exporter");
    let never = never.expect("the exporter of the program");
    assert!(never["queue_full"].as_u64() > Some(0), "{never}");
    assert!(data["pipeline"]["lost"].as_u64() > Some(0));
}

#[test]
fn the_losses_of_several_exporters_are_not_added() {
    let shelf = Shelf::with(|builder| builder.span_exporter(Never).span_exporter(Never));
    shelf.run(|| {
        for _ in 0..50 {
            tracing::info_span!("of another crate").in_scope(|| ());
        }
    });
    _ = shelf.telemetry.shutdown(Duration::from_secs(1));
    let status = shelf.telemetry.status();
    let lost = status.traces.iter().map(|exporter| exporter.counts.lost());
    assert_eq!(lost.collect::<Vec<_>>(), [50, 50, 0], "{status:#?}");
    assert_eq!(status.lost_spans(), 50);
    let message = status.describe_lost_spans().expect("a message");
    assert_eq!(message.matches("50 on the way to exporter: ").count(), 2);
    let data = data(&shelf.path());
    // The page is written before the last export has ended.
    assert!(data["pipeline"]["lost"].as_u64() <= Some(50), "{data}");
}

/// An exporter whose exports never end.
#[derive(Debug)]
struct Never;

impl opentelemetry_sdk::trace::SpanExporter for Never {
    async fn export(
        &self,
        _: Vec<opentelemetry_sdk::trace::SpanData>,
    ) -> opentelemetry_sdk::error::OTelSdkResult {
        std::future::pending().await
    }
}

#[test]
fn each_span_is_in_one_count_of_the_report() {
    let shelf = Shelf::new();
    let is_complete = || {
        let status = shelf.telemetry.status();
        let counts = &status.traces[0].counts;
        assert_eq!(counts.total(), status.recorded_spans, "{counts:?}");
        counts.exported
    };
    // Only annotated calls, which the status counts as recorded.
    shelf.run(|| import(30));
    is_complete();
    shelf.flush();
    assert_eq!(is_complete(), 31);
    shelf.run(|| import(30));
    shelf.shutdown();
    assert_eq!(is_complete(), 62);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_of_the_flush_and_counted() {
    let shelf = Shelf::new();
    shelf.run(|| import(1));
    fs::remove_dir_all(shelf.folder.path()).expect("it is removed");
    let error = shelf.telemetry.force_flush(Duration::from_secs(10));
    let error = error.expect_err("the folder is missing").to_string();
    let expected = "flush of telemetry failed: report: cannot write `";
    assert!(error.starts_with(expected), "{error}");
    let status = shelf.telemetry.status();
    assert_eq!(status.metrics[0].counts.failed, 1);
    assert!(status.metrics[0].to.ends_with("report.html (report)"));
    assert!(shelf.telemetry.shutdown(Duration::from_secs(10)).is_err());
}

#[test]
fn the_variable_has_the_effect_of_the_method_and_the_method_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let (of_variable, of_method) = (folder.path().join("variable"), folder.path().join("method"));
    let variables = [("PERCOLATE_REPORT", of_variable.to_str().expect("text"))];
    let environment: Environment = variables.into_iter().collect();
    let builder = || {
        Telemetry::builder()
            .environment(environment.clone())
            .traces([Exporter::None])
            .metrics([Exporter::None])
    };
    for (builder, written) in [
        (builder(), &of_variable),
        (builder().report(&of_method), &of_method),
    ] {
        let telemetry = builder.build().expect("it builds");
        assert_eq!(telemetry.status().warnings, []);
        telemetry
            .shutdown(Duration::from_secs(10))
            .expect("it ends");
        assert!(written.exists());
        fs::remove_file(written).expect("it is there");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_program_without_a_report_writes_none() {
    let telemetry = Telemetry::builder()
        .environment(Environment::empty())
        .traces([Exporter::None])
        .metrics([Exporter::None])
        .build()
        .expect("it builds");
    assert_eq!(telemetry.status().metrics, []);
    telemetry
        .shutdown(Duration::from_secs(10))
        .expect("it ends");
}
