//! RocksDB's own work under a pipeline of the process, which is installed after the store is opened
//! and shut down before it is closed. One test, because it changes global state.

use std::time::{Duration, Instant};

use percolate_core::otel::{Environment, Telemetry};
use percolate_core::storage::{Storage, StorageOptions};
use percolate_pipeline_tests::Written;

fn work(storage: &Storage) {
    for _ in 0..2 {
        for key in 0..100_u8 {
            storage.put("articles", [key], [0; 100]).expect("it writes");
        }
        storage.flush().expect("it flushes");
    }
    storage.compact("articles").expect("it compacts");
}

#[test]
fn the_console_shows_the_jobs_of_rocksdb_while_telemetry_is_installed() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let options = StorageOptions::new().column_family("articles");
    let storage = Storage::open(dir.path(), options).expect("it opens");
    work(&storage);

    let console = Written::default();
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .console_writer(console.clone())
        .install()
        .expect("nothing is installed");
    work(&storage);
    // A thread of the store records the jobs after they have ended.
    let begin = Instant::now();
    while !console.text().contains("rocksdb.compaction articles") {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{}",
            console.text()
        );
        std::thread::sleep(Duration::from_millis(20));
        guard
            .force_flush(Duration::from_secs(5))
            .expect("it flushes");
    }
    let text = console.text();
    let spans = |name: &str| {
        let is_of =
            |line: &&str| line.trim_start().starts_with(name) && line.contains("job.status=");
        text.lines()
            .filter(is_of)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let flushes = spans("rocksdb.flush articles");
    assert_eq!(flushes.len(), 2, "{text}");
    assert!(
        flushes[0].contains("rocksdb.job.reason=manual_flush"),
        "{}",
        flushes[0]
    );
    assert!(
        flushes[0].contains("rocksdb.output.records=100"),
        "{}",
        flushes[0]
    );
    let compactions = spans("rocksdb.compaction articles");
    assert_eq!(compactions.len(), 1, "{text}");
    assert!(
        compactions[0].contains("rocksdb.input.files=3"),
        "{}",
        compactions[0]
    );
    assert!(
        compactions[0].contains("rocksdb.dropped.records=200"),
        "{}",
        compactions[0]
    );

    drop(guard);
    let before = console.text();
    work(&storage);
    drop(storage);
    assert_eq!(
        console.text(),
        before,
        "nothing is recorded after the shutdown"
    );
}
