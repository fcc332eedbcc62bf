//! One example of each rule, broken and right. `docs/layer.md` shows these functions and what the Layer says of
//! them; a test runs them and holds the page to the outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use tracing::field::Empty;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::tests::Checked;
use super::*;
use crate::STORAGE_BOUNDS;

enum Body {
    Span(fn()),
    Metric(fn(&Meter)),
}

struct Shown {
    rule: Rule,
    why: &'static str,
    names: [&'static str; 2],
    bodies: [Body; 2],
}

macro_rules! shown {
    ($($rule:ident $kind:ident $broken:ident $right:ident $why:literal;)*) => {
        const SHOWN: &[Shown] = &[$(Shown {
            rule: Rule::$rule,
            why: $why,
            names: [stringify!($broken), stringify!($right)],
            bodies: [Body::$kind($broken), Body::$kind($right)],
        }),*];
    };
}

shown! {
    RequiredAttributeNotPresent Span no_system with_system
        "Without its required attributes a span is not recognised for what it is: backends look for `db.system.name`.";
    ConditionallyRequiredAttributeNotPresent Span failed_somehow failed_with_type
        "The Layer asks for what is conditional where it knows that the condition holds: an ERROR status wants `error.type`, RocksDB's own codes want `db.response.status_code`, an operation on one collection wants `db.collection.name` where the call site declares it.";
    RecommendedAttributeNotPresent Span no_summary with_summary
        "Asked for only where it applies: a summary beside a query text, a size on a batch.";
    TypeMismatch Span unsigned signed
        "tracing-opentelemetry exports `u64`, `usize` and `u32` as strings, and a backend cannot add up strings.";
    MissingAttribute Span invented defined
        "In the namespaces `db`, `job`, `rocksdb` and `percolate`, and in those of registries given to the Layer, every name is defined.";
    Deprecated Span old_name new_name
        "Dashboards of today look for the names of today.";
    MisspeltAttribute Span slip no_slip
        "A name two edits away from a known one, or the same with other separators, is not what was meant.";
    InvalidFormat Span shouting lower
        "Names are lower-case words.";
    MissingNamespace Span bare namespaced
        "A name without a namespace clashes with the next one. Arguments that `#[tracing::instrument]` records are often such names.";
    IllegalNamespace Span behind beside
        "A name is an attribute or a namespace, never both.";
    NotStable Span in_development stable
        "A note: reports count it and do not show it.";
    UndefinedEnumVariant Span other_status known_status
        "Values that a definition lists are a closed set; `db.system.name` is lower case and has no version.";
    OptInWithoutConfig Span uninvited left_out
        "The conventions forbid opt-in attributes until someone asks for them. percolate asks for the two row counts.";
    SpanNameMismatch Span wrong_name made_name
        "Spans of one operation are one group in a backend only if they are named alike.";
    HighCardinality Span id_in_name id_in_attribute
        "A name that is different each time is no group at all, and an error type that is a message makes a metric series for each failure.";
    UnexpectedSpanKind Span no_kind client_kind
        "Backends' database views show CLIENT spans. INTERNAL is accepted when it is said.";
    UnexpectedStatus Span status_ok status_unset
        "Instrumentation leaves a success unset; OK is the application's own word.";
    ErrorTypeWithoutError Span type_alone type_with_status
        "A value that is not there is no error.";
    ErrorEventInSpan Span handled_loudly handled_quietly
        "tracing-opentelemetry sets the status to ERROR for any ERROR event inside a span.";
    ErrorAsAttribute Span error_value error_name
        "An error value becomes four attributes, one of them a list, and its text may hold data.";
    BatchSizeOnNonBatch Span operands batch
        "Several keys of one call are operands. A batch of one is that one operation.";
    LateSamplingAttribute Span late early
        "Samplers see what is there when the span is created, and nothing else.";
    LiteralInQueryText Span literal parameter
        "Literals are data, and data does not belong into telemetry.";
    ServerAddressIsPath Span path host
        "A path is accepted for embedded databases, where there is no host.";
    MissingMetric Metric invented_metric defined_metric
        "As with attributes. Metrics of percolate's own scope are all defined.";
    UnitMismatch Metric milliseconds seconds
        "A unit is part of a metric's identity.";
    UnexpectedInstrument Metric gauge histogram
        "A duration is a histogram, or its percentiles are lost.";
    ImplausibleValue Metric default_bounds own_bounds
        "The SDK's default bounds are made for milliseconds: with seconds everything falls into the first bucket. Negative durations and such of more than a day are told too.";
    UnexpectedMetricAttribute Metric unbounded bounded
        "Each value of an attribute is another series.";
    ErrorTypeDiffers Metric two_truths one_truth
        "A span and its metric come from the same call. Checked for percolate's own targets.";
}

fn no_system() {
    info_span!("flush", otel.kind = "client", db.operation.name = "flush");
}

fn with_system() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn failed_somehow() {
    let span = info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
    span.record("otel.status_code", "ERROR");
}

fn failed_with_type() {
    let span = info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = Empty,
        db.response.status_code = Empty
    );
    span.record("otel.status_code", "ERROR");
    span.record("error.type", "IOError");
    span.record("db.response.status_code", "IOError");
}

