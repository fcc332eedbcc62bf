//! Object stores that refuse requests, do not answer, or are slow. Errors that end are waited for,
//! others are typed errors after which the database can be opened again. Nothing hangs or panics.

use std::thread;
use std::time::{Duration, Instant};

use super::faulty::{FaultyStore, Mode};
use super::{keys, options};
use crate::otel::ErrorType as _;
use crate::otel::testing::Capture;
use crate::storage::{
    MaintenanceError, OpenError, ReadError, ScanRange, StatusCode, Storage, StorageOptions,
    WriteError,
};

/// Options of a database that gives up after `retries` repetitions.
fn quick(retries: u32) -> StorageOptions {
    options()
        .sync(true)
        .flush_interval(Duration::from_millis(1))
        .object_store_retries(retries)
        .close_deadline(Duration::from_secs(2))
        // Reads need the store.
        .cache_size(0)
}

fn open(store: &FaultyStore, retries: u32) -> Storage {
    Storage::open(store.url(), quick(retries)).unwrap()
}

/// A database that has the key `1`, and whose files are not in the cache.
fn with_one_key(store: &FaultyStore, retries: u32) -> Storage {
    let storage = open(store, retries);
    storage.put("a", "1", "").unwrap();
    storage.flush().unwrap();
    drop(storage);
    open(store, retries)
}

/// Waits until the database is closed, because its store fails.
fn fail(storage: &Storage, store: &FaultyStore) {
    store.set(Mode::Fails);
    let error = storage.put("a", "lost", "").unwrap_err();
    assert!(matches!(error, WriteError::Storage(_)), "{error:?}");
    assert_eq!(error.error_type(), "Unavailable");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("503 Slow Down"), "{source}");
    assert!(source.contains("open the database again"), "{source}");
}

#[test]
fn requests_that_are_refused_for_a_while_are_repeated_until_the_call_succeeds() {
    let store = FaultyStore::new();
    let storage = with_one_key(&store, 30);
    let refused = |count: u64, call: &dyn Fn()| {
        let before = store.failures();
        store.set(Mode::Refuses(count));
        call();
        store.set(Mode::Works);
        assert!(store.failures() > before, "the call needs the store");
    };
    refused(3, &|| drop(storage.get("a", "1").unwrap().unwrap()));
    refused(3, &|| storage.put("a", "2", "").unwrap());
    refused(3, &|| storage.flush().unwrap());
    refused(3, &|| storage.create_column_family("c").unwrap());
    refused(3, &|| storage.write_file("f", vec![1]).unwrap());
    refused(3, &|| {
        assert_eq!(storage.read_file("f").unwrap().unwrap(), [1]);
    });
    refused(3, &|| storage.remove_file("f").unwrap());
    refused(6, &|| {
        let reader = quick(30).read_only(true);
        let reader = Storage::open(store.url(), reader).unwrap();
        assert_eq!(keys(&reader), [b"1", b"2"]);
    });
    drop(storage);
    refused(6, &|| assert_eq!(keys(&open(&store, 30)), [b"1", b"2"]));
}

#[test]
fn after_the_last_retry_each_call_returns_what_to_do_and_a_new_handle_works() {
    let store = FaultyStore::new();
    let storage = with_one_key(&store, 1);
    let snapshot = storage.snapshot();
    fail(&storage, &store);
    // The store works again. SlateDB has closed the database for good.
    store.set(Mode::Works);
    let error = storage.put("a", "2", "").unwrap_err();
    let code = StatusCode::Unavailable;
    assert_eq!(error, WriteError::Poisoned { code });
    assert_eq!(error.error_type(), "Poisoned");
    let error = storage.delete_range("a", "0", "9").unwrap_err();
    assert_eq!(error, WriteError::Poisoned { code });
    let advised = |source: &dyn std::error::Error, status| {
        let text = source.to_string();
        assert!(
            text.contains("close this handle and open the database again"),
            "{text}"
        );
        assert_eq!(status, code);
    };
    for read in [
        storage.get("a", "1").map(drop),
        storage.multi_get("a", &["1"]).map(drop),
        storage.scan("a", ScanRange::all()).map(drop),
        storage.snapshot().get("a", "1").map(drop),
        snapshot.get("a", "2").map(drop),
    ] {
        let ReadError::Storage { source, .. } = read.unwrap_err() else {
            panic!("an error of the engine");
        };
        advised(&source, source.code());
    }
    for maintained in [
        storage.flush(),
        storage.flush_wal(true),
        storage.create_column_family("c"),
    ] {
        let MaintenanceError::Storage { source, .. } = maintained.unwrap_err() else {
            panic!("an error of the engine");
        };
        advised(&source, source.code());
    }
    drop(snapshot);
    drop(storage);
    let storage = open(&store, 1);
    assert!(keys(&storage).contains(&b"1".to_vec()));
    storage.put("a", "3", "").unwrap();
    assert_eq!(storage.column_families(), ["a", "b", "meta"]);
}

