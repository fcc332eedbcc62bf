//! A small program with a report: it reads and writes a shelf of books, some of which are missing.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use percolate_otel::{
    ConventionLayer, Environment, Exporter, Sampler, Telemetry, TelemetryBuilder, TelemetryGuard,
    background_job, db_op,
};
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::layer::SubscriberExt as _;

/// Texts that must not appear on a page.
pub(crate) const KEY: &str = "canary-key-4711";
pub(crate) const DOCUMENT: &str = "canary-document-4711";
pub(crate) const LITERAL: &str = "canary-literal-4711";
/// The value of an attribute, which must not become markup.
pub(crate) const MARKUP: &str = "<script>document.title = 'canary-script-4711'</script>";

#[derive(Debug, thiserror::Error)]
pub(crate) enum ShelfError {
    #[error("no book with the key {0}")]
    Missing(String),
}

#[db_op(get, "books", system = "shelf", rows = |_found| 1)]
pub(crate) fn get(key: &str) -> Result<String, ShelfError> {
    if key.contains("missing") {
        return Err(ShelfError::Missing(key.to_owned()));
    }
    Ok(DOCUMENT.to_owned())
}

#[db_op(put, "books", system = "shelf")]
pub(crate) fn put(key: &str, document: &str) {
    let _ = (key, document);
}

#[db_op(query, "books", system = "shelf", query_text = sql)]
pub(crate) fn query(sql: &str) {
    get(KEY).expect("it is there");
    let _ = sql;
}

#[background_job("shelf.import", "books", batch_size = books)]
pub(crate) fn import(books: usize) {
    for _ in 0..books {
        put(KEY, DOCUMENT);
    }
}

/// A pipeline with a report.
pub(crate) struct Shelf {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) telemetry: TelemetryGuard,
}

/// While one subscriber is registered, `tracing` decides about call sites by the subscriber of one thread, and
/// the tests have threads without one. With these it decides by all subscribers.
static OTHER_SUBSCRIBERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));

impl Shelf {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(options: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder) -> Self {
        LazyLock::force(&OTHER_SUBSCRIBERS);
        let folder = tempfile::tempdir().expect("a folder");
        let builder = Telemetry::builder()
            .environment(Environment::empty())
            .service_name("shelf")
            .traces([Exporter::None])
            .metrics([Exporter::None])
            .report(folder.path().join("report.html"));
        let telemetry = options(builder).build().expect("it builds");
        Self { folder, telemetry }
    }

    /// A pipeline that samples no trace.
    pub(crate) fn unsampled() -> Self {
        Self::with(|builder| {
            builder
                .sampler(Sampler::AlwaysOff)
                .slow_threshold(Duration::ZERO)
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }

    /// Runs `calls` with the pipeline and its layer.
    pub(crate) fn run<T>(&self, calls: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(self.telemetry.layer());
        tracing::subscriber::with_default(subscriber, || {
            let _entered = self.telemetry.enter();
            calls()
        })
    }

    pub(crate) fn flush(&self) -> Value {
        self.telemetry
            .force_flush(Duration::from_secs(10))
            .expect("it flushes");
        data(&self.path())
    }

    pub(crate) fn shutdown(&self) -> Value {
        self.telemetry
            .shutdown(Duration::from_secs(10))
            .expect("it shuts down");
        data(&self.path())
    }
}

/// Calls of every kind: a request with reads, a query and a failure, and a job with many writes.
pub(crate) fn day(conventions: Option<&ConventionLayer>) {
    let request = tracing::info_span!("GET /books/{id}", otel.kind = "server", app.page = MARKUP);
    request.in_scope(|| {
        for _ in 0..3 {
            get(KEY).expect("it is there");
        }
        query(&format!("SELECT * FROM books WHERE title = '{LITERAL}'"));
    });
    tracing::info_span!("GET /books/{id}", otel.kind = "server").in_scope(|| {
        get(&format!("missing {KEY}")).expect_err("it is missing");
    });
    import(40);
    if let Some(conventions) = conventions {
        let subscriber = tracing_subscriber::registry().with(conventions.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("get", otel.kind = "client", db.system = "shelf").in_scope(|| ());
        });
    }
}

/// Returns the data of a page.
pub(crate) fn data(path: &Path) -> Value {
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (_, rest) = page.split_once("id=\"data\">").expect("the data");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("JSON")
}

/// The row of an operation in a table of the data.
pub(crate) fn operation<'a>(table: &'a Value, name: &str) -> &'a Value {
    let rows = table.as_array().expect("a table");
    let row = rows.iter().find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("`{name}` is missing in {table}"))
}
