//! Figures of all stores and of one. The tests run over each engine, and beside tests that open other
//! stores, so each has namespaces of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{definitions, is_counter, stores};
use crate::otel::testing::Capture;
use crate::otel::{job_site, operation};
use crate::storage::{Storage, StorageOptions, register_metrics};

job_site!(static WORK = "test.work");

fn open(path: &Path, namespace: &str) -> Storage {
    let options = StorageOptions::new()
        .column_family("articles")
        .namespace(namespace)
        .statistics(true);
    Storage::open(path, options).expect("it opens")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// A counter that grows with each write, and a size that a write makes larger than zero.
fn names(storage: &Storage) -> (&'static str, &'static str) {
    if storage.system() == "rocksdb" {
        ("rocksdb.write.size", "rocksdb.memtable.size")
    } else {
        ("slatedb.wal.size", "slatedb.memtable.size")
    }
}

/// A capture with a metric of its own: a collection without any is not exported, and the last one stays.
fn capture() -> Capture {
    let capture = Capture::new();
    capture.run(|| operation(WORK).start().finish());
    capture
}

/// Returns the number of series and the sum of a namespace.
fn values(capture: &Capture, metric: &str, namespace: &str) -> (u64, f64) {
    let about = [("db.namespace", namespace)];
    let metrics = capture.metrics();
    (metrics.count(metric, &about), metrics.sum(metric, &about))
}

#[test]
fn figures_of_all_stores_are_those_of_the_open_ones() {
    let (first, second) = (directory(), directory());
    let capture = capture();
    let before = open(first.path(), "all before");
    register_metrics(capture.meter_provider());
    let after = open(second.path(), "all after");
    let (_, size) = names(&before);
    for storage in [&before, &after] {
        storage.put("articles", "key", "value").expect("it writes");
        assert!(values(&capture, size, storage.namespace()).1 > 0.0);
    }
    drop(before);
    assert_eq!(values(&capture, size, "all before").0, 0);
    assert!(values(&capture, size, "all after").0 > 0);
    let clone = after.clone();
    drop(after);
    assert!(values(&capture, size, "all after").0 > 0);
    drop(clone);
    assert_eq!(values(&capture, size, "all after").0, 0);
    capture.report().assert_clean();
}

#[test]
fn every_metric_of_an_engine_is_read() {
    let dir = directory();
    let capture = capture();
    register_metrics(capture.meter_provider());
    let storage = open(dir.path(), "every metric");
    storage.put("articles", "key", "value").expect("it writes");
    for metric in definitions(storage.system()) {
        let (series, _) = values(&capture, metric.name, "every metric");
        assert!(series > 0, "{}", metric.name);
    }
    assert!(definitions(storage.system()).count() > 7);
    capture.report().assert_clean();
}

#[test]
fn a_store_that_is_opened_again_continues_its_counters_and_adds_nothing() {
    let dir = directory();
    let capture = capture();
    register_metrics(capture.meter_provider());
    let mut counted = Vec::new();
    for round in 0..10_u8 {
        let storage = open(dir.path(), "opened again");
        let (counter, size) = names(&storage);
        storage
            .put("articles", [round], [round; 100])
            .expect("it writes");
        storage.flush_wal(true).expect("it writes its log");
        let (series, sum) = values(&capture, counter, "opened again");
        assert_eq!(series, 1);
        counted.push(sum);
        drop(storage);
        assert_eq!(values(&capture, counter, "opened again").0, 0);
        assert_eq!(values(&capture, size, "opened again").0, 0);
    }
    assert!(
        counted.windows(2).all(|pair| pair[1] >= pair[0] + 100.0),
        "{counted:?}"
    );
    let stores = stores().expect("there is a place for this process");
    assert!(
        !stores
            .open
            .iter()
            .any(|entry| entry.namespace == "opened again")
    );
    let of_namespace = |((_, namespace), _): &(&(&str, String), &_)| namespace == "opened again";
    let closed: Vec<_> = stores.closed.iter().filter(of_namespace).collect();
    let [(_, counters)] = &closed[..] else {
        panic!("one namespace has one entry")
    };
    for counted in *counters {
        let same = |other: &&_| {
            let other: &super::Counted = other;
            other.metric == counted.metric && other.part == counted.part
        };
        assert_eq!(counters.iter().filter(same).count(), 1);
    }
}

#[test]
fn stores_of_one_namespace_are_added_up() {
    let (first, second) = (directory(), directory());
    let capture = capture();
    register_metrics(capture.meter_provider());
    let first = open(first.path(), "added up");
    let (counter, _) = names(&first);
    first.put("articles", "key", [0; 1000]).expect("it writes");
    first.flush_wal(true).expect("it writes its log");
    let one = values(&capture, counter, "added up");
    let second = open(second.path(), "added up");
    second.put("articles", "key", [0; 1000]).expect("it writes");
    second.flush_wal(true).expect("it writes its log");
    let both = values(&capture, counter, "added up");
    assert_eq!((one.0, both.0), (1, 1));
    assert!(both.1 > one.1, "{one:?} {both:?}");
    drop(first);
    // The counter does not fall while a store of the namespace is open.
    assert!(values(&capture, counter, "added up").1 >= both.1);
}

#[test]
fn several_handles_of_a_path_have_the_sizes_of_one() {
    let dir = directory();
    drop(open(dir.path(), "handles"));
    let capture = capture();
    register_metrics(capture.meter_provider());
    let options = || StorageOptions::new().read_only(true).namespace("handles");
    let reader = Storage::open(dir.path(), options()).expect("it opens");
    let (_, size) = names(&reader);
    let one = values(&capture, size, "handles").0;
    assert!(one > 0);
    let refreshed = reader.refreshed().expect("it opens again");
    assert_eq!(values(&capture, size, "handles").0, one);
    drop(reader);
    assert_eq!(values(&capture, size, "handles").0, one);
    drop(refreshed);
    assert_eq!(values(&capture, size, "handles").0, 0);
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_collection_never_keeps_a_store_open() {
    let dir = directory();
    let capture = capture();
    register_metrics(capture.meter_provider());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also if a store cannot be opened.
        let _end = SetAtEnd(&ended);
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                capture.metrics();
            }
        });
        for round in 0..20_u8 {
            // The lock of a directory that is still open would be refused.
            let storage = open(dir.path(), "collected");
            storage
                .put("articles", [round], [round])
                .expect("it writes");
        }
    });
}

#[test]
fn figures_of_one_store_end_with_it() {
    let (first, second) = (directory(), directory());
    let capture = capture();
    let registered = open(first.path(), "one of two");
    let other = open(second.path(), "other of two");
    registered.register_metrics(capture.meter_provider());
    let counters = definitions(registered.system()).filter(|metric| is_counter(metric));
    let names: Vec<_> = counters.map(|metric| metric.name).collect();
    for name in &names {
        assert!(values(&capture, name, "one of two").0 > 0, "{name}");
        assert_eq!(values(&capture, name, "other of two").0, 0, "{name}");
    }
    drop((registered, other));
    for name in &names {
        assert_eq!(values(&capture, name, "one of two").0, 0, "{name}");
    }
}
