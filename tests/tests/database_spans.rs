//! The spans of the database's functions. The store operations of a function are its children. A
//! background job is a child of a caller that waits for it, otherwise a new trace with a link.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

mod engine;

use std::fmt::Write as _;
use std::time::Duration;

use percolate_core::otel::testing::Capture;
use percolate_core::storage::{BackgroundWorker, Task, WorkerOptions};
use percolate_core::{Database, ExportOptions, ImportOptions, OnError};
use serde_json::{Value, json};

/// Opens a database with two articles outside any capture. Also returns its directory.
fn library() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(engine::place(&dir.path().join("library"))).unwrap();
    let schema = json!({
        "properties": { "slug": { "type": "string" }, "year": { "type": "integer" }, "body": { "type": "string" } },
        "key_field": "slug",
        "indexed_fields": ["year"],
        "embedding_fields": ["body"],
    });
    db.register_schema("articles", &schema).unwrap();
    db.insert_batch("articles", &[article("one", 1957), article("two", 2024)])
        .unwrap();
    (dir, db)
}

fn article(slug: &str, year: i64) -> Value {
    json!({ "slug": slug, "year": year, "body": format!("the body of {slug}") })
}

/// Runs `body` under a parent span, on both recording paths, and compares the tree with `expected`.
fn observe(body: impl Fn(&Database), expected: &str) {
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let (_dir, db) = library();
        capture.run(|| {
            let _request = tracing::info_span!("request").entered();
            body(&db);
        });
        capture.spans().assert_tree_with(&KEYS, expected);
        capture.report().assert_clean();
    }
}

const KEYS: [&str; 8] = [
    "db.query.summary",
    "db.query.text",
    "db.response.returned_rows",
    "db.response.affected_rows",
    "db.operation.batch.size",
    "error.type",
    "job.batch_size",
    "job.status",
];

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn insert_reads_then_writes_one_batch() {
    observe(
        |db| {
            assert_eq!(
                db.insert("articles", &article("three", 1))
                    .unwrap()
                    .get_version_num(),
                5
            );
        },
        "
        request [internal]
          insert articles [client]
            | db.response.affected_rows = 1
            get entities [client]
              | db.response.returned_rows = 0
            batch_write library [client]
              | db.operation.batch.size = 4
              | db.response.affected_rows = 4
        ",
    );
}

#[test]
fn insert_of_a_taken_key_fails_without_a_write() {
    observe(
        |db| drop(db.insert("articles", &article("one", 1)).unwrap_err()),
        r#"
        request [internal]
          insert articles [client, error]
            | error.type = "Exists"
            get entities [client]
              | db.response.returned_rows = 1
        "#,
    );
}

#[test]
fn an_import_is_one_span_with_a_read_and_a_write_for_each_batch() {
    observe(
        |db| {
            let rows = (0..5).map(|number| article(&number.to_string(), number).to_string());
            let lines = rows.collect::<Vec<_>>().join("\n");
            let options = ImportOptions::new().on_error(OnError::Skip).batch_size(3);
            let report = db.import_jsonl("articles", lines.as_bytes(), &options);
            assert_eq!(report.unwrap().written, 5);
        },
        "
        request [internal]
          import articles [client]
            | db.operation.batch.size = 5
            | db.response.affected_rows = 5
            multi_get entities [client]
              | db.response.returned_rows = 0
            batch_write library [client]
              | db.operation.batch.size = 12
              | db.response.affected_rows = 12
            multi_get entities [client]
              | db.response.returned_rows = 0
            batch_write library [client]
              | db.operation.batch.size = 8
              | db.response.affected_rows = 8
        ",
    );
}

#[test]
fn an_import_that_aborts_has_the_error_and_writes_nothing() {
    observe(
        |db| {
            let lines = "{\"slug\": \"one\"}\n{\"slug\": 1}\n";
            let result = db.import_jsonl("articles", lines.as_bytes(), &ImportOptions::new());
            drop(result.unwrap_err());
        },
        r#"
        request [internal]
          import articles [client, error]
            | error.type = "RowsRefused"
            multi_get entities [client]
              | db.response.returned_rows = 1
        "#,
    );
}

