//! Canaries: words in every place that can hold data or a secret, at the level TRACE, with every
//! exporter of the pipeline. No exported or printed byte contains one.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

mod engine;

use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use percolate_core::embeddings::{HttpEmbeddings, HttpEmbeddingsOptions};
use percolate_core::otel::{ConventionLayer, Environment, Exporter, Otlp, OtlpProtocol, Telemetry};
use percolate_core::storage::{BackgroundWorker, ScanRange, Task, WorkerOptions};
use percolate_core::{
    Database, DatabaseOptions, Existing, ExportOptions, ImportOptions, OnError, Vectors, db_op,
};
use percolate_pipeline_tests::{Answer, Collector};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;

/// Every word that must not appear begins with this.
const CANARY: &str = "canary";

/// A number of vectors and conditions that must not appear.
const CANARY_NUMBER: f32 = 7_395_182.5;

/// A writer that keeps what is written.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("canary_error")
    }
}

impl std::error::Error for Refused {}

#[db_op("check", cf)]
fn check(cf: &str, secret: &str) -> Result<(), Refused> {
    assert_ne!(secret, "canary_panic", "canary_panic in {cf}");
    Err(Refused)
}

/// An embedding service that refuses each request with a body that repeats data, and keeps the
/// requests. Returns its address.
fn refusing_service() -> (u16, Lines) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Lines::default();
    let mut kept = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 16 * 1024];
            let length = stream.read(&mut request).unwrap();
            kept.write_all(&request[..length]).unwrap();
            let body = r#"{"error": {"message": "canary_body"}}"#;
            let length = body.len();
            _ = write!(
                stream,
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
    });
    (port, requests)
}

fn storage(db: &Database) {
    let storage = db.storage();
    storage
        .put("entities", "canary_key", "canary_value")
        .unwrap();
    storage.get("entities", "canary_key").unwrap().unwrap();
    storage.multi_get("entities", &["canary_key"]).unwrap();
    let range = ScanRange::prefix("canary_prefix");
    assert_eq!(storage.scan("entities", range).unwrap().count(), 0);
    let mut batch = storage.batch();
    batch
        .put("entities", "canary_batch", "canary_value")
        .unwrap();
    batch.delete("entities", "canary_key").unwrap();
    batch.commit().unwrap();
    storage
        .delete_range("entities", "canary_a", "canary_z")
        .unwrap();
    storage.delete("entities", "canary_key").unwrap();
    storage.flush().unwrap();
    if engine::name() == "rocksdb" {
        storage.compact("entities").unwrap();
    }
}

fn entities(db: &Database) {
    let schema = json!({
        "properties": {
            "slug": { "type": "string" }, "year": { "type": "integer" }, "tag": { "type": "string" },
            "body": { "type": "string", "description": "canary_description", "default": "canary_default" },
        },
        "key_field": "slug",
        "indexed_fields": ["tag"],
        "embedding_fields": ["body"],
    });
    db.register_schema("articles", &schema).unwrap();
    let article = json!({
        "slug": "canary_slug", "year": 1957, "tag": "canary_tag", "body": "canary_text",
        "more": { "inside": ["canary_document"] },
    });
    let id = db.insert("articles", &article).unwrap();
    db.insert("articles", &article).unwrap_err();
    db.upsert("articles", &article).unwrap();
    let vectors = Vectors::new().set("body", [CANARY_NUMBER, 1.0]);
    db.upsert_with_vectors("articles", &article, &vectors)
        .unwrap();
    for wrong in [vec![CANARY_NUMBER], vec![CANARY_NUMBER, f32::NAN]] {
        let vectors = Vectors::new().set("body", wrong);
        db.upsert_with_vectors("articles", &article, &vectors)
            .unwrap_err();
    }
    let vectors = Vectors::new().remove("body");
    db.upsert_with_vectors("articles", &article, &vectors)
        .unwrap();
    db.insert(
        "articles",
        &json!({ "slug": "canary_bad", "year": "canary_year" }),
    )
    .unwrap_err();
    db.insert("articles", &json!("canary_document"))
        .unwrap_err();
    db.update("articles", "canary_slug", &json!({ "tag": "canary_other" }))
        .unwrap();
    db.update("articles", "canary_nobody", &json!({}))
        .unwrap_err();
    db.lookup("articles", "canary_slug").unwrap().unwrap();
    db.get("articles", id).unwrap().unwrap();
    let found = db.find("articles", "tag", "canary_a"..="canary_z").unwrap();
    assert_eq!(found.len(), 1);
    db.find("articles", "canary_field", "a"..).unwrap_err();
    transfers(db);
    db.indexes().rebuild_all().unwrap();
    db.indexes().verify().unwrap();
    db.store_resource("canary_resource", b"canary_bytes")
        .unwrap();
    db.load_resource("canary_resource").unwrap().unwrap();
    db.delete_resource("canary_resource").unwrap();
}

