//! Names, types, values and presence of attributes on spans.

use tracing::field::Empty;
use tracing::info_span;

use super::{close, findings, findings_of, report_of};
use crate::layer::{ConventionLayer, Level, Profile, Rule};

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
fn missing_required_attributes_are_found() {
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
fn a_declared_required_attribute_must_be_given() {
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
fn an_operation_on_one_collection_needs_the_declared_collection() {
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
    // Undeclared, it may be on purpose, which is a note.
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
fn a_database_span_needs_an_operation_or_a_summary() {
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
fn a_query_needs_a_summary_and_a_batch_a_size() {
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
        ));
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
    // A u64 is exported as a string, which is the type of this attribute.
    assert_eq!(findings(|| close(get!(db.namespace = 7_u64))), [""; 0]);
}

#[test]
fn the_last_type_of_a_value_counts() {
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
fn deprecated_names_have_a_replacement() {
    let report = report_of(ConventionLayer::builder(), || {
        close(get!(db.statement = "SELECT ?", db.user = "x"));
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
fn misspelled_names_have_a_suggestion() {
    let report = report_of(ConventionLayer::builder(), || {
        close(get!(db.namespce = "a", eror.type = "b", job_type = "c"));
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
fn names_are_well_formed_and_have_a_namespace() {
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
fn definitions_in_development_are_noted_once_for_each_call_site() {
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
fn values_are_in_the_list_of_the_definition() {
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
fn opt_in_attributes_must_be_allowed() {
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
fn a_declared_batch_size_may_be_missing_for_a_batch_of_one() {
    let found = findings(|| {
        close(info_span!(
            "op",
            otel.name = "batch_write",
            otel.kind = "client",
            db.system.name = "rocksdb",
            db.operation.name = "batch_write",
            db.operation.batch.size = Empty
        ));
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn attributes_for_samplers_are_set_when_the_span_is_created() {
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
fn query_text_contains_no_literals() {
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
fn a_path_is_an_address_of_embedded_databases_only() {
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
    assert_eq!(opened(Profile::Collect, "slatedb"), []);
    assert_eq!(
        opened(Profile::Strict, "rocksdb"),
        [("server_address_is_path", Level::Information)]
    );
}

#[test]
fn other_spans_are_not_checked() {
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
fn percolates_targets_are_checked_even_without_attributes() {
    let report = report_of(ConventionLayer::builder(), || {
        close(info_span!(target: "percolate::job", "x"));
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