#[test]
fn an_export_is_one_span_with_one_scan() {
    observe(
        |db| {
            assert_eq!(db.export_jsonl("articles", std::io::sink()).unwrap(), 2);
        },
        "
        request [internal]
          export articles [client]
            | db.response.returned_rows = 2
            scan entities [client]
              | db.response.returned_rows = 2
        ",
    );
}

#[test]
fn an_export_with_vectors_scans_them_too() {
    observe(
        |db| {
            let options = ExportOptions::new().vectors(true);
            let written = db.export_jsonl_with("articles", std::io::sink(), &options);
            assert_eq!(written.unwrap(), 2);
        },
        "
        request [internal]
          export articles [client]
            | db.response.returned_rows = 2
            scan embeddings [client]
              | db.response.returned_rows = 0
            scan entities [client]
              | db.response.returned_rows = 2
        ",
    );
}

#[test]
fn insert_batch_writes_one_batch() {
    observe(
        |db| {
            drop(
                db.insert_batch("articles", &[article("three", 1), article("four", 1)])
                    .unwrap(),
            );
        },
        "
        request [internal]
          insert articles [client]
            | db.operation.batch.size = 2
            | db.response.affected_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 0
            batch_write library [client]
              | db.operation.batch.size = 8
              | db.response.affected_rows = 8
        ",
    );
}

#[test]
fn lookup_goes_through_the_key_index() {
    observe(
        |db| drop(db.lookup("articles", "one").unwrap()),
        "
        request [internal]
          lookup articles [client]
            | db.response.returned_rows = 1
            get key_index [client]
              | db.response.returned_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
        ",
    );
}

#[test]
fn find_goes_through_the_field_index() {
    observe(
        |db| drop(db.find("articles", "year", 1950..=1960).unwrap()),
        "
        request [internal]
          find articles [client]
            | db.response.returned_rows = 1
            scan field_index [client]
              | db.response.returned_rows = 1
            multi_get entities [client]
              | db.response.returned_rows = 1
        ",
    );
}

#[test]
fn scan_and_count_read_the_entities() {
    observe(
        |db| {
            assert_eq!(db.scan("articles").unwrap().count(), 2);
            assert_eq!(db.count("articles").unwrap(), 2);
            assert_eq!(db.list("articles", None, 1).unwrap().len(), 1);
        },
        "
        request [internal]
          scan articles [client]
            | db.response.returned_rows = 2
            scan entities [client]
              | db.response.returned_rows = 2
          count articles [client]
            scan entities [client]
              | db.response.returned_rows = 2
          list articles [client]
            | db.response.returned_rows = 1
            scan entities [client]
              | db.response.returned_rows = 1
        ",
    );
}

#[test]
fn reads_and_writes_of_one_entity() {
    observe(
        |db| {
            let id = db.upsert("articles", &article("one", 3)).unwrap();
            db.update("articles", id, &json!({ "year": 4 })).unwrap();
            db.get("articles", id).unwrap().unwrap();
            db.get_batch("articles", [id]).unwrap();
            assert!(db.delete("articles", id).unwrap());
            assert!(db.purge("articles", id).unwrap());
        },
        "
        request [internal]
          upsert articles [client]
            | db.response.affected_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
            batch_write library [client]
              | db.operation.batch.size = 3
              | db.response.affected_rows = 3
          update articles [client]
            | db.response.affected_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
            batch_write library [client]
              | db.operation.batch.size = 3
              | db.response.affected_rows = 3
          get articles [client]
            | db.response.returned_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
          multi_get articles [client]
            | db.response.returned_rows = 1
            multi_get entities [client]
              | db.response.returned_rows = 1
          delete articles [client]
            | db.response.affected_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
            batch_write library [client]
              | db.operation.batch.size = 6
              | db.response.affected_rows = 6
          purge articles [client]
            | db.response.affected_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
            batch_write library [client]
              | db.operation.batch.size = 4
              | db.response.affected_rows = 4
        ",
    );
}

