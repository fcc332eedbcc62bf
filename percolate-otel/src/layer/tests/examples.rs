//! One example of each rule that breaks it, and one that follows it. `docs/layer.md` shows these
//! functions and their findings. A test runs the functions and compares the page with the result.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use tracing::field::Empty;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::metrics::checking;
use crate::STORAGE_BOUNDS;
use crate::layer::{ConventionLayer, Level, Report, Rule};

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
        "Backends recognise a database span by its required attributes, such as `db.system.name`.";
    ConditionallyRequiredAttributeNotPresent Span failed_without_type failed_with_type
        "Three conditions are checked. An ERROR status requires `error.type`, a status code of RocksDB requires `db.response.status_code`, and an operation on one collection requires `db.collection.name` if the call site declares it.";
    RecommendedAttributeNotPresent Span no_summary with_summary
        "Only checked where the attribute applies: a summary for a query text, a size for a batch.";
    TypeMismatch Span unsigned signed
        "tracing-opentelemetry exports `u64`, `usize` and `u32` as strings, which backends cannot add up.";
    MissingAttribute Span undefined defined
        "The names in the namespaces `db`, `job`, `rocksdb` and `percolate` are all defined, and so are the names in the namespaces of your registries.";
    Deprecated Span old_name new_name
        "Dashboards use the current names.";
    MisspeltAttribute Span misspelled spelled
        "A name is misspelled if each of its words is near the word of a known name, or if only the separators differ. Two words are near if their edit distance is at most a third of the longer one.";
    InvalidFormat Span upper_case lower_case
        "Names consist of lower-case words.";
    MissingNamespace Span without_namespace with_namespace
        "A name without a namespace conflicts with the names of other libraries. `#[tracing::instrument]` often records arguments under such names.";
    IllegalNamespace Span below_attribute own_namespace
        "A name is either an attribute or a namespace.";
    NotStable Span in_development stable
        "A note. Reports count notes, but do not show them.";
    UndefinedEnumVariant Span other_status known_status
        "If a definition lists values, other values are not allowed. `db.system.name` is lower case and has no version.";
    OptInWithoutConfig Span not_allowed removed
        "The conventions require that users enable opt-in attributes. percolate enables the two row counts.";
    SpanNameMismatch Span wrong_name right_name
        "Backends group spans by name, so all spans of one operation need the same name.";
    HighCardinality Span id_in_name id_in_attribute
        "Spans whose names all differ cannot be grouped. An error type that is a message creates a time series for each failure.";
    UnexpectedSpanKind Span no_kind client_kind
        "The database views of backends show CLIENT spans. INTERNAL is accepted if it is set explicitly.";
    UnexpectedStatus Span status_ok status_unset
        "Instrumentation leaves the status of a success unset. OK is reserved for applications.";
    ErrorTypeWithoutError Span type_alone type_with_status
        "For example, a missing key is not an error.";
    ErrorEventInSpan Span handled_at_error handled_at_warn
        "tracing-opentelemetry sets the span status to ERROR for any ERROR event inside the span.";
    ErrorAsAttribute Span error_value error_name
        "An error value becomes four attributes, one of them a list, and its text may contain data.";
    BatchSizeOnNonBatch Span operands batch
        "Several keys of one call are operands. A batch of one is recorded as a single operation.";
    LateSamplingAttribute Span late early
        "Samplers only see the attributes that are set when the span is created.";
    LiteralInQueryText Span literal parameter
        "Literals are data, which telemetry must not contain.";
    ServerAddressIsPath Span path host
        "A path is accepted for embedded databases, which have no host.";
    MissingMetric Metric undefined_metric defined_metric
        "The rule for attributes applies to metrics too. The metrics of percolate's own scope are all defined.";
    UnitMismatch Metric milliseconds seconds
        "The unit is part of the identity of a metric.";
    UnexpectedInstrument Metric gauge histogram
        "A duration is a histogram; other instruments have no percentiles.";
    ImplausibleValue Metric default_bounds own_bounds
        "The SDK's default bounds are meant for milliseconds. With seconds, nearly all values fall into the first bucket. Negative durations and durations of more than a day are reported too.";
    UnexpectedMetricAttribute Metric unbounded bounded
        "Each value of an attribute creates another time series.";
    ErrorTypeDiffers Metric different_types same_type
        "A span and its metric describe the same call. Only checked for percolate's own targets.";
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

fn failed_without_type() {
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

fn undefined() {
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

fn misspelled() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namspace = "library"
    );
}

fn spelled() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namespace = "library"
    );
}

fn upper_case() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.Tier = "hot"
    );
}

fn lower_case() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.tier = "hot"
    );
}

fn without_namespace() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        tier = "hot"
    );
}

fn with_namespace() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        app.tier = "hot"
    );
}

fn below_attribute() {
    info_span!(
        "flush library",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.namespace = "library",
        db.namespace.region = "eu"
    );
}

fn own_namespace() {
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

fn not_allowed() {
    info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush",
        db.query.parameter.id = "7"
    );
}

fn removed() {
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

fn right_name() {
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

fn handled_at_error() {
    let span = info_span!(
        "flush",
        otel.kind = "client",
        db.system.name = "rocksdb",
        db.operation.name = "flush"
    );
    span.in_scope(|| tracing::error!("busy; trying again"));
}

fn handled_at_warn() {
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

fn undefined_metric(meter: &Meter) {
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

fn different_types(meter: &Meter) {
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

fn same_type(meter: &Meter) {
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
    let reader = PeriodicReader::builder(checking(&conventions)).build();
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
fn every_rule_has_an_example_that_breaks_it_and_one_that_follows_it() {
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

/// Returns the body of a function of this file, without its indentation.
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
    const MARK: &str =
        "<!-- Generated by a test from percolate-otel/src/layer/tests/examples.rs. -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/layer.md");
    let page = fs::read_to_string(path).expect("the page exists");
    let (written, shown) = page.split_once(MARK).expect("the page has its mark");
    let fresh = format!("{written}{MARK}\n{}", sections().trim_end());
    if std::env::var_os("PERCOLATE_UPDATE").is_some() {
        fs::write(path, fresh + "\n").expect("the page is written");
    } else {
        assert!(
            shown.trim() == sections().trim(),
            "docs/layer.md is stale; run `PERCOLATE_UPDATE=1 cargo test -p percolate-otel --lib is_fresh`"
        );
    }
}
