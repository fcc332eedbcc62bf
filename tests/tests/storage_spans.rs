//! The spans of each function of the store: name, kind, parent, attributes and their types. They
//! are equal in percolate's own pipeline and under a tracing-opentelemetry layer, and are checked
//! against the conventions.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

mod engine;

use std::fmt::Write as _;

use percolate_core::otel::testing::Capture;
use percolate_core::storage::{ScanRange, ServerAddress, Storage, StorageOptions};

/// Opens a store with one article outside any capture. Also returns its directory.
fn shelf() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let options = StorageOptions::new()
        .column_family("articles")
        .column_family("tags")
        .namespace("library")
        .server_address(ServerAddress::Custom("shelf-3".into()));
    let storage = Storage::open(engine::place(dir.path()), options).unwrap();
    storage.put("articles", "known-key", "known-value").unwrap();
    (dir, storage)
}

/// Runs `body` under a parent span, on both recording paths, and compares the child spans with
/// `expected`: the headline of each, and its attributes apart from those that all spans of the
/// store have.
fn observe(body: impl Fn(&Storage), expected: &[(&str, &[&str])]) {
    let mut tree = "request [internal]\n".to_owned();
    let system = format!("db.system.name = \"{}\"", engine::name());
    for (headline, attributes) in expected {
        let operation = headline.split_whitespace().next().unwrap();
        let operation = format!("db.operation.name = \"{operation}\"");
        let common = [
            "db.namespace = \"library\"",
            &system,
            "server.address = \"shelf-3\"",
        ];
        let mut lines = [&common[..], &[&operation], attributes].concat();
        lines.sort_unstable();
        _ = writeln!(tree, "  {headline}\n    | {}", lines.join("\n    | "));
    }
    for capture in captures(&body) {
        capture.spans().assert_tree_with_attributes(&tree);
        capture.report().assert_clean();
    }
}

fn captures(body: &impl Fn(&Storage)) -> [Capture; 2] {
    let captures = [Capture::new(), Capture::builder().compact_records().build()];
    for capture in &captures {
        let (_dir, storage) = shelf();
        capture.run(|| {
            let _request = tracing::info_span!("request").entered();
            body(&storage);
        });
    }
    captures
}

#[test]
fn get_counts_the_row_it_found() {
    observe(
        |storage| drop(storage.get("articles", "known-key").unwrap()),
        &[(
            "get articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.returned_rows = 1",
            ],
        )],
    );
}

#[test]
fn get_of_an_absent_key_is_not_an_error() {
    observe(
        |storage| drop(storage.get("articles", "no-such-key").unwrap()),
        &[(
            "get articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.returned_rows = 0",
            ],
        )],
    );
}

#[test]
fn put_affects_one_row() {
    observe(
        |storage| {
            storage
                .put("articles", "secret-key", "secret-value")
                .unwrap();
        },
        &[(
            "put articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.affected_rows = 1",
            ],
        )],
    );
}

#[test]
fn delete_is_one_operation() {
    observe(
        |storage| storage.delete("articles", "known-key").unwrap(),
        &[(
            "delete articles [client]",
            &["db.collection.name = \"articles\""],
        )],
    );
}

#[test]
fn delete_range_is_one_operation() {
    observe(
        |storage| storage.delete_range("articles", "a", "z").unwrap(),
        &[(
            "delete_range articles [client]",
            &["db.collection.name = \"articles\""],
        )],
    );
}

#[test]
fn multi_get_counts_the_rows_it_found() {
    observe(
        |storage| {
            drop(
                storage
                    .multi_get("articles", &["known-key", "no-such-key"])
                    .unwrap(),
            );
        },
        &[(
            "multi_get articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.returned_rows = 1",
            ],
        )],
    );
}

#[test]
fn scan_ends_with_its_iterator_and_counts_the_rows() {
    observe(
        |storage| {
            assert_eq!(
                storage.scan("articles", ScanRange::all()).unwrap().count(),
                1
            );
        },
        &[(
            "scan articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.returned_rows = 1",
            ],
        )],
    );
}

#[test]
fn a_scan_that_is_dropped_early_counts_the_rows_read() {
    observe(
        |storage| {
            drop(
                storage
                    .scan("articles", ScanRange::all().reverse())
                    .unwrap(),
            );
        },
        &[(
            "scan articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.response.returned_rows = 0",
            ],
        )],
    );
}

#[test]
fn batch_in_one_column_family_is_named_after_it() {
    observe(
        |storage| {
            let mut batch = storage.batch();
            batch.put("articles", "a", "1").unwrap();
            batch.put("articles", "b", "2").unwrap();
            batch.delete("articles", "known-key").unwrap();
            batch.commit().unwrap();
        },
        &[(
            "batch_write articles [client]",
            &[
                "db.collection.name = \"articles\"",
                "db.operation.batch.size = 3",
                "db.response.affected_rows = 3",
            ],
        )],
    );
}

#[test]
fn batch_across_column_families_has_no_collection() {
    observe(
        |storage| {
            let mut batch = storage.batch();
            batch.put("articles", "a", "1").unwrap();
            batch.put("tags", "b", "2").unwrap();
            batch.commit().unwrap();
        },
        &[(
            "batch_write library [client]",
            &[
                "db.operation.batch.size = 2",
                "db.response.affected_rows = 2",
            ],
        )],
    );
}

