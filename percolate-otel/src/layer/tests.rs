//! The rules on spans, reports, profiles, and the Layer in stacks of layers.

mod examples;
mod metrics;
mod properties;

use std::sync::{Arc, Mutex};

use tracing::field::Empty;
use tracing::{Event, Span, Subscriber, error_span, info_span};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::*;

fn report_of(builder: ConventionLayerBuilder, body: impl FnOnce()) -> Report {
    let conventions = builder.build();
    let subscriber = tracing_subscriber::registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, body);
    conventions.report()
}

/// `rule subject` of all findings but notes.
fn findings(body: impl FnOnce()) -> Vec<String> {
    findings_of(&report_of(ConventionLayer::builder(), body))
}

fn findings_of(report: &Report) -> Vec<String> {
    report
        .findings()
        .iter()
        .filter(|finding| finding.level > Level::Information)
        .map(|finding| {
            format!("{} {}", finding.rule.id(), finding.subject)
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// A database span that follows every rule; more fields may be added, late ones are declared.
macro_rules! get {
    ($($more:tt)*) => {
        info_span!(
            "get",
            otel.name = "get articles",
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "rocksdb",
            db.operation.name = "get",
            db.collection.name = "articles",
            db.response.returned_rows = Empty,
            db.response.status_code = Empty,
            error.type = Empty,
            $($more)*
        )
    };
}

macro_rules! job {
    ($($more:tt)*) => {
        info_span!(
            "index.build",
            otel.name = "index.build hnsw",
            otel.status_code = Empty,
            job.type = "index.build",
            job.target = "hnsw",
            job.status = Empty,
            error.type = Empty,
            $($more)*
        )
    };
}

fn close(span: Span) {
    span.in_scope(|| ());
    drop(span);
}

#[test]
fn right_spans_have_no_findings() {
    let found = findings(|| {
        let span = get!();
        span.record("db.response.returned_rows", 1_i64);
        close(span);
        let span = get!();
        span.record("error.type", "IOError");
        span.record("db.response.status_code", "IOError");
        span.record("otel.status_code", "ERROR");
        close(span);
        for status in ["success", "partial", "cancelled"] {
            let span = job!();
            span.record("job.status", status);
            close(span);
        }
        let span = job!();
        span.record("job.status", "failed");
        span.record("error.type", "panic");
        span.record("otel.status_code", "ERROR");
        close(span);
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn required_attributes_are_asked_for_where_they_are_missing() {
    let found = findings(|| {
        close(info_span!(
            "get articles",
            otel.kind = "client",
            db.operation.name = "get",
            db.collection.name = "articles"
        ));
        close(info_span!("index.build", job.type = "index.build"));
        close(info_span!("index.build", job.status = "success"));
    });
    assert_eq!(
        found,
        [
            "required_attribute_not_present db.system.name",
            "required_attribute_not_present job.status",
            "required_attribute_not_present job.type"
        ]
    );
}

#[test]
fn a_required_attribute_that_is_declared_has_to_be_given() {
    let found = findings(|| {
        close(info_span!(
            "flush",
            otel.kind = "client",
            db.operation.name = "flush",
            db.system.name = Empty
        ));
    });
    assert_eq!(found, ["required_attribute_not_present db.system.name"]);
}

#[test]
fn a_failure_wants_an_error_type_and_a_code_where_there_is_one() {
    let found = findings(|| {
        let span = get!();
        span.record("otel.status_code", "ERROR");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
    let found = findings(|| {
        let span = get!();
        span.record("otel.status_code", "error");
        span.record("error.type", "Corruption");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present db.response.status_code"]
    );
    let found = findings(|| {
        let span = job!();
        span.record("job.status", "failed");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
    // The text of a failure sets the status as well.
    let found = findings(|| close(get!(otel.status_description = "disk full")));
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
}

#[test]
fn an_operation_on_one_collection_names_it_when_the_call_site_says_it_can() {
    let span = |collection: Option<&str>| {
        info_span!(
            "op",
            otel.name = if collection.is_some() {
                "get articles"
            } else {
                "get"
            },
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "get",
            db.collection.name = collection
        )
    };
    assert_eq!(findings(|| close(span(Some("articles")))), [""; 0]);
    assert_eq!(
        findings(|| close(span(None))),
        ["conditionally_required_attribute_not_present db.collection.name"]
    );
    // Undeclared, it may be on purpose: a note.
    let report = report_of(ConventionLayer::builder(), || {
        close(info_span!(
            "get",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "get"
        ));
    });
    assert_eq!(report.findings()[0].level, Level::Information);
    assert_eq!(report.findings()[0].subject, "db.collection.name");
}

#[test]
fn a_database_span_says_what_it_does() {
    assert_eq!(
        findings(|| close(info_span!(
            "rocksdb",
            otel.kind = "client",
            db.system.name = "rocksdb"
        ))),
        ["conditionally_required_attribute_not_present db.operation.name"]
    );
    let query = || {
        info_span!(
            "query",
            otel.name = "SELECT articles",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.query.summary = "SELECT articles",
            db.query.text = "SELECT * FROM articles WHERE id = ?"
        )
    };
    assert_eq!(findings(|| close(query())), [""; 0]);
}

#[test]
fn a_query_has_a_summary_and_a_batch_a_size() {
    let found = findings(|| {
        close(info_span!(
            "query",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "query",
            db.query.text = "SELECT ?"
        ));
        close(info_span!(
            "batch_write",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "batch_write"
        ));
    });
    assert_eq!(
        found,
        [
            "recommended_attribute_not_present db.query.summary",
            "recommended_attribute_not_present db.operation.batch.size"
        ]
    );
}

#[test]
fn types_are_those_of_the_conventions() {
    let found = findings(|| {
        close(get!(
            server.port = "5432",
            code.function.name = 3_i64,
            db.operation.batch.size = 2.0
        ))
    });
    assert!(
        found.contains(&"type_mismatch server.port".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"type_mismatch code.function.name".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"type_mismatch db.operation.batch.size".to_owned()),
        "{found:?}"
    );
    assert_eq!(
        findings(|| close(get!(
            server.port = 5432_i64,
            code.function.name = "store::get"
        ))),
        [""; 0]
    );
}

#[test]
fn an_unsigned_integer_is_a_string_when_it_is_exported() {
    let report = report_of(ConventionLayer::builder(), || {
        let span = get!();
        span.record("db.response.returned_rows", 1_u64);
        close(span);
    });
    assert_eq!(
        findings_of(&report),
        ["type_mismatch db.response.returned_rows"]
    );
    let finding = report.of(Rule::TypeMismatch)[0];
    assert_eq!(
        finding.message,
        "`db.response.returned_rows` is recorded as u64, but its type is int"
    );
    assert!(
        finding
            .help
            .contains("`db.response.returned_rows = n as i64`"),
        "{}",
        finding.help
    );
    // As text it is what an attribute of type string wants.
    assert_eq!(findings(|| close(get!(db.namespace = 7_u64))), [""; 0]);
}

#[test]
fn the_type_that_was_given_last_counts() {
    let found = findings(|| {
        let span = get!();
        span.record("db.response.returned_rows", "one");
        span.record("db.response.returned_rows", 1_i64);
        close(span);
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn names_in_checked_namespaces_are_defined() {
    assert_eq!(
        findings(|| close(get!(db.tenant = "a"))),
        ["missing_attribute db.tenant"]
    );
    assert_eq!(
        findings(|| close(get!(app.tenant = "a", http.route = "/x"))),
        [""; 0]
    );
    // A field that stays empty is not exported.
    assert_eq!(findings(|| close(get!(db.tenant = Empty))), [""; 0]);
}

#[test]
fn deprecated_names_lead_to_those_of_today() {
    let report = report_of(ConventionLayer::builder(), || {
        close(get!(db.statement = "SELECT ?", db.user = "x"))
    });
    assert_eq!(
        findings_of(&report),
        ["deprecated db.statement", "deprecated db.user"]
    );
    assert_eq!(report.findings()[0].help, "use `db.query.text` instead");
    assert_eq!(
        report.findings()[1].help,
        "remove it; it has no replacement"
    );
}

#[test]
fn misspelt_names_lead_to_what_was_meant() {
    let report = report_of(ConventionLayer::builder(), || {
        close(get!(db.namespce = "a", eror.type = "b", job_type = "c"))
    });
    assert_eq!(
        findings_of(&report),
        [
            "misspelt_attribute db.namespce",
            "misspelt_attribute eror.type",
            "misspelt_attribute job_type"
        ]
    );
    assert_eq!(report.findings()[0].help, "did you mean `db.namespace`?");
}

#[test]
fn names_have_the_form_of_names() {
    assert_eq!(
        findings(|| close(get!("App-Tier" = 1_i64))),
        ["invalid_format App-Tier"]
    );
    assert_eq!(
        findings(|| close(get!(tier = 1_i64))),
        ["missing_namespace tier"]
    );
    assert_eq!(
        findings(|| close(get!(db.namespace.tenant = "a"))),
        ["illegal_namespace db.namespace.tenant"]
    );
    assert_eq!(findings(|| close(get!(app.tier = 1_i64))), [""; 0]);
}

#[test]
fn definitions_in_development_are_noted_once_a_call_site() {
    let report = report_of(ConventionLayer::builder(), || {
        for _ in 0..3 {
            let span = get!();
            span.record("db.response.returned_rows", 1_i64);
            close(span);
        }
    });
    assert_eq!(report.findings().len(), 1);
    let note = &report.findings()[0];
    assert_eq!(
        (note.rule, note.level, note.count),
        (Rule::NotStable, Level::Information, 1)
    );
    assert!(report.is_clean());
}

#[test]
fn values_are_among_those_a_definition_lists() {
    let done = |status: &'static str| {
        findings(move || {
            let span = job!();
            span.record("job.status", status);
            close(span);
        })
    };
    assert_eq!(done("started"), ["undefined_enum_variant job.status"]);
    assert_eq!(done("success"), [""; 0]);
    let system = |system: &'static str| {
        findings(move || {
            close(info_span!(
                "flush",
                otel.kind = "client",
                db.system.name = system,
                db.operation.name = "flush"
            ));
        })
    };
    assert_eq!(
        system("RocksDB 9"),
        ["undefined_enum_variant db.system.name"]
    );
    assert_eq!(system("microsoft.sql_server"), [""; 0]);
}

#[test]
fn opt_in_attributes_are_opted_into() {
    let body = || {
        close(get!(db.query.parameter.id = "1"));
        let span = get!();
        span.record("db.response.returned_rows", 1_i64);
        close(span);
    };
    assert_eq!(
        findings(body),
        ["opt_in_without_config db.query.parameter.id"]
    );
    let allowed = report_of(
        ConventionLayer::builder().opt_in("db.query.parameter"),
        body,
    );
    assert_eq!(findings_of(&allowed), [""; 0]);
    let none = report_of(ConventionLayer::builder().no_opt_in(), body);
    assert_eq!(
        findings_of(&none),
        [
            "opt_in_without_config db.query.parameter.id",
            "opt_in_without_config db.response.returned_rows"
        ]
    );
}

#[test]
fn the_name_follows_from_the_attributes() {
    let op = |name: &'static str,
              collection: Option<&'static str>,
              namespace: Option<&'static str>,
              summary: Option<&'static str>| {
        findings(move || {
            close(info_span!(
                "op",
                otel.name = name,
                otel.kind = "client",
                db.system.name = "rocksdb",
                db.operation.name = "query",
                db.collection.name = collection,
                db.namespace = namespace,
                db.query.summary = summary,
            ));
        })
    };
    for (name, collection, namespace, summary) in [
        ("query articles", Some("articles"), Some("library"), None),
        (
            "query articles",
            Some("articles"),
            None,
            Some("SELECT articles"),
        ),
        (
            "SELECT articles",
            Some("articles"),
            None,
            Some("SELECT articles"),
        ),
        ("query library", None, Some("library"), None),
        ("query", None, Some("library"), None),
        ("query", None, None, None),
    ] {
        assert_eq!(op(name, collection, namespace, summary), [""; 0], "{name}");
    }
    for (name, collection, namespace, summary) in [
        ("query", Some("articles"), None, None),
        ("articles", Some("articles"), None, None),
        ("query people", Some("articles"), None, None),
        ("query articles ", Some("articles"), None, None),
        ("query people", None, Some("library"), None),
        ("fetch", None, None, Some("SELECT articles")),
    ] {
        assert_eq!(
            op(name, collection, namespace, summary),
            ["span_name_mismatch"],
            "{name}"
        );
    }
}

#[test]
fn the_name_of_a_job_is_its_type_and_target() {
    let run = |name: &'static str, target: Option<&'static str>| {
        findings(move || {
            close(
                info_span!("j", otel.name = name, job.type = "wal.flush", job.target = target, job.status = "success"),
            );
        })
    };
    assert_eq!(run("wal.flush wal", Some("wal")), [""; 0]);
    assert_eq!(run("wal.flush", None), [""; 0]);
    assert_eq!(run("wal.flush", Some("wal")), ["span_name_mismatch"]);
    assert_eq!(run("flush", None), ["span_name_mismatch"]);
}

#[test]
fn without_a_name_of_its_own_the_call_site_names_the_span() {
    assert_eq!(
        findings(|| close(info_span!(
            "fetch",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "get",
            db.collection.name = "articles"
        ))),
        ["span_name_mismatch"]
    );
}

#[test]
fn names_are_short_and_the_same_each_time() {
    let named = |collection: String| {
        findings(move || {
            close(info_span!(
                "op",
                otel.name = format!("get {collection}"),
                otel.kind = "client",
                db.system.name = "rocksdb",
                db.operation.name = "get",
                db.collection.name = collection
            ));
        })
    };
    assert_eq!(named("k".repeat(300)), ["span_name_mismatch"]);
    assert_eq!(named("user-5f9619ff8b86d011".to_owned()), [""; 0]);
    assert_eq!(
        named("5f9619ff-8b86-d011-b42d-00c04fc964ff".to_owned()),
        ["high_cardinality"]
    );
    assert_eq!(named("12345".to_owned()), ["high_cardinality"]);
}

#[test]
fn an_error_type_is_a_kind_not_a_message() {
    let failed = |kind: &'static str| {
        findings(move || {
            let span = get!();
            span.record("otel.status_code", "ERROR");
            span.record("error.type", kind);
            close(span);
        })
    };
    assert_eq!(
        failed("no space left on device"),
        ["high_cardinality error.type"]
    );
    assert_eq!(failed("store::Error"), [""; 0]);
}

#[test]
fn database_spans_are_client_and_jobs_internal() {
    let op = |kind: Option<&'static str>| {
        findings(move || {
            close(info_span!(
                "flush",
                otel.kind = kind,
                db.system.name = "rocksdb",
                db.operation.name = "flush"
            ));
        })
    };
    assert_eq!(op(Some("client")), [""; 0]);
    assert_eq!(op(Some("INTERNAL")), [""; 0]);
    for kind in [None, Some("server"), Some("database")] {
        assert_eq!(op(kind), ["unexpected_span_kind otel.kind"], "{kind:?}");
    }
    let run = |kind: Option<&'static str>| {
        findings(move || {
            close(info_span!("j", otel.kind = kind, job.type = "j", job.status = "success"))
        })
    };
    assert_eq!(run(None), [""; 0]);
    assert_eq!(run(Some("internal")), [""; 0]);
    assert_eq!(run(Some("client")), ["unexpected_span_kind otel.kind"]);
}

#[test]
fn the_status_says_the_same_as_the_outcome() {
    let status = |status: &'static str| {
        findings(move || {
            let span = get!();
            span.record("otel.status_code", status);
            close(span);
        })
    };
    assert_eq!(status("OK"), ["unexpected_status"]);
    assert_eq!(status("failed"), ["unexpected_status"]);
    assert_eq!(status("unset"), [""; 0]);
    let found = findings(|| {
        let span = job!();
        span.record("job.status", "success");
        span.record("error.type", "x");
        span.record("otel.status_code", "ERROR");
        close(span);
    });
    assert_eq!(found, ["unexpected_status job.status"]);
    let found = findings(|| {
        let span = get!();
        span.record("error.type", "NotFound");
        span.record("db.response.status_code", "NotFound");
        close(span);
    });
    assert_eq!(found, ["error_type_without_error error.type"]);
}

#[test]
fn an_error_event_fails_the_span_it_is_in() {
    assert_eq!(
        findings(|| get!().in_scope(|| tracing::error!("handled"))),
        ["error_event_in_span"]
    );
    assert_eq!(
        findings(|| get!().in_scope(|| tracing::warn!("handled"))),
        [""; 0]
    );
    let found = findings(|| {
        let span = get!();
        span.in_scope(|| tracing::error!("not handled"));
        span.record("error.type", "x");
        span.record("otel.status_code", "ERROR");
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn an_error_value_is_no_attribute() {
    let error = std::io::Error::other("disk full");
    let found = findings(|| {
        close(get!(
            app.cause = &error as &(dyn std::error::Error + 'static)
        ));
    });
    assert_eq!(found, ["error_as_attribute app.cause"]);
}

#[test]
fn a_batch_size_is_for_batches() {
    let sized = |operation: &'static str, size: i64| {
        findings(move || {
            close(info_span!(
                "op",
                otel.name = operation,
                otel.kind = "client",
                db.system.name = "rocksdb",
                db.operation.name = operation,
                db.operation.batch.size = size
            ));
        })
    };
    for (operation, size) in [
        ("batch_write", 2),
        ("BATCH put", 5),
        ("batch_write", 0),
        ("bulk_load", 9),
    ] {
        assert_eq!(sized(operation, size), [""; 0], "{operation} {size}");
    }
    for (operation, size) in [("batch_write", 1), ("multi_get", 3), ("batch_write", -1)] {
        assert_eq!(
            sized(operation, size),
            ["batch_size_on_non_batch db.operation.batch.size"],
            "{operation} {size}"
        );
    }
}

#[test]
fn what_samplers_look_at_is_there_from_the_start() {
    let span = || {
        info_span!(
            "op",
            otel.name = "get articles",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "get",
            db.collection.name = Empty
        )
    };
    let found = findings(|| {
        let span = span();
        span.record("db.collection.name", "articles");
        close(span);
    });
    assert_eq!(found, ["late_sampling_attribute db.collection.name"]);
    let found = findings(|| {
        let span = get!(otel.scope = "x");
        span.record("db.collection.name", "articles");
        close(span);
    });
    assert_eq!(found, [""; 0], "given at the start, and once more");
    let found = findings(|| {
        let span = get!();
        span.record("otel.name", "get people");
        span.record("otel.kind", "client");
        close(span);
    });
    assert_eq!(
        found,
        [
            "late_sampling_attribute otel.kind",
            "late_sampling_attribute otel.name"
        ]
    );
}

#[test]
fn query_text_holds_no_literals() {
    let query = |text: &'static str| {
        findings(move || {
            close(info_span!(
                "query",
                otel.name = "SELECT a",
                otel.kind = "client",
                db.system.name = "rocksdb",
                db.query.summary = "SELECT a",
                db.query.text = text
            ));
        })
    };
    assert_eq!(
        query("SELECT * FROM a WHERE b = 'secret'"),
        ["literal_in_query_text db.query.text"]
    );
    assert_eq!(query("SELECT * FROM a WHERE b = ?"), [""; 0]);
}

#[test]
fn a_path_is_an_address_for_embedded_databases_only() {
    let opened = |profile, system: &'static str| {
        let report = report_of(ConventionLayer::builder().profile(profile), move || {
            close(info_span!(
                "flush",
                otel.kind = "client",
                db.system.name = system,
                db.operation.name = "flush",
                server.address = "/var/lib/db"
            ));
        });
        report
            .findings()
            .iter()
            .map(|finding| (finding.rule.id(), finding.level))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        opened(Profile::Collect, "postgresql"),
        [("server_address_is_path", Level::Improvement)]
    );
    assert_eq!(opened(Profile::Collect, "rocksdb"), []);
    assert_eq!(
        opened(Profile::Strict, "rocksdb"),
        [("server_address_is_path", Level::Information)]
    );
}

#[test]
fn spans_of_others_are_left_alone() {
    let report = report_of(ConventionLayer::builder(), || {
        close(info_span!(
            "request",
            http.route = "/x",
            otel.status_code = "OK",
            Bad = 1
        ));
        close(info_span!("maybe", db.operation.name = Empty));
    });
    assert_eq!((report.findings().len(), report.spans), (0, 0));
}

#[test]
fn our_own_targets_are_checked_even_without_attributes() {
    let report = report_of(ConventionLayer::builder(), || {
        close(info_span!(target: "percolate::job", "x"))
    });
    assert_eq!(report.spans, 1);
    assert_eq!(
        findings_of(&report),
        [
            "required_attribute_not_present job.status",
            "required_attribute_not_present job.type"
        ]
    );
}

#[test]
fn findings_are_counted_per_call_site_with_examples() {
    let report = report_of(ConventionLayer::builder(), || {
        for rows in [None, Some(1_i64)] {
            close(info_span!(
                "flush",
                otel.kind = "client",
                db.operation.name = "flush",
                db.response.returned_rows = rows
            ));
        }
    });
    let missing = report.of(Rule::RequiredAttributeNotPresent);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].count, 2);
    assert_eq!(
        missing[0].first,
        [
            ("otel.kind".to_owned(), "string"),
            ("db.operation.name".to_owned(), "string")
        ]
    );
    assert_eq!(
        missing[0].last[2],
        ("db.response.returned_rows".to_owned(), "int")
    );
    assert!(
        matches!(&missing[0].place, Place::CallSite { file: Some(file), .. } if file.ends_with("layer/tests.rs"))
    );
}

#[test]
fn a_report_reads_as_text_json_and_annotations() {
    let conventions = ConventionLayer::new();
    let subscriber = tracing_subscriber::registry().with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || {
        close(
            info_span!(target: "app", "flush", otel.kind = "client", db.operation.name = "flush"),
        );
    });
    let report = conventions.report();
    let Place::CallSite {
        line: Some(line),
        file: Some(file),
        ..
    } = report.findings()[0].place.clone()
    else {
        panic!("{report:?}")
    };
    assert_eq!(
        report.to_string(),
        format!(
            "conventions: 1 span from 1 call site checked: 1 violation, 0 improvements\n\n\
             {file}:{line}: span `flush` (app)\n  \
               violation required_attribute_not_present ×1\n    \
                 the database span has no `db.system.name`\n    \
                 → set `db.system.name = \"…\"` (the database system, lower case) when the span is created\n"
        )
    );
    let json = report.to_json();
    assert!(json.starts_with(r#"{"spans":1,"call_sites":1,"metrics":0,"findings":[{"rule":"required_attribute_not_present","level":"violation","subject":"db.system.name""#), "{json}");
    assert!(
        json.contains(r#""first":{"otel.kind":"string","db.operation.name":"string"}"#),
        "{json}"
    );
    let github = report.to_github("percolate-core");
    assert!(
        github.starts_with("::error title=required_attribute_not_present,file=")
            && github.contains(&format!("line={line}::"))
            && github.trim_end().lines().count() == 1,
        "{github}"
    );
    conventions.clear();
    assert_eq!(
        conventions.report().to_string(),
        "conventions: 0 spans from 0 call sites checked: no problems found\n"
    );
}

#[test]
fn a_strict_scope_fails_the_test_with_the_report() {
    let run = |broken: bool| {
        std::panic::catch_unwind(move || {
            let conventions = ConventionLayer::strict();
            let _scope = conventions.test_scope();
            let subscriber = tracing_subscriber::registry().with(conventions.layer());
            tracing::subscriber::with_default(subscriber, || {
                if broken {
                    close(info_span!("x", db.operation.name = "flush"));
                } else {
                    close(get!());
                }
            });
        })
    };
    assert!(run(false).is_ok());
    let message = *run(true)
        .expect_err("it should fail")
        .downcast::<String>()
        .expect("a message");
    assert!(
        message.contains("required_attribute_not_present"),
        "{message}"
    );
}

#[test]
fn ignored_rules_are_not_reported() {
    let builder = ConventionLayer::builder().ignore(Rule::RequiredAttributeNotPresent);
    let report = report_of(builder, || {
        close(info_span!(
            "flush",
            otel.kind = "client",
            db.operation.name = "flush"
        ))
    });
    assert_eq!(findings_of(&report), [""; 0]);
}

/// What the Layer's own filter says of a call site. Asked directly: with several subscribers in one process `tracing`
/// enables what any of them wants.
fn interest(conventions: &ConventionLayer, span: &Span) -> &'static str {
    let filter = RelevantSpans {
        layer: conventions.clone(),
    };
    let metadata = span.metadata().expect("a registry enables everything");
    let interest = Filter::<tracing_subscriber::Registry>::callsite_enabled(&filter, metadata);
    if interest.is_always() {
        "always"
    } else {
        "never"
    }
}

#[test]
fn only_what_is_checked_is_enabled_on_the_layers_behalf() {
    let off = ConventionLayer::builder().profile(Profile::Off).build();
    let on = ConventionLayer::new();
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let (theirs, ours) = (
            info_span!("request", http.route = "/x"),
            info_span!("x", db.operation.name = "flush"),
        );
        assert_eq!(
            [interest(&on, &theirs), interest(&on, &ours)],
            ["never", "always"]
        );
        assert_eq!(
            [interest(&off, &theirs), interest(&off, &ours)],
            ["never", "never"]
        );
    });
}

#[test]
fn the_off_profile_checks_nothing() {
    let report = report_of(ConventionLayer::builder().profile(Profile::Off), || {
        close(info_span!("x", db.operation.name = "flush"));
    });
    assert_eq!((report.spans, report.findings().len()), (0, 0));
}

/// Keeps the messages of WARN events of the Layer's target, and what span they were made in.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<bool>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logged {
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if event.metadata().target() == LOG_TARGET {
            self.0
                .lock()
                .expect("no test panics here")
                .push(ctx.event_span(event).is_some());
        }
    }
}

#[test]
fn the_log_profile_says_each_finding_once_and_outside_of_spans() {
    let (logged, conventions) = (
        Logged::default(),
        ConventionLayer::builder().profile(Profile::Log).build(),
    );
    let subscriber = tracing_subscriber::registry()
        .with(logged.clone())
        .with(conventions.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _outer = get!().entered();
        for _ in 0..3 {
            close(info_span!(
                "x",
                otel.kind = "client",
                db.system.name = "a",
                db.operation.name = "x",
                db.odd = 1
            ));
        }
    });
    assert_eq!(*logged.0.lock().expect("no test panics here"), [false]);
}

#[test]
fn every_stack_of_layers_and_filters_works() {
    let broken = || close(error_span!("x", db.operation.name = "flush"));
    for kind in 0..6 {
        let conventions = ConventionLayer::new();
        let c = conventions.clone();
        let registry = tracing_subscriber::registry();
        match kind {
            0 => tracing::subscriber::with_default(registry.with(c), broken),
            1 => tracing::subscriber::with_default(registry.with(Some(c.layer())), broken),
            2 => tracing::subscriber::with_default(registry.with(c.layer().boxed()), broken),
            3 => tracing::subscriber::with_default(
                registry
                    .with(c.layer())
                    .with(tracing_subscriber::filter::LevelFilter::ERROR),
                broken,
            ),
            4 => tracing::subscriber::with_default(
                registry
                    .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink))
                    .with(c.layer()),
                broken,
            ),
            _ => {
                let (layer, _handle) = tracing_subscriber::reload::Layer::new(c);
                tracing::subscriber::with_default(registry.with(layer), broken);
            }
        }
        assert_eq!(conventions.report().spans, 1, "stack {kind}");
    }
    // Filtered away, there is nothing to check.
    let conventions = ConventionLayer::new();
    let filtered = conventions
        .clone()
        .with_filter(tracing_subscriber::filter::LevelFilter::OFF);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(filtered), broken);
    assert_eq!(conventions.report().spans, 0);
}

