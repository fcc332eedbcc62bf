//! The page of a report, as JSON, and its limits.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use serde_json::Value;

use super::super::super::own_histograms::OwnHistograms;
use super::super::super::trace_tree::tests::span;
use super::*;

struct Written {
    folder: tempfile::TempDir,
    report: Report,
}

impl Written {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ReportOptions {
            path: folder.path().join("report.html"),
            resource: Resource::builder_empty()
                .with_attribute(KeyValue::new("service.name", "articles"))
                .build(),
            own: OwnHistograms::default().reader(0),
            has_own: true,
            conventions: OnceLock::new(),
            pages: Arc::default(),
        };
        let report = Report::new(options, limits);
        Self { folder, report }
    }

    fn page(&self) -> String {
        self.report
            .write(&PipelineState::default())
            .expect("it writes");
        fs::read_to_string(&self.report.options.path).expect("it is there")
    }

    fn data(&self) -> Value {
        data_of(&self.page())
    }
}

fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("the data");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn nothing_that_a_span_has_becomes_markup() {
    let written = Written::new(Limits::DEFAULT);
    let evil = "</script><script>alert(1)</script>\u{2028}&amp;";
    let mut span = span("", 1, 0, 0, 1);
    span.name = evil.into();
    span.status = Status::error(evil);
    span.attributes.push(KeyValue::new(evil, evil));
    written.report.add_spans(vec![span]);
    let page = written.page();
    assert!(!page.contains("alert(1)</"), "the text is escaped");
    assert!(!page.contains('\u{2028}'));
    assert_eq!(
        page.matches("</script>").count(),
        2,
        "the data and the script"
    );
    let data = data_of(&page);
    let trace = &data["traces"]["kept"][0];
    let root = &trace["tree"][0];
    let text = |at: &Value| {
        data["texts"][usize::try_from(at.as_u64().expect("an index")).expect("small")].clone()
    };
    assert_eq!(text(&root["n"]), evil);
    assert_eq!(root["m"], evil);
    assert_eq!(
        (text(&root["a"][0]), text(&root["a"][1])),
        (evil.into(), evil.into())
    );
}