#[test]
fn an_empty_batch_has_size_0() {
    observe(
        |storage| assert_eq!(storage.batch().commit().unwrap(), 0),
        &[(
            "batch_write library [client]",
            &[
                "db.operation.batch.size = 0",
                "db.response.affected_rows = 0",
            ],
        )],
    );
}

#[test]
fn a_batch_of_one_is_reported_as_its_operation() {
    observe(
        |storage| {
            let mut batch = storage.batch();
            batch.put("articles", "a", "1").unwrap();
            batch.commit().unwrap();
            let mut batch = storage.batch();
            batch.delete("tags", "a").unwrap();
            batch.commit().unwrap();
        },
        &[
            (
                "put articles [client]",
                &[
                    "db.collection.name = \"articles\"",
                    "db.response.affected_rows = 1",
                ],
            ),
            ("delete tags [client]", &["db.collection.name = \"tags\""]),
        ],
    );
}

#[test]
fn flush_and_flush_wal_have_no_collection() {
    if !engine::is_rocksdb_or_skip("it has a span of its own for a flush, at the level TRACE") {
        return;
    }
    observe(
        |storage| {
            storage.flush().unwrap();
            storage.flush_wal(true).unwrap();
        },
        &[
            ("flush library [client]", &[]),
            ("flush_wal library [client]", &[]),
        ],
    );
}

#[test]
fn compact_has_its_column_family() {
    if !engine::is_rocksdb_or_skip("it compacts all families by itself") {
        return;
    }
    observe(
        |storage| storage.compact("articles").unwrap(),
        &[(
            "compact articles [client]",
            &["db.collection.name = \"articles\""],
        )],
    );
}

#[test]
fn a_checkpoint_is_one_operation() {
    if !engine::is_rocksdb_or_skip("it has no checkpoints in directories") {
        return;
    }
    observe(
        |storage| {
            storage
                .checkpoint(storage.path().with_extension("copy"))
                .unwrap();
            std::fs::remove_dir_all(storage.path().with_extension("copy")).unwrap();
        },
        &[("checkpoint library [client]", &[])],
    );
}

#[test]
fn create_column_family_is_one_operation() {
    if !engine::is_rocksdb_or_skip("it has a span of its own for a flush, at the level TRACE") {
        return;
    }
    observe(
        |storage| storage.create_column_family("notes").unwrap(),
        &[(
            "create_column_family notes [client]",
            &["db.collection.name = \"notes\""],
        )],
    );
}

#[test]
fn an_unknown_column_family_fails_the_operation_without_a_status_code() {
    observe(
        |storage| drop(storage.get("artcles", "key").unwrap_err()),
        &[(
            "get artcles [client, error]",
            &[
                "db.collection.name = \"artcles\"",
                "error.type = \"UnknownColumnFamily\"",
            ],
        )],
    );
}

#[test]
fn a_failure_of_rocksdb_has_its_status_code() {
    if !engine::is_rocksdb_or_skip("the failure is one of RocksDB") {
        return;
    }
    observe(
        |storage| {
            let below_a_file = storage.path().join("CURRENT").join("copy");
            storage.checkpoint(below_a_file).unwrap_err();
        },
        &[(
            "checkpoint library [client, error]",
            &[
                "db.response.status_code = \"IOError\"",
                "error.type = \"IOError\"",
            ],
        )],
    );
}

#[test]
fn keys_and_values_are_in_no_span_and_no_metric() {
    let body = |storage: &Storage| {
        storage
            .put("articles", "secret-key", "secret-value")
            .unwrap();
        storage.get("articles", "secret-key").unwrap();
        storage.multi_get("articles", &["secret-key"]).unwrap();
        assert_eq!(
            storage
                .scan("articles", ScanRange::prefix("secret"))
                .unwrap()
                .count(),
            1
        );
        storage
            .delete_range("articles", "secret-a", "secret-b")
            .unwrap();
        let mut batch = storage.batch();
        batch.put("articles", "secret-key", "secret-value").unwrap();
        batch.delete("articles", "secret-key").unwrap();
        batch.commit().unwrap();
        storage.delete("articles", "secret-key").unwrap();
        storage.get("no-such-family", "secret-key").unwrap_err();
    };
    for capture in captures(&body) {
        let spans: Vec<_> = capture
            .spans()
            .iter()
            .map(|span| format!("{:?}", span.data()))
            .collect();
        assert!(spans.len() > 8, "{spans:?}");
        let text = format!("{spans:?} {}", capture.metrics().text());
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn every_call_is_measured_with_the_attributes_of_its_span() {
    let body = |storage: &Storage| {
        storage.get("articles", "known-key").unwrap();
        storage.get("articles", "no-such-key").unwrap();
        storage.get("artcles", "key").unwrap_err();
    };
    for capture in captures(&body) {
        let count = |attributes: &[(&str, &str)]| {
            capture
                .metrics()
                .count("db.client.operation.duration", attributes)
        };
        let get = [
            ("db.system.name", engine::name()),
            ("db.operation.name", "get"),
            ("db.namespace", "library"),
            ("db.collection.name", "articles"),
        ];
        assert_eq!(count(&get), 2);
        assert_eq!(count(&[("error.type", "UnknownColumnFamily")]), 1);
    }
}

#[test]
fn without_an_address_spans_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let options = StorageOptions::new()
        .column_family("articles")
        .server_address(ServerAddress::Omit);
    let storage = Storage::open(engine::place(dir.path()), options).unwrap();
    let capture = Capture::new();
    capture.run(|| storage.get("articles", "key").unwrap());
    let spans = capture.spans();
    assert_eq!(spans.span("get articles").attribute("server.address"), None);
}
