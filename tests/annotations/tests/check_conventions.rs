//! Spans from annotations, from the functions for spans by hand, and from the macros of `tracing`
//! under the strict profile: valid spans pass, and mistakes are found in all of them.

use percolate_otel::ConventionLayer;
use percolate_otel::layer::Rule;
use percolate_otel::testing::{Capture, check_conventions, check_conventions_async};
use percolate_otel::{
    BackgroundJobType, DbOperation, background_span, db_query_span, db_span,
    record_background_metrics, record_db_metrics,
};
use percolate_otel::{background_job, db_op};

#[db_op(get, cf, system = "rocksdb")]
fn get(cf: &str) -> Result<Option<u8>, std::io::Error> {
    if cf == "broken" {
        Err(std::io::Error::other("disk full"))
    } else {
        Ok(Some(7))
    }
}

#[background_job(index.build, target)]
async fn build(target: &str) -> Result<usize, std::io::Error> {
    _ = get(target)?;
    Ok(1)
}

#[test]
fn annotated_functions_follow_the_conventions_with_any_outcome() {
    check_conventions(|_| {
        _ = get("articles");
        _ = get("broken");
    });
}

#[tokio::test]
async fn jobs_follow_the_conventions_finished_failed_or_dropped() {
    check_conventions_async(|_| async {
        _ = build("articles").await;
        _ = build("broken").await;
        drop(build("articles"));
    })
    .await;
}

#[test]
fn spans_by_hand_follow_the_conventions() {
    check_conventions(|capture| {
        db_span(DbOperation::Get, Some("articles"), Some("library"))
            .in_scope(|| record_db_metrics(Some(1), None));
        db_span(DbOperation::Flush, None, None).in_scope(|| ());
        db_query_span("SELECT * FROM articles WHERE id = 7", "articles", None).in_scope(|| ());
        background_span(BackgroundJobType::IndexBuild, "hnsw")
            .in_scope(|| record_background_metrics(Some(3), Some(12), "success"));
        assert_eq!(capture.report().spans, 4);
    });
}

/// The span that `#[tracing::instrument]` creates for a function with these fields.
macro_rules! instrumented {
    ($rows:expr) => {
        tracing::info_span!(
            "get articles",
            otel.kind = "client",
            db.system.name = "mystore",
            db.operation.name = "get",
            db.collection.name = "articles",
            db.response.returned_rows = $rows
        )
        .in_scope(|| ())
    };
}

#[test]
fn spans_of_tracing_are_checked_like_any_other() {
    let found = |body: fn()| {
        // Findings are collected under any profile, because one of the two spans is invalid.
        let capture = Capture::builder()
            .conventions(ConventionLayer::new())
            .build();
        capture.run(body);
        let report = capture.report();
        assert_eq!(report.spans, 1);
        report.of(Rule::TypeMismatch).len()
    };
    assert_eq!(found(|| instrumented!(1_i64)), 0);
    assert_eq!(found(|| instrumented!("one")), 1);
}
