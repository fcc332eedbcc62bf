//! Counts, reports and test scopes.

use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{close, findings_of, report_of};
use crate::layer::{ConventionLayer, Place, Rule};

#[test]
fn findings_are_counted_for_each_call_site_with_examples() {
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
        matches!(&missing[0].place, Place::CallSite { file: Some(file), .. } if file.ends_with("layer/tests/reports.rs"))
    );
}

#[test]
fn a_report_has_a_text_json_and_annotations() {
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
        ));
    });
    assert_eq!(findings_of(&report), [""; 0]);
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
                        // Closed on another thread.
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