#[cfg(feature = "testing")]
#[test]
fn logging_beside_an_exporting_layer_adds_no_event_and_does_not_stall() {
    use crate::testing::Capture;
    let conventions = ConventionLayer::builder().profile(Profile::Log).build();
    let capture = Capture::builder().conventions(conventions).build();
    capture.run(|| {
        let _outer = get!().entered();
        close(info_span!(
            "x",
            otel.kind = "client",
            db.operation.name = "x"
        ));
    });
    assert_eq!(
        capture
            .report()
            .findings()
            .iter()
            .filter(|finding| finding.level == Level::Violation)
            .count(),
        1
    );
    let spans = capture.spans();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.data().events.is_empty()));
}

#[test]
fn counts_are_exact_when_threads_share_a_call_site() {
    let conventions = ConventionLayer::new();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(conventions.layer()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..500 {
                        let span = info_span!("x", otel.kind = "client", db.operation.name = "x");
                        // Closed on another thread than it was made on.
                        std::thread::scope(|inner| drop(inner.spawn(move || close(span))));
                    }
                });
            });
        }
    });
    let report = conventions.report();
    assert_eq!((report.spans, report.call_sites), (2000, 1));
    assert_eq!(report.of(Rule::RequiredAttributeNotPresent)[0].count, 2000);
}