#[test]
fn repeated_children_are_folded_and_a_failed_one_is_not() {
    let written = Written::new(Limits::DEFAULT);
    let mut spans = vec![span("load", 1, 0, 0, 1000)];
    spans.extend((2..=9).map(|id| span("put packages", id, 1, id, id)));
    spans[5].status = Status::error("");
    written.report.add_spans(spans);
    let data = written.data();
    let trace = &data["traces"]["kept"][0];
    assert_eq!(
        (&trace["why"], &trace["errors"]),
        (&"failed".into(), &1.into())
    );
    let lines = trace["tree"][0]["c"].as_array().expect("lines");
    let folded: Vec<usize> = lines
        .iter()
        .map(|line| line["f"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(folded, [0, 0, 5, 0]);
    assert_eq!(lines[3]["e"], 1);
}

#[test]
fn times_are_relative_to_the_trace_and_durations_are_nanoseconds() {
    let written = Written::new(Limits::DEFAULT);
    written.report.add_spans(vec![
        span("get articles", 2, 1, 40, 5),
        span("load", 1, 0, 30, 90),
    ]);
    let trace = &written.data()["traces"]["kept"][0];
    assert_eq!(trace["name"], "load");
    assert_eq!(
        (&trace["took"], &trace["spans"]),
        (&90_000.into(), &2.into())
    );
    let child = &trace["tree"][0]["c"][0];
    assert_eq!((&child["s"], &child["d"]), (&10_000.into(), &5_000.into()));
    assert_eq!(trace["id"], "00000000000000000000000000000001");
    assert_eq!(child["i"], "0000000000000002");
}

#[test]
fn a_deep_trace_is_cut_and_the_deeper_spans_are_counted() {
    let written = Written::new(Limits::DEFAULT);
    let spans = (1..=5000).map(|id| span("x", id, id - 1, id, 1));
    written.report.add_spans(spans.collect());
    let data = written.data();
    let mut line = &data["traces"]["kept"][0]["tree"][0];
    let mut levels = 1;
    while line["c"].is_array() {
        line = &line["c"][0];
        levels += 1;
    }
    assert_eq!(levels, super::super::limits::TRACE_LEVELS);
    assert_eq!(line["x"], 5000 - levels);
}

#[test]
fn the_page_has_at_most_the_spans_of_the_limits_and_shows_what_it_left_out() {
    let limits = Limits {
        spans_of_trace: 50,
        ..Limits::DEFAULT
    };
    let written = Written::new(limits);
    let mut spans = vec![span("load", 1, 0, 0, 1000)];
    spans.extend((2..=1000).map(|id| span("get articles", id, 1, id, id)));
    written.report.add_spans(spans);
    let data = written.data();
    let trace = &data["traces"]["kept"][0];
    assert_eq!(trace["spans"], 50);
    let omitted = &trace["omitted"][0];
    assert_eq!(
        (&omitted[0], &omitted[1]),
        (&"get articles".into(), &950.into())
    );
    assert_eq!(data["traces"]["seen_spans"], 1000);
    assert_eq!(data["flame"]["left_out"], 950);
}

#[test]
fn long_values_are_cut() {
    let written = Written::new(Limits::DEFAULT);
    let mut span = span("get articles", 1, 0, 0, 1);
    span.attributes.push(KeyValue::new("a", "é".repeat(5000)));
    written.report.add_spans(vec![span]);
    let data = written.data();
    let texts = data["texts"].as_array().expect("texts");
    let longest = texts
        .iter()
        .filter_map(Value::as_str)
        .map(|text| text.chars().count());
    assert_eq!(longest.max(), Some(super::super::limits::VALUE_LENGTH + 1));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_and_counted() {
    let written = Written::new(Limits::DEFAULT);
    let folder = written.folder.path().to_owned();
    fs::remove_dir_all(&folder).expect("it is removed");
    for failed in 1..=2 {
        let problem = written.report.write(&PipelineState::default());
        let problem = problem.expect_err("the folder is missing");
        assert!(problem.starts_with("report: cannot write `"), "{problem}");
        let counts = written.report.options.pages.counts();
        assert_eq!((counts.failed, counts.exported), (failed, 0));
        assert!(counts.last_error.is_some());
    }
    fs::create_dir_all(&folder).expect("a folder");
    written.page();
    assert_eq!(written.report.options.pages.counts().exported, 1);
}

#[test]
fn the_page_has_the_last_figures_of_series_that_are_not_collected_any_more() {
    use super::super::last_figures::{LastFigure, keep_last_figures};
    use crate::conventions::{METRICS, metric};

    let written = Written::new(Limits::DEFAULT);
    let folder = tempfile::tempdir().expect("a folder");
    let started = Report::start(ReportOptions {
        path: folder.path().join("report.html"),
        resource: Resource::builder_empty().build(),
        own: OwnHistograms::default().reader(0),
        has_own: true,
        conventions: OnceLock::new(),
        pages: Arc::default(),
    })
    .expect("it starts");
    let keys = METRICS
        .iter()
        .find(|known| known.name == metric::ROCKSDB_KEYS)
        .expect("it is defined");
    let figure = |namespace: &'static str, value| LastFigure {
        metric: keys,
        attributes: vec![
            KeyValue::new("db.system.name", "rocksdb"),
            KeyValue::new("db.namespace", namespace),
        ],
        value,
    };
    written
        .report
        .keep_last(&[figure("closed", 1.0), figure("open", 2.0)]);
    written.report.keep_last(&[figure("closed", 3.0)]);
    let current = [
        KeyValue::new("db.namespace", "open"),
        KeyValue::new("db.system.name", "rocksdb"),
    ];
    lock(&written.report.collected).figures.values = vec![super::super::figures::Figure {
        metric: keys.name.to_owned(),
        unit: keys.unit.to_owned(),
        attributes: current.to_vec(),
        value: 4.0,
        count: None,
    }];
    let data = written.data();
    let found: Vec<_> = data["metrics"]["values"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| {
            (
                it["value"].as_f64().expect("a number"),
                it["ended"].as_bool(),
            )
        })
        .collect();
    assert_eq!(found, [(4.0, None), (3.0, Some(true))]);

    // Every report that has started receives them, until it is dropped.
    keep_last_figures(|| vec![figure("everywhere", 5.0)]);
    assert_eq!(
        lock(&started.collected).last_figures.without(&[]).count(),
        1
    );
    started.end();
}
