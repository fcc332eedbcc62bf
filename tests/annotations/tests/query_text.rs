//! Data in the text of a query does not leave the process: not through any door of percolate-otel,
//! and not in any span, event, metric or log.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use percolate_otel::ConventionLayer;
use percolate_otel::layer::Rule;
use percolate_otel::testing::{Capture, Metrics, Spans};
use percolate_otel::{db_op, db_query_span, db_site, operation};
use tracing_subscriber::fmt::format::FmtSpan;

/// Queries with a secret in a literal, or in what a dialect may read as one.
const QUERIES: [&str; 12] = [
    "SELECT 'canary' FROM birds WHERE a = 42",
    "SELECT * FROM birds WHERE email = \"canary@x\"",
    r"SELECT * FROM birds WHERE a = 'it\'s' OR b = 'canary'",
    "SELECT * FROM birds WHERE a = 'canary",
    "SELECT * FROM birds /* canary */ WHERE b IN ('canary', 'canary') -- canary",
    "SELECT q'[it's canary]' FROM birds",
    "SELECT $tag$canary$tag$ FROM birds # canary",
    "INSERT INTO birds VALUES (0xcanary, 1canary, N'canary')",
    "CREATE USER u IDENTIFIED BY canary",
    "ALTER USER u PASSWORD canary!canary",
    "SELECT EXTRACT(YEAR FROM 'canary') FROM birds",
    "\u{2018}canary\u{2019}",
];

#[db_op(query, query_text = sql, system = "shelf")]
fn sync(sql: &str) -> Result<usize, String> {
    Err(format!("syntax error near {sql}"))
}

#[db_op(query, "birds", query_text = sql, system = "shelf")]
async fn asynchronous(sql: &str) -> Result<usize, io::Error> {
    std::future::ready(()).await;
    Err(io::Error::other(sql))
}

#[db_op(query, query_text = format!("{sql} "), rows = stream, system = "shelf")]
fn streamed(sql: &str) -> impl Iterator<Item = Result<u64, String>> {
    let error = sql.to_owned();
    std::iter::once_with(|| Err(error))
}

#[db_op(query, query_text = sql, query_summary = "birds", system = "mysql", slow = "1ns")]
fn summarized(sql: &str) -> Option<u64> {
    _ = sql;
    None
}

#[db_op(query, query_text = sql, system = "shelf")]
fn panicking(sql: &str) {
    _ = sql;
    std::panic::resume_unwind(Box::new(()));
}

db_site!(static BY_HAND = "query", system = "shelf");

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready"),
    }
}

/// Sends each query through every door.
fn through_all_doors() {
    for sql in QUERIES {
        sync(sql).expect_err("it fails");
        ready(asynchronous(sql)).expect_err("it fails");
        assert!(streamed(sql).all(|row| row.is_err()));
        assert!(summarized(sql).is_none());
        std::panic::catch_unwind(|| panicking(sql)).expect_err("it fails");
        db_query_span(sql, "birds", None).in_scope(|| tracing::info!("inside"));
        operation(BY_HAND).query_text(sql).start().finish();
    }
}

fn everything(spans: &Spans, metrics: &Metrics) -> String {
    let mut text = metrics.text();
    for span in spans.iter() {
        _ = writeln!(text, "{:?}", span.data());
    }
    for metric in metrics.iter() {
        for point in metric.points() {
            _ = writeln!(text, "{:?}", point.attributes());
        }
    }
    text
}

#[track_caller]
fn assert_clean(text: &str) {
    assert!(text.contains("db.query.text") && text.contains("birds"));
    if let Some(line) = text.lines().find(|line| line.contains("canary")) {
        panic!("{line}");
    }
}

#[test]
fn no_span_or_metric_contains_data() {
    // Some of the texts have no summary.
    let conventions = || {
        ConventionLayer::builder()
            .ignore(Rule::RecommendedAttributeNotPresent)
            .build()
    };
    let builder = || Capture::builder().conventions(conventions());
    for capture in [builder().build(), builder().compact_records().build()] {
        capture.run(through_all_doors);
        let spans = capture.spans();
        assert!(spans.len() >= 6 * QUERIES.len(), "{}", spans.len());
        assert_clean(&everything(&spans, &capture.metrics()));
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_contains_data() {
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer({
            let written = written.clone();
            move || written.clone()
        })
        .finish();
    tracing::subscriber::with_default(subscriber, through_all_doors);
    let bytes = written.0.lock().expect("not poisoned").clone();
    assert_clean(&String::from_utf8(bytes).expect("text"));
}

#[test]
fn raw_text_is_exported_on_purpose() {
    #[db_op(query, query_text = raw(sql), system = "shelf")]
    fn parameterized(sql: &str) {}

    let capture = Capture::new();
    capture.run(|| {
        parameterized("SELECT a FROM birds WHERE b = ? AND c = 1");
        operation(BY_HAND)
            .raw_query_text("SELECT a FROM shelves WHERE b = ? LIMIT 1")
            .start()
            .finish();
    });
    capture.spans().assert_tree_with(
        &["db.query.summary", "db.query.text"],
        r#"
        SELECT birds [client]
          | db.query.summary = "SELECT birds"
          | db.query.text = "SELECT a FROM birds WHERE b = ? AND c = 1"
        SELECT shelves [client]
          | db.query.summary = "SELECT shelves"
          | db.query.text = "SELECT a FROM shelves WHERE b = ? LIMIT 1"
        "#,
    );
}

#[test]
fn a_text_without_a_summary_gets_one() {
    let capture = Capture::new();
    capture.run(|| {
        sync("select a from birds where b = 7").expect_err("it fails");
        ready(asynchronous("SELECT 1 FROM eggs")).expect_err("it fails");
        assert!(summarized(r"SELECT 'it\'s', a FROM eggs").is_none());
        sync("").expect_err("it fails");
    });
    capture.spans().assert_tree_with(
        &["db.query.summary", "db.query.text"],
        r#"
        select birds [client, error]
          | db.query.summary = "select birds"
          | db.query.text = "select a from birds where b = ?"
        SELECT eggs [client, error]
          | db.query.summary = "SELECT eggs"
          | db.query.text = "SELECT ? FROM eggs"
        birds [client]
          | db.query.summary = "birds"
          | db.query.text = "SELECT ?, a FROM eggs"
        query [client, error]
        "#,
    );
}

#[test]
fn a_raw_text_is_bounded() {
    #[db_op(query, query_text = raw(sql), system = "shelf")]
    fn parameterized(sql: &str) {}

    let capture = Capture::new();
    capture.run(|| {
        parameterized(&format!(
            "SELECT a FROM birds WHERE b IN ({})",
            "?, ".repeat(9000)
        ));
    });
    let spans = capture.spans();
    let text = spans
        .span("SELECT birds")
        .attribute("db.query.text")
        .unwrap();
    let length = text.as_str().len();
    assert!((4000..=4096).contains(&length), "{length}");
}