#[test]
fn a_read_that_fails_in_the_end_closes_nothing() {
    let store = FaultyStore::new();
    let storage = with_one_key(&store, 1);
    store.set(Mode::FailsIn("compacted"));
    let error = storage.get("a", "1").unwrap_err();
    assert_eq!(error.error_type(), "Unavailable");
    let text = format!("{:?}", std::error::Error::source(&error));
    assert!(!text.contains("again"), "{text}");
    let scanned: Result<Vec<_>, _> = match storage.scan("a", ScanRange::all()) {
        Ok(entries) => entries.collect(),
        Err(error) => Err(error),
    };
    assert_eq!(scanned.unwrap_err().error_type(), "Unavailable");
    store.set(Mode::Works);
    assert_eq!(storage.get("a", "1").unwrap(), Some(vec![]));
    storage.put("a", "2", "").unwrap();
}

#[test]
fn a_flush_whose_uploads_fail_ends_and_loses_nothing() {
    let store = FaultyStore::new();
    let storage = open(&store, 0);
    storage.put("a", "1", "").unwrap();
    store.set(Mode::FailsIn("compacted"));
    let error = storage.flush().unwrap_err();
    assert_eq!(error.error_type(), "TimedOut");
    // The log is what makes writes durable.
    storage.put("a", "2", "").unwrap();
    drop(storage);
    store.set(Mode::Works);
    assert_eq!(keys(&open(&store, 0)), [b"1", b"2"]);
}