fn no_summary() {
    info_span!(
        "query",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "query",
        db.query.text = "SELECT * FROM articles WHERE id = ?"
    );
}

fn with_summary() {
    info_span!(
        "query",
        otel.name = "SELECT articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.query.summary = "SELECT articles",
        db.query.text = "SELECT * FROM articles WHERE id = ?"
    );
}

fn unsigned() {
    let rows = vec!["a", "b"].len();
    info_span!(
        "scan articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "scan",
        db.collection.name = "articles",
        db.response.returned_rows = rows
    );
}

fn signed() {
    let rows = vec!["a", "b"].len();
    info_span!(
        "scan articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "scan",
        db.collection.name = "articles",
        db.response.returned_rows = i64::try_from(rows).unwrap_or(i64::MAX)
    );
}

fn invented() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.tenant = "acme"
    );
}

fn defined() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.tenant = "acme"
    );
}

fn old_name() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system = "rocksdb",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn new_name() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn slip() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namspace = "library"
    );
}

fn no_slip() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namespace = "library"
    );
}

fn shouting() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.Tier = "hot"
    );
}

fn lower() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.tier = "hot"
    );
}

fn bare() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        tier = "hot"
    );
}

fn namespaced() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.tier = "hot"
    );
}

fn behind() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namespace = "library",
        db.namespace.region = "eu"
    );
}

fn beside() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namespace = "library",
        app.region = "eu"
    );
}

fn in_development() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.response.affected_rows = 3_i64
    );
}

fn stable() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn other_status() {
    info_span!("wal.flush", job.type = "wal.flush", job.status = "started");
}

fn known_status() {
    info_span!("wal.flush", job.type = "wal.flush", job.status = "success");
}

fn uninvited() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.query.parameter.id = "7"
    );
}

fn left_out() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn wrong_name() {
    info_span!(
        "fetch_article",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = "articles"
    );
}

fn made_name() {
    info_span!(
        "fetch_article",
        otel.name = "get articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = "articles"
    );
}

fn id_in_name() {
    let id = 48_213;
    info_span!(
        "index.build",
        otel.name = format!("index.build {id}"),
        job.type = "index.build",
        job.target = id.to_string(),
        job.status = "success"
    );
}

fn id_in_attribute() {
    let id = 48_213_i64;
    info_span!("index.build", job.type = "index.build", job.status = "success", app.index.id = id);
}

fn no_kind() {
    info_span!(
        "flush",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn client_kind() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn status_ok() {
    info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = "OK",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn status_unset() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
}

fn type_alone() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "timeout"
    );
}

