//! Span names and span kinds.

use tracing::info_span;

use super::{close, findings};

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
            "SELECT articles",
            Some("articles"),
            None,
            Some("SELECT articles"),
        ),
        ("query library", None, Some("library"), None),
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
        ("query", None, Some("library"), None),
        (
            "query articles",
            Some("articles"),
            None,
            Some("SELECT articles"),
        ),
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
fn without_an_otel_name_the_name_of_the_call_site_is_checked() {
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
            close(info_span!("j", otel.kind = kind, job.type = "j", job.status = "success"));
        })
    };
    assert_eq!(run(None), [""; 0]);
    assert_eq!(run(Some("internal")), [""; 0]);
    assert_eq!(run(Some("client")), ["unexpected_span_kind otel.kind"]);
}