fn transfers(db: &Database) {
    let mut lines = Vec::new();
    assert_eq!(db.export_jsonl("articles", &mut lines).unwrap(), 1);
    let skip = ImportOptions::new().on_error(OnError::Skip);
    let abort = ImportOptions::new();
    let rows = [
        r#"{"slug": "canary_imported", "body": "canary_text"}"#,
        r#"{"slug": "canary_slug"}"#,
        r#"{"slug": "canary_bad", "year": "canary_year"}"#,
        r#"{"slug": "canary_cut"#,
        "canary_line",
    ]
    .join("\n");
    db.import_jsonl("articles", rows.as_bytes(), &abort)
        .unwrap_err();
    let report = db.import_jsonl("articles", rows.as_bytes(), &skip).unwrap();
    assert_eq!((report.written, report.refused), (1, 4));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("canary_file");
    let options = ExportOptions::new();
    assert_eq!(
        db.export_jsonl_file("articles", &file, &options).unwrap(),
        2
    );
    let replace = ImportOptions::new().existing(Existing::Replace);
    db.import_jsonl_file("articles", &file, &replace).unwrap();
    db.import_jsonl_file("articles", directory.path().join("canary_missing"), &abort)
        .unwrap_err();
    vectors(db);
    let failing = Err(std::io::Error::other("canary_source"));
    db.import_rows("articles", [failing], &skip).unwrap_err();
}

fn vectors(db: &Database) {
    let row = |fields: &str| {
        let fields = fields.replace("NUMBER", &CANARY_NUMBER.to_string());
        format!("{{\"slug\": \"canary_vector\", {fields}}}")
    };
    let replace = ImportOptions::new().existing(Existing::Replace);
    let line = row(r#""body": "canary_text", "_vectors": {"body": [NUMBER, 1]}"#);
    db.import_jsonl("articles", line.as_bytes(), &replace)
        .unwrap();
    for wrong in [
        r#""_vectors": {"body": [NUMBER]}"#,
        r#""_vectors": {"body": [NUMBER, 1e39]}"#,
        r#""_vectors": {"body": [NUMBER, "canary_element"]}"#,
        r#""_vectors": [NUMBER, 1]"#,
        r#""_vectors": {"body": [NUMBER, 1]}, "_embedded_by": {"body": "canary_provider"}"#,
        r#""_embedded_by": "canary_provider""#,
    ] {
        let line = row(wrong);
        db.import_jsonl("articles", line.as_bytes(), &replace)
            .unwrap_err();
        let data = serde_json::from_str(&line).unwrap();
        db.upsert("articles", &data).unwrap_err();
        db.batch().upsert("articles", &data).unwrap_err();
    }
    let options = ExportOptions::new().vectors(true);
    let mut lines = Vec::new();
    db.export_jsonl_with("articles", &mut lines, &options)
        .unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains(&CANARY_NUMBER.to_string()));
    db.export_arrow("articles", &options, |_| Ok(())).unwrap();
    db.purge("articles", "canary_vector").unwrap();
}

/// The service refuses each request, so these writes fail.
fn writes_that_embed(db: &Database) {
    let schema = json!({ "key_field": "slug", "embedding_fields": ["body"], "embed": "on_write" });
    db.register_schema("embedded", &schema).unwrap();
    let article = json!({ "slug": "canary_slug", "body": "canary_text" });
    db.insert("embedded", &article).unwrap_err();
    db.insert_batch("embedded", &[article]).unwrap_err();
}

async fn queries(db: &Database) {
    for sql in [
        "SELECT * FROM articles WHERE slug = 'canary_slug' -- canary_comment",
        "SELECT body || 'canary_literal' FROM articles",
        "SELECT CAST('canary_literal' AS INT) FROM articles",
        "SELECT CAST(body AS INT) FROM articles",
        "SELECT no_such_function('canary_literal')",
        "SELECT 'canary_literal",
        "canary_statement",
        "SELECT arrow_cast(body, 'Int32') FROM articles",
    ] {
        _ = db.query(sql).await;
    }
    let sql = "SELECT * FROM articles WHERE slug = $1";
    db.query_with(sql, &[json!("canary_parameter")])
        .await
        .unwrap();
    db.query_with("SELECT $1 + 1", &[json!("canary_parameter")])
        .await
        .unwrap_err();
    for condition in [
        "slug = 'canary_literal' OR year = 7395182.5",
        "CAST('canary_literal' AS INT) = 7395182.5",
        "slug = 'canary_literal' AND",
        "no_column = 7395182.5",
    ] {
        let vector = [CANARY_NUMBER, 1.0];
        let found = db.search_vector_where("articles", &vector, 3, condition, &[]);
        _ = found.await;
        let found = db.search_where("articles", "canary_search", 3, condition, &[]);
        found.await.unwrap_err();
    }
    let vector = [CANARY_NUMBER, 1.0];
    let parameters = [json!("canary_parameter"), json!(CANARY_NUMBER)];
    let condition = "slug <> $1 AND year <> $2";
    db.search_vector_where("articles", &vector, 3, condition, &parameters)
        .await
        .unwrap();
    db.search_vector_async("articles", &vector, 3, None)
        .await
        .unwrap();
    let wrong = [CANARY_NUMBER, f32::NAN];
    db.search_vector_where("articles", &wrong, 3, "true", &[])
        .await
        .unwrap_err();
    let result = db.query("SELECT * FROM articles").await.unwrap();
    let (schema, batches) = (result.schema().clone(), result.into_batches());
    let batches = batches.into_iter().map(Ok);
    let replace = ImportOptions::new().existing(Existing::Replace);
    db.insert_arrow("articles", &schema, batches.clone(), &replace)
        .unwrap();
    db.insert_arrow("articles", &schema, batches, &ImportOptions::new())
        .unwrap_err();
    let options = ExportOptions::new();
    db.export_arrow("articles", &options, |_| Ok(())).unwrap();
    let full = |_| Err(std::io::Error::other("canary_target"));
    db.export_arrow("articles", &options, full).unwrap_err();
    db.generate_embeddings("articles").await.ok();
    db.search("articles", "canary_search", 3, None)
        .await
        .unwrap_err();
}