fn type_with_status() {
    info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = "ERROR",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "timeout"
    );
}

fn handled_loudly() {
    let span = info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
    span.in_scope(|| tracing::error!("busy; trying again"));
}

fn handled_quietly() {
    let span = info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
    span.in_scope(|| tracing::warn!("busy; trying again"));
}

fn error_value() {
    let error = std::io::Error::other("disk full");
    info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = "ERROR",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "io::Error",
        app.cause = &error as &(dyn std::error::Error + 'static)
    );
}

fn error_name() {
    info_span!(
        "flush",
        otel.kind = "client",
        otel.status_code = "ERROR",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "io::Error"
    );
}

fn operands() {
    info_span!(
        "multi_get articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "multi_get",
        db.collection.name = "articles",
        db.operation.batch.size = 3_i64
    );
}

fn batch() {
    info_span!(
        "batch_write",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "batch_write",
        db.operation.batch.size = 3_i64
    );
}

fn late() {
    let span = info_span!(
        "get articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = Empty
    );
    span.record("db.collection.name", "articles");
}

fn early() {
    info_span!(
        "get articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "get",
        db.collection.name = "articles"
    );
}

fn literal() {
    info_span!(
        "SELECT articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.query.summary = "SELECT articles",
        db.query.text = "SELECT * FROM articles WHERE author = 'Ada'"
    );
}

fn parameter() {
    info_span!(
        "SELECT articles",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.query.summary = "SELECT articles",
        db.query.text = "SELECT * FROM articles WHERE author = ?"
    );
}

fn path() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.name = "flush",
        server.address = "/var/lib/postgresql"
    );
}

fn host() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.name = "flush",
        server.address = "db.example.com"
    );
}

fn invented_metric(meter: &Meter) {
    meter.u64_counter("db.calls").build().add(1, &[]);
}

fn defined_metric(meter: &Meter) {
    meter.u64_counter("app.calls").build().add(1, &[]);
}