#[test]
fn an_unsynced_write_that_is_lost_in_the_background_is_reported_by_the_next_calls() {
    let store = FaultyStore::new();
    let lines = Capture::new();
    let storage = Storage::open(store.url(), quick(0).sync(false)).unwrap();
    store.set(Mode::Fails);
    let began = Instant::now();
    let error = lines.run(|| {
        loop {
            if let Err(error) = storage.put("a", "1", "") {
                return error;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no error");
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(matches!(error, WriteError::Poisoned { .. }), "{error:?}");
    store.set(Mode::Works);
    storage.get("a", "1").unwrap_err();
}

#[test]
fn a_store_that_cannot_be_reached_is_not_opened_and_the_error_has_its_answer() {
    let store = FaultyStore::new();
    drop(with_one_key(&store, 1));
    for read_only in [false, true] {
        store.set(Mode::Fails);
        let options = quick(1).read_only(read_only);
        let error = Storage::open(store.url(), options.clone()).unwrap_err();
        let OpenError::Storage { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.code(), StatusCode::Unavailable);
        assert!(source.to_string().contains("503 Slow Down"), "{source}");
        store.set(Mode::Hangs);
        let began = Instant::now();
        let error = Storage::open(store.url(), options.object_store_retries(0)).unwrap_err();
        assert_eq!(error.error_type(), "TimedOut");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    store.set(Mode::Works);
    assert_eq!(keys(&open(&store, 1)), [b"1"]);
}

#[test]
fn an_outage_while_opening_leaves_a_database_that_can_be_opened() {
    let store = FaultyStore::new();
    with_one_key(&store, 0);
    // Each attempt fails at a later request, until one needs no more requests.
    let mut attempts = 0;
    for answered in (0..).step_by(3) {
        store.set(Mode::FailsAfter(answered));
        let opened = Storage::open(store.url(), quick(0));
        let failed = opened.is_err();
        store.set(Mode::Works);
        drop(opened);
        attempts += 1;
        if !failed {
            break;
        }
        assert!(attempts < 200, "it fails for ever");
    }
    assert!(attempts > 3, "{attempts}");
    assert_eq!(keys(&open(&store, 0)), [b"1"]);
}

#[test]
fn the_last_handle_ends_within_its_deadline_whatever_the_store_does() {
    for (mode, sync) in [
        (Mode::Hangs, true),
        (Mode::Hangs, false),
        (Mode::Fails, true),
        (Mode::Fails, false),
    ] {
        let store = FaultyStore::new();
        let interval = Duration::from_mins(1);
        let options = quick(1).sync(sync);
        let options = if sync {
            options
        } else {
            options.flush_interval(interval)
        };
        let storage = Storage::open(store.url(), options).unwrap();
        storage.put("a", "1", "").unwrap();
        store.set(mode);
        let began = Instant::now();
        drop(storage);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{mode:?} took {took:?}");
        store.set(Mode::Works);
        let found = keys(&open(&store, 1));
        assert!(found == [b"1"] || (!sync && found.is_empty()), "{found:?}");
    }
}

#[test]
fn a_slow_store_shows_in_the_durations_of_the_spans() {
    const WAIT: Duration = Duration::from_millis(150);
    let store = FaultyStore::new();
    let storage = with_one_key(&store, 1);
    store.set(Mode::Slow(WAIT));
    let capture = Capture::new();
    capture.run(|| {
        storage.get("a", "1").unwrap().unwrap();
        storage.put("a", "2", "").unwrap();
    });
    let spans = capture.spans();
    for name in ["get a", "put a"] {
        let span = spans.span(name);
        let data = span.data();
        let took = data.end_time.duration_since(data.start_time).unwrap();
        assert!(took >= WAIT, "{name} took {took:?}");
    }
}

#[test]
fn reads_of_the_cache_do_not_wait_for_a_family_that_is_created() {
    let store = FaultyStore::new();
    let storage = open(&store, 30);
    storage.put("a", "1", "").unwrap();
    store.set(Mode::Hangs);
    thread::scope(|scope| {
        scope.spawn(|| storage.create_column_family("c").unwrap());
        while store.requests_that_hang() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let reader = storage.clone();
        // It is in the memory table.
        scope.spawn(move || sender.send(reader.get("a", "1")).unwrap());
        let read = receiver.recv_timeout(Duration::from_secs(10));
        store.set(Mode::Works);
        store.resume();
        assert_eq!(read.unwrap().unwrap(), Some(vec![]));
    });
    assert!(storage.column_families().contains(&"c".to_owned()));
}

#[test]
fn callers_on_threads_and_in_tasks_return_from_an_outage() {
    let store = FaultyStore::new();
    let storage = with_one_key(&store, 2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    store.set(Mode::Fails);
    let failed = |number: u8| {
        let key = [b'k', number];
        let written = storage.put("a", key, "").is_err();
        let read = storage.get("a", "1").is_err();
        written && read
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || failed(n))).collect();
        let tasks: Vec<_> = (8..24)
            .map(|n| {
                let storage = storage.clone();
                runtime.spawn(async move { storage.put("a", [n], "").is_err() })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        for task in tasks {
            assert!(runtime.block_on(task).unwrap());
        }
    });
    store.set(Mode::Works);
    runtime.block_on(async { drop(storage) });
    let found = keys(&open(&store, 1));
    assert!(found.contains(&b"1".to_vec()), "{found:?}");
}

#[test]
fn a_snapshot_and_a_scan_survive_refused_requests() {
    let store = FaultyStore::new();
    let storage = open(&store, 30);
    let mut batch = storage.batch();
    for number in 0..2_000_u32 {
        batch.put("a", number.to_be_bytes(), [7; 100]).unwrap();
    }
    batch.commit().unwrap();
    storage.flush().unwrap();
    drop(storage);
    let storage = open(&store, 30);
    let snapshot = storage.snapshot();
    let before = store.failures();
    store.set(Mode::Refuses(5));
    assert_eq!(keys(&storage).len(), 2_000);
    store.set(Mode::Refuses(5));
    let entries = snapshot.scan("a", ScanRange::all().reverse()).unwrap();
    assert_eq!(entries.map(Result::unwrap).count(), 2_000);
    assert!(store.failures() > before);
}

#[test]
fn slatedbs_figures_show_requests_failures_and_sizes() {
    let store = FaultyStore::new();
    let storage = Storage::open(store.url(), quick(30).namespace("library")).unwrap();
    let capture = Capture::new();
    storage.register_metrics(capture.meter_provider());
    let of = |name: &str, kind: &str| {
        let about = [("db.namespace", "library"), ("slatedb.request.kind", kind)];
        let about = if kind.is_empty() { &about[..1] } else { &about };
        capture.metrics().sum(name, about)
    };
    let before = of("slatedb.object_store.requests", "put");
    assert!(before > 0.0);
    storage.put("a", "1", vec![7; 10_000]).unwrap();
    assert!(of("slatedb.object_store.requests", "put") > before);
    assert!(of("slatedb.object_store.requests", "get") > 0.0);
    assert!(of("slatedb.wal.size", "") > 0.0);
    storage.put("a", "2", "").unwrap();
    assert!(of("slatedb.memtable.size", "") >= 10_000.0);
    assert!(of("slatedb.flush.size", "") < 1.0);
    storage.flush().unwrap();
    assert!(of("slatedb.flush.size", "") > 0.0);
    // SlateDB counts the files once in a second.
    let began = Instant::now();
    while of("slatedb.l0.files", "") < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(20), "no file");
        thread::sleep(Duration::from_millis(20));
    }

    let failed = || {
        let kinds = ["get", "put", "delete"].map(|kind| of("slatedb.object_store.errors", kind));
        kinds.into_iter().sum::<f64>()
    };
    let before = failed();
    store.set(Mode::Refuses(3));
    storage.put("a", "2", "").unwrap();
    assert!(failed() - before >= 3.0);
    for name in ["slatedb.compaction.size", "slatedb.write.delayed"] {
        assert_eq!(capture.metrics().metric(name).points().len(), 1, "{name}");
    }
    capture.report().assert_clean();
    drop(storage);
    let reader = Storage::open(store.url(), quick(30).namespace("r").read_only(true)).unwrap();
    reader.register_metrics(capture.meter_provider());
    reader.get("a", "1").unwrap();
    let of_reader = [("db.namespace", "r"), ("slatedb.request.kind", "get")];
    let requests = capture
        .metrics()
        .sum("slatedb.object_store.requests", &of_reader);
    assert!(requests > 0.0);
    capture.report().assert_clean();
}