async fn jobs(db: &Database) {
    let options = WorkerOptions::new().attempts(2).name("maintenance");
    let worker = BackgroundWorker::new(db.clone(), options).unwrap();
    let task = Task::GenerateEmbeddings {
        table: "articles".to_owned(),
    };
    worker.submit_and_wait(task).await.unwrap_err();
    let panics = worker.submit_job(|_| Box::pin(async { panic!("canary_job_panic") }));
    panics.unwrap().await.unwrap_err();
    let fails = worker.submit_job(|_| Box::pin(async { Err(Refused.into()) }));
    fails.unwrap().await.unwrap_err();
    worker.shutdown(Duration::from_secs(10)).await;
}

#[test]
fn no_byte_of_any_exporter_contains_data_or_a_secret() {
    // The default hook prints the messages of panics, which is not percolate's output.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (console, lines) = (Lines::default(), Lines::default());
    let collector = Collector::http(Answer::RejectAll("no space for canary_message"));
    let otlp = Otlp::to(collector.endpoint())
        .protocol(OtlpProtocol::HttpProtobuf)
        .header("authorization", "Bearer canary_header");
    let exporters = [Exporter::Otlp, Exporter::Console];
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .traces(exporters)
        .metrics(exporters)
        .logs([Exporter::Otlp])
        .console_writer(console.clone())
        .otlp(otlp)
        .span_events(true)
        .install_subscriber(false)
        .install()
        .unwrap();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::registry()
        .with(ConventionLayer::new())
        .with(guard.layer())
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(move || writer.clone()),
        );
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (port, requests) = refusing_service();
    let service = format!("http://user:canary_password@127.0.0.1:{port}/v1?api_key=canary_query");
    let service = HttpEmbeddingsOptions::new(service, "model", 2)
        .api_key("canary_api_key")
        .attempts(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    {
        let baggage = [KeyValue::new("user", "canary_baggage")];
        let _baggage = Context::current_with_baggage(baggage).attach();
        let _request = tracing::info_span!("request").entered();
        let provider = Arc::new(HttpEmbeddings::new(service).unwrap());
        let options = DatabaseOptions::new().provider(provider);
        let db = Database::open_with(engine::place(&directory.path().join("db")), options).unwrap();
        storage(&db);
        entities(&db);
        writes_that_embed(&db);
        runtime.block_on(queries(&db));
        runtime.block_on(jobs(&db));
        check("articles", "canary_argument").unwrap_err();
        std::panic::catch_unwind(|| check("articles", "canary_panic")).unwrap_err();
        db.close().unwrap();
        tracing::trace!("the last line");
    }
    std::panic::set_hook(hook);
    let error = guard.force_flush(Duration::from_mins(1)).unwrap_err();
    let status = guard.status();
    _ = guard.shutdown(Duration::from_mins(1));

    let bodies = collector.bodies();
    let mut outputs = vec![
        ("console", console.text()),
        ("lines of tracing", lines.text()),
        ("status", format!("{status:#?}")),
        ("error of the flush", format!("{error} {error:?}")),
    ];
    for body in &bodies {
        outputs.push(("collector", String::from_utf8_lossy(body).into_owned()));
    }
    // Every path was taken: the names that belong to the telemetry are there.
    let all = outputs.iter().fold(String::new(), |mut all, (_, text)| {
        all.write_str(text).unwrap();
        all
    });
    for name in [
        "insert articles",
        "import articles",
        "export articles",
        "multi_get entities",
        "batch_write entities",
        "SELECT articles",
        "search articles",
        "index.rebuild",
        "db.client.operation.duration",
        "get resources",
        "check articles",
        "insert embedded",
        "embedding.generate batch",
        "the collector rejected",
        "TRACE request: canaries: the last line",
    ] {
        assert!(all.contains(name), "{name} is missing in {all}");
    }
    assert!(requests.text().contains("canary_api_key"), "it is sent");
    assert!(!requests.text().contains("canary_baggage"));
    let found: Vec<_> = outputs
        .iter()
        .flat_map(|(output, text)| text.lines().map(move |line| (output, line)))
        .filter(|(_, line)| line.contains(CANARY) || line.contains(&CANARY_NUMBER.to_string()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