fn milliseconds(meter: &Meter) {
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("ms")
        .build();
    histogram.record(12.0, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn seconds(meter: &Meter) {
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(STORAGE_BOUNDS.to_vec())
        .build();
    histogram.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn gauge(meter: &Meter) {
    let gauge = meter
        .f64_gauge("db.client.operation.duration")
        .with_unit("s")
        .build();
    gauge.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn histogram(meter: &Meter) {
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(STORAGE_BOUNDS.to_vec())
        .build();
    histogram.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn default_bounds(meter: &Meter) {
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .build();
    histogram.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn own_bounds(meter: &Meter) {
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(STORAGE_BOUNDS.to_vec())
        .build();
    histogram.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn unbounded(meter: &Meter) {
    let bounds = STORAGE_BOUNDS.to_vec();
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(bounds)
        .build();
    let attributes = [
        KeyValue::new("db.system.name", "rocksdb"),
        KeyValue::new("db.response.returned_rows", 17),
    ];
    histogram.record(0.012, &attributes);
}

fn bounded(meter: &Meter) {
    let bounds = STORAGE_BOUNDS.to_vec();
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(bounds)
        .build();
    histogram.record(0.012, &[KeyValue::new("db.system.name", "rocksdb")]);
}

fn two_truths(meter: &Meter) {
    info_span!(
        target: "percolate::db",
        "flush",
        otel.kind = "client",
        otel.status_code = "ERROR",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "timeout"
    );
    let bounds = STORAGE_BOUNDS.to_vec();
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(bounds)
        .build();
    let attributes = [
        KeyValue::new("db.system.name", "rocksdb"),
        KeyValue::new("db.operation.name", "flush"),
        KeyValue::new("error.type", "Elapsed"),
    ];
    histogram.record(0.012, &attributes);
}

fn one_truth(meter: &Meter) {
    info_span!(
        target: "percolate::db",
        "flush",
        otel.kind = "client",
        otel.status_code = "ERROR",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        error.type = "timeout"
    );
    let bounds = STORAGE_BOUNDS.to_vec();
    let histogram = meter
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(bounds)
        .build();
    let attributes = [
        KeyValue::new("db.system.name", "rocksdb"),
        KeyValue::new("db.operation.name", "flush"),
        KeyValue::new("error.type", "timeout"),
    ];
    histogram.record(0.012, &attributes);
}

fn run(body: &Body) -> Report {
    let conventions = ConventionLayer::new();
    let reader = PeriodicReader::builder(Checked(conventions.clone())).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let subscriber = tracing_subscriber::registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || match body {
        Body::Span(body) => body(),
        Body::Metric(body) => body(&meters.meter("app")),
    });
    meters.force_flush().expect("nothing fails here");
    conventions.report()
}

#[test]
fn every_rule_has_an_example_that_breaks_it_and_one_that_does_not() {
    let shown: Vec<Rule> = SHOWN.iter().map(|shown| shown.rule).collect();
    let missing: Vec<&Rule> = Rule::ALL
        .iter()
        .filter(|rule| !shown.contains(rule))
        .collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    for shown in SHOWN {
        let broken = run(&shown.bodies[0]);
        assert_eq!(
            broken.of(shown.rule).len(),
            1,
            "{}: {broken:?}",
            shown.names[0]
        );
        let right = run(&shown.bodies[1]);
        assert!(
            right.is_clean() && right.of(shown.rule).is_empty(),
            "{}: {right}",
            shown.names[1]
        );
        assert!(
            right.spans + right.metrics as u64 > 0 || shown.rule == Rule::MissingMetric,
            "{} checks nothing",
            shown.names[1]
        );
    }
}

/// The body of a function of this file, without its indentation.
fn source(name: &str) -> String {
    let text = include_str!("examples.rs");
    let start = text
        .find(&format!("\nfn {name}("))
        .unwrap_or_else(|| panic!("no function {name}"));
    let lines = text[start + 1..]
        .lines()
        .skip(1)
        .take_while(|line| *line != "}");
    lines.fold(String::new(), |all, line| {
        all + line.strip_prefix("    ").unwrap_or(line) + "\n"
    })
}

fn sections() -> String {
    let mut out = String::new();
    let mut by_level: BTreeMap<std::cmp::Reverse<Level>, Vec<&Shown>> = BTreeMap::new();
    for shown in SHOWN {
        by_level
            .entry(std::cmp::Reverse(shown.rule.level()))
            .or_default()
            .push(shown);
    }
    for (level, shown) in by_level {
        let heading = match level.0 {
            Level::Violation => "Violations",
            Level::Improvement => "Improvements",
            Level::Information => "Information",
        };
        let _ = writeln!(out, "## {heading}\n");
        for shown in shown {
            let report = run(&shown.bodies[0]);
            let finding = report.of(shown.rule)[0];
            let _ = writeln!(out, "### {}\n\n{}\n", shown.rule.id(), shown.why);
            let _ = writeln!(out, "```rust\n{}```\n", source(shown.names[0]));
            let _ = writeln!(out, "> {}  \n> → {}\n", finding.message, finding.help);
            let _ = writeln!(out, "```rust\n{}```\n", source(shown.names[1]));
        }
    }
    out
}

#[test]
fn the_page_of_rules_is_fresh() {
    const MARK: &str = "<!-- Generated from percolate-core/src/otel/layer/examples.rs; see the test beside it. -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/layer.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let (written, shown) = page.split_once(MARK).expect("the page has its mark");
    let fresh = format!("{written}{MARK}\n{}", sections().trim_end());
    if std::env::var_os("PERCOLATE_UPDATE").is_some() {
        fs::write(path, fresh + "\n").expect("the page can be written");
    } else {
        assert!(
            shown.trim() == sections().trim(),
            "docs/layer.md is stale; run `PERCOLATE_UPDATE=1 cargo test -p percolate-core --lib is_fresh`"
        );
    }
}