#[test]
fn a_query_is_named_by_its_summary_and_its_reads_are_its_children() {
    observe(
        |db| {
            wait(async {
                db.query("SELECT slug FROM articles WHERE year = 1957 AND body LIKE 'the%'")
                    .await
                    .unwrap();
                db.query("SELECT count(*) FROM articles").await.unwrap();
                db.query_with(
                    "SELECT year FROM articles WHERE slug IN ($1, 'two')",
                    &[json!("one")],
                )
                .await
                .unwrap();
                db.query("SELECT 1").await.unwrap();
            });
        },
        r#"
        request [internal]
          SELECT articles [client]
            | db.query.summary = "SELECT articles"
            | db.query.text = "SELECT slug FROM articles WHERE year = ? AND body LIKE ?"
            | db.response.returned_rows = 1
            get meta [client]
              | db.response.returned_rows = 0
            scan field_index [client]
              | db.response.returned_rows = 1
            get entities [client]
              | db.response.returned_rows = 1
          SELECT articles [client]
            | db.query.summary = "SELECT articles"
            | db.query.text = "SELECT count(*) FROM articles"
            | db.response.returned_rows = 1
            scan entities [client]
              | db.response.returned_rows = 2
          SELECT articles [client]
            | db.query.summary = "SELECT articles"
            | db.query.text = "SELECT year FROM articles WHERE slug IN ($1, ?)"
            | db.response.returned_rows = 2
            multi_get key_index [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
          SELECT [client]
            | db.query.summary = "SELECT"
            | db.query.text = "SELECT ?"
            | db.response.returned_rows = 1
        "#,
    );
}

#[test]
fn the_reads_of_a_join_are_children_of_the_query_on_any_runtime() {
    let threads = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    observe(
        |db| {
            let sql = "SELECT a.slug FROM articles a JOIN articles b ON a.year = b.year UNION ALL SELECT slug FROM articles";
            assert_eq!(threads().block_on(db.query(sql)).unwrap().num_rows(), 4);
        },
        r#"
        request [internal]
          SELECT articles articles articles [client]
            | db.query.summary = "SELECT articles articles articles"
            | db.query.text = "SELECT a.slug FROM articles a JOIN articles b ON a.year = b.year UNION ALL SELECT slug FROM articles"
            | db.response.returned_rows = 4
            scan entities [client]
              | db.response.returned_rows = 2
            scan entities [client]
              | db.response.returned_rows = 2
            scan entities [client]
              | db.response.returned_rows = 2
        "#,
    );
}

#[test]
fn a_failed_query_has_its_error_type() {
    observe(
        |db| {
            for sql in [
                "",
                "SELECT 'secret",
                "DELETE FROM articles WHERE slug = 'secret'",
                "SELECT * FROM artcles",
                "SELECT slgu FROM articles",
                "SELECT CAST(slug AS INT) FROM articles",
            ] {
                wait(db.query(sql)).unwrap_err();
            }
            wait(db.query_with("SELECT $1", &[])).unwrap_err();
        },
        r#"
        request [internal]
          query [client, error]
            | db.query.summary = "query"
            | error.type = "QueryEmpty"
          SELECT [client, error]
            | db.query.summary = "SELECT"
            | error.type = "QuerySyntax"
          DELETE articles [client, error]
            | db.query.summary = "DELETE articles"
            | error.type = "QueryRefused"
          SELECT artcles [client, error]
            | db.query.summary = "SELECT artcles"
            | db.query.text = "SELECT * FROM artcles"
            | error.type = "UnknownTable"
          SELECT articles [client, error]
            | db.query.summary = "SELECT articles"
            | db.query.text = "SELECT slgu FROM articles"
            | error.type = "QueryUnknownColumn"
          SELECT articles [client, error]
            | db.query.summary = "SELECT articles"
            | db.query.text = "SELECT CAST(slug AS INT) FROM articles"
            | error.type = "QueryFailed"
            scan entities [client]
              | db.response.returned_rows = 2
          SELECT [client, error]
            | db.query.summary = "SELECT"
            | db.query.text = "SELECT $1"
            | error.type = "QueryParameter"
        "#,
    );
}

#[test]
fn a_dropped_query_is_cancelled_and_leaves_no_reader_behind() {
    observe(
        |db| {
            wait(async {
                let endless = "SELECT count(*) FROM articles, generate_series(1, 1000000000000)";
                // Long enough to plan and to start reading, on a busy machine too.
                let timeout = tokio::time::timeout(Duration::from_secs(3), db.query(endless)).await;
                assert!(timeout.is_err());
            });
            // Dropping the runtime has waited for its threads.
        },
        r#"
        request [internal]
          SELECT articles generate_series [client, error]
            | db.query.summary = "SELECT articles generate_series"
            | db.query.text = "SELECT count(*) FROM articles, generate_series(?, ?)"
            | error.type = "cancelled"
            scan entities [client]
              | db.response.returned_rows = 2
        "#,
    );
}

#[test]
fn rebuilding_the_key_index_is_a_job_over_operations() {
    observe(
        |db| drop(db.indexes().rebuild_key_index()),
        r#"
        request [internal]
          index.key.rebuild all [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan entities [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get key_index [client]
              | db.response.returned_rows = 2
            scan key_index [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
        "#,
    );
}

#[test]
fn rebuilding_field_indexes_is_named_after_the_table() {
    observe(
        |db| drop(db.indexes().rebuild_field_indexes("articles")),
        r#"
        request [internal]
          index.field.rebuild articles [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan entities [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get field_index [client]
              | db.response.returned_rows = 2
            scan field_index [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
        "#,
    );
}

#[test]
fn embedding_is_a_job_and_searching_reads_the_entities() {
    observe(
        |db| {
            wait(async {
                db.generate_embeddings("articles").await.unwrap();
                db.search("articles", "one", 1, None).await.unwrap();
            });
        },
        r#"
        request [internal]
          embedding.generate articles [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan pending_embeddings [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get embeddings [client]
              | db.response.returned_rows = 0
            embedding.generate batch [internal]
              | job.batch_size = 2
              | job.status = "success"
            multi_get entities [client]
              | db.response.returned_rows = 2
            batch_write library [client]
              | db.operation.batch.size = 5
              | db.response.affected_rows = 5
          search articles [client]
            | db.response.returned_rows = 1
            get meta [client]
              | db.response.returned_rows = 1
            index.build articles [internal]
              | job.batch_size = 2
              | job.status = "success"
              scan embeddings [client]
                | db.response.returned_rows = 2
            get meta [client]
              | db.response.returned_rows = 1
            multi_get entities [client]
              | db.response.returned_rows = 1
        "#,
    );
}

#[test]
fn vector_indexes_are_built_saved_and_loaded_by_jobs() {
    observe(
        |db| {
            wait(db.generate_embeddings("articles")).unwrap();
            db.indexes().rebuild_hnsw_index().unwrap();
            db.save_index("articles").unwrap();
            db.load_index("articles").unwrap();
        },
        r#"
        request [internal]
          embedding.generate articles [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan pending_embeddings [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get embeddings [client]
              | db.response.returned_rows = 0
            embedding.generate batch [internal]
              | job.batch_size = 2
              | job.status = "success"
            multi_get entities [client]
              | db.response.returned_rows = 2
            batch_write library [client]
              | db.operation.batch.size = 5
              | db.response.affected_rows = 5
          index.build hnsw [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan entities [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get embeddings [client]
              | db.response.returned_rows = 2
            scan embeddings [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            scan embeddings [client]
              | db.response.returned_rows = 2
            get meta [client]
              | db.response.returned_rows = 1
          index.save articles [internal]
            | job.batch_size = 2
            | job.status = "success"
          index.load articles [internal]
            | job.batch_size = 2
            | job.status = "success"
        "#,
    );
}

#[test]
fn a_task_with_a_waiting_caller_is_a_child() {
    if !engine::is_rocksdb_or_skip("it compacts by itself, so that a task fails") {
        return;
    }
    observe(
        |db| {
            wait(async {
                let worker =
                    BackgroundWorker::new(db.clone(), WorkerOptions::new().workers(1)).unwrap();
                worker.submit_and_wait(Task::FlushWal).await.unwrap();
                worker
                    .submit_and_wait(Task::CompactCF {
                        cf: "entities".to_owned(),
                    })
                    .await
                    .unwrap();
                worker
                    .submit_and_wait(Task::GenerateEmbeddings {
                        table: "articles".to_owned(),
                    })
                    .await
                    .unwrap();
                worker
                    .submit_and_wait(Task::SaveIndex {
                        table: "articles".to_owned(),
                    })
                    .await
                    .unwrap();
                worker
                    .submit_and_wait(Task::LoadIndex {
                        table: "articles".to_owned(),
                    })
                    .await
                    .unwrap();
                worker.shutdown(Duration::from_secs(10)).await;
            });
        },
        r#"
        request [internal]
          wal.flush wal [internal]
            | job.status = "success"
            flush_wal library [client]
          db.compact entities [internal]
            | job.status = "success"
            compact entities [client]
          embedding.generate articles [internal]
            | job.batch_size = 2
            | job.status = "success"
            scan pending_embeddings [client]
              | db.response.returned_rows = 2
            multi_get entities [client]
              | db.response.returned_rows = 2
            multi_get embeddings [client]
              | db.response.returned_rows = 0
            embedding.generate batch [internal]
              | job.batch_size = 2
              | job.status = "success"
            multi_get entities [client]
              | db.response.returned_rows = 2
            batch_write library [client]
              | db.operation.batch.size = 5
              | db.response.affected_rows = 5
          index.save articles [internal]
            | job.batch_size = 2
            | job.status = "success"
            get meta [client]
              | db.response.returned_rows = 1
            index.build articles [internal]
              | job.batch_size = 2
              | job.status = "success"
              scan embeddings [client]
                | db.response.returned_rows = 2
            get meta [client]
              | db.response.returned_rows = 1
          index.load articles [internal]
            | job.batch_size = 2
            | job.status = "success"
        "#,
    );
}

#[test]
fn a_task_without_a_waiting_caller_is_a_trace_with_a_link_to_its_submitter() {
    if !engine::is_rocksdb_or_skip("it compacts by itself, so that the task fails") {
        return;
    }
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let (_dir, db) = library();
        capture.run(|| {
            let _request = tracing::info_span!("request").entered();
            wait(async {
                let worker = BackgroundWorker::new(db.clone(), WorkerOptions::new()).unwrap();
                worker
                    .submit(Task::CompactCF {
                        cf: "entities".to_owned(),
                    })
                    .unwrap()
                    .await
                    .unwrap();
                let failing = worker
                    .submit(Task::SaveIndex {
                        table: "artcles".to_owned(),
                    })
                    .unwrap();
                failing.await.unwrap_err();
            });
        });
        let spans = capture.spans();
        let (request, job) = (spans.span("request"), spans.span("db.compact entities"));
        assert_eq!(job.parent_id(), None);
        assert_ne!(job.trace_id(), request.trace_id());
        assert_eq!(job.links(), [(request.trace_id(), request.id())]);
        let below = spans.span("compact entities");
        assert_eq!(below.parent_id(), Some(job.id()));
        let failures = spans.all("index.save artcles");
        assert_eq!(failures.len(), 3, "one span for each attempt");
        assert!(
            failures
                .iter()
                .all(|span| span.is_error() && span.links().len() == 1)
        );
        capture.report().assert_clean();
    }
}

#[test]
fn a_workers_queue_is_measured() {
    let capture = Capture::new();
    let (_dir, db) = library();
    let queue = [("job.queue.name", "chores")];
    let length = || capture.metrics().sum("job.queue.length", &queue);
    let waits = || capture.metrics().count("job.queue.wait", &queue);
    capture.run(|| {
        wait(async {
            let worker = BackgroundWorker::new(db, WorkerOptions::new().name("chores")).unwrap();
            // On a single-threaded runtime no job starts before the first `.await`.
            let handles = [(); 3].map(|()| worker.submit(Task::FlushWal).unwrap());
            assert!((length() - 3.0).abs() < f64::EPSILON);
            for handle in handles {
                handle.await.unwrap();
            }
            worker.submit_and_wait(Task::FlushWal).await.unwrap();
            assert!(length().abs() < f64::EPSILON);
            assert_eq!(waits(), 4);
            let abandoned = worker.submit(Task::FlushWal).unwrap();
            drop(worker);
            abandoned.await.unwrap_err();
        });
    });
    assert!(length().abs() < f64::EPSILON);
    assert_eq!(waits(), 4, "the last job has not been taken");
    assert!(capture.metrics().sum("job.queue.wait", &queue) > 0.0);
    capture.report().assert_clean();
}

#[test]
fn data_is_in_no_span_and_no_metric() {
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let (_dir, db) = library();
        capture.run(|| {
            let id = db.insert("articles", &article("secret", 1)).unwrap();
            db.insert("articles", &article("secret", 1)).unwrap_err();
            db.insert("articles", &json!({ "slug": "secret", "year": "secret" })).unwrap_err();
            db.lookup("articles", "secret").unwrap();
            db.find("articles", "year", 0..).unwrap();
            wait(db.generate_embeddings("articles")).unwrap();
            wait(db.search("articles", "secret", 3, None)).unwrap();
            db.indexes().rebuild_all().unwrap();
            wait(db.query("SELECT * FROM articles WHERE slug = 'secret' AND year < 2 AND body LIKE '%secret%'"))
                .unwrap();
            wait(db.query_with("SELECT * FROM articles WHERE slug = $1", &[json!("secret")])).unwrap();
            wait(db.query("SELECT slug, 'secret' || slug FROM articles ORDER BY 2")).unwrap();
            wait(db.query("SELECT CAST(slug AS INT) FROM articles WHERE slug = 'secret'")).unwrap_err();
            wait(db.query("SELECT * FROM articles WHERE 'secret' 5 'secret")).unwrap_err();
            db.purge("articles", id).unwrap();
        });
        let spans: Vec<_> = capture
            .spans()
            .iter()
            .map(|span| format!("{:?}", span.data()))
            .collect();
        assert!(spans.len() > 20);
        let text = format!("{spans:?} {}", capture.metrics().text());
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn the_data_of_a_query_is_not_exported_whether_it_runs_or_is_refused() {
    const REFUSED: [&str; 14] = [
        "SELECT * FROM articles WHERE slug = \"canary@x\"",
        "SELECT * FROM articles WHERE slug = 'it's canary'",
        r"SELECT * FROM articles WHERE slug = 'it\'s canary'",
        r#"SELECT * FROM articles WHERE slug = E'it\'s' OR year = "canary""#,
        "my password is canary",
        "SELECT 'canary' FROM nothing",
        "SELECT CAST('canary' AS INT) FROM articles",
        "SELECT slug FROM articles WHERE slug = 'canary",
        "INSERT INTO articles VALUES ('canary', 0xcanary)",
        "SELECT no_such_function('canary')",
        "SELECT * FROM 'canary.csv'",
        "SELECT 1; SELECT 'canary'",
        "SELECT slug FROM articles WHERE year = 'canary'",
        "CREATE USER u IDENTIFIED BY canary",
    ];
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        let (_dir, db) = library();
        capture.run(|| {
            for sql in REFUSED {
                wait(db.query(sql)).unwrap_err();
            }
            wait(db.query_with("SELECT $1 + 1", &[json!("canary")])).unwrap_err();
            let found = wait(db.query(
                "SELECT slug FROM articles WHERE slug <> 'canary' AND year NOT IN (1, 2) -- canary",
            ));
            assert_eq!(found.unwrap().num_rows(), 2);
        });
        let mut exported = capture.metrics().text();
        for span in capture.spans().iter() {
            writeln!(exported, "{:?}", span.data()).unwrap();
        }
        assert!(exported.contains("slug <> ? AND year NOT IN (?)"));
        if let Some(line) = exported.lines().find(|line| line.contains("canary")) {
            panic!("{line}");
        }
    }
}
