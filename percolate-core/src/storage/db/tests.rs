//! The store against a model, and each way in which opening, reading and writing fail.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::otel::ErrorType;
use crate::storage::ScanRange;

fn open(path: &Path) -> Storage {
    Storage::open(
        path,
        StorageOptions::new().column_family("a").column_family("b"),
    )
    .unwrap()
}

fn temporary() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    (dir, storage)
}

fn entries(storage: &Storage, range: ScanRange) -> Vec<(Vec<u8>, Vec<u8>)> {
    storage
        .scan("a", range)
        .unwrap()
        .map(|entry| {
            entry
                .map(|(key, value)| (key.into(), value.into()))
                .unwrap()
        })
        .collect()
}

#[test]
fn what_was_put_is_read_back_after_reopening() {
    let (dir, storage) = temporary();
    storage.put("a", b"key", b"value").unwrap();
    drop(storage);
    assert_eq!(
        open(dir.path()).get("a", b"key").unwrap().unwrap(),
        b"value"
    );
}

#[test]
fn multi_get_keeps_the_order_of_its_keys() {
    let (_dir, storage) = temporary();
    storage.put("a", b"x", b"1").unwrap();
    storage.put("a", b"y", b"2").unwrap();
    let values = storage.multi_get("a", &["y", "missing", "x", "y"]).unwrap();
    assert_eq!(
        values,
        [
            Some(b"2".to_vec()),
            None,
            Some(b"1".to_vec()),
            Some(b"2".to_vec())
        ]
    );
}

#[test]
fn a_batch_is_invisible_until_committed() {
    let (_dir, storage) = temporary();
    storage.put("b", b"old", b"").unwrap();
    let mut batch = storage.batch();
    batch.put("a", b"key", b"value").unwrap();
    batch.delete("b", b"old").unwrap();
    assert_eq!(storage.get("a", b"key").unwrap(), None);
    assert_eq!(batch.commit().unwrap(), 2);
    assert_eq!(storage.get("a", b"key").unwrap().unwrap(), b"value");
    assert_eq!(storage.get("b", b"old").unwrap(), None);
}

#[test]
fn an_empty_batch_commits_nothing() {
    let (_dir, storage) = temporary();
    assert!(storage.batch().is_empty());
    assert_eq!(storage.batch().commit().unwrap(), 0);
}

#[test]
fn a_scan_sees_the_store_as_it_was_when_it_began() {
    let (_dir, storage) = temporary();
    storage.put("a", b"1", b"").unwrap();
    let scan = storage.scan("a", ScanRange::all()).unwrap();
    storage.put("a", b"2", b"").unwrap();
    assert_eq!(scan.count(), 1);
}

#[test]
fn an_unknown_column_family_is_named_with_the_known_ones() {
    let (_dir, storage) = temporary();
    let known = vec![
        "a".to_owned(),
        "b".to_owned(),
        "default".to_owned(),
        "meta".to_owned(),
    ];
    let unknown = UnknownColumnFamily {
        name: "c".to_owned(),
        known,
    };
    assert_eq!(
        storage.get("c", b"").unwrap_err(),
        ReadError::UnknownColumnFamily(unknown.clone())
    );
    assert_eq!(
        storage.put("c", b"", b"").unwrap_err(),
        WriteError::UnknownColumnFamily(unknown.clone())
    );
    assert_eq!(
        storage.compact("c").unwrap_err(),
        MaintenanceError::UnknownColumnFamily(unknown.clone())
    );
    let mut batch = storage.batch();
    assert_eq!(
        batch.delete("c", b"").unwrap_err(),
        WriteError::UnknownColumnFamily(unknown)
    );
    assert!(batch.is_empty());
}

#[test]
fn a_new_column_family_is_there_at_once_and_after_reopening() {
    let (dir, storage) = temporary();
    storage.create_column_family("c").unwrap();
    storage.put("c", b"key", b"value").unwrap();
    let again = storage.create_column_family("c").unwrap_err();
    assert_eq!(
        again,
        MaintenanceError::ColumnFamilyExists {
            name: "c".to_owned()
        }
    );
    drop(storage);
    let reopened = Storage::open(dir.path(), StorageOptions::new()).unwrap();
    assert_eq!(reopened.get("c", b"key").unwrap().unwrap(), b"value");
    assert_eq!(
        reopened.column_families(),
        ["a", "b", "c", "default", "meta"]
    );
}

#[test]
fn flush_compact_and_flush_wal_leave_what_is_stored_as_it_is() {
    let (_dir, storage) = temporary();
    storage.put("a", b"1", b"x").unwrap();
    storage.flush_wal(true).unwrap();
    storage.flush().unwrap();
    storage.compact("a").unwrap();
    assert_eq!(
        entries(&storage, ScanRange::all()),
        [(b"1".to_vec(), b"x".to_vec())]
    );
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let (dir, storage) = temporary();
    storage.put("a", b"1", b"before").unwrap();
    storage.checkpoint(dir.path().join("copy")).unwrap();
    storage.put("a", b"1", b"after").unwrap();
    let copy = open(&dir.path().join("copy"));
    assert_eq!(copy.get("a", b"1").unwrap().unwrap(), b"before");
}

/// RocksDB's copy would lack the log, and with it the writes that are not in a table file yet.
#[test]
fn a_read_only_handle_makes_no_checkpoint() {
    let (dir, storage) = temporary();
    storage.put("a", b"1", b"in the log").unwrap();
    let reader = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap();
    let copy = dir.path().join("copy");
    let error = reader.checkpoint(&copy).unwrap_err();
    assert!(
        matches!(error, MaintenanceError::ReadOnly { .. }),
        "{error}"
    );
    assert!(!copy.exists());
}

#[test]
fn delete_range_leaves_its_end() {
    let (_dir, storage) = temporary();
    for key in ["a", "b", "c"] {
        storage.put("a", key, b"").unwrap();
    }
    storage.delete_range("a", "a", "c").unwrap();
    assert_eq!(
        entries(&storage, ScanRange::all()),
        [(b"c".to_vec(), b"".to_vec())]
    );
}

#[test]
fn a_file_is_refused_as_a_path() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Storage::open(file.path(), StorageOptions::new()).unwrap_err();
    assert!(
        matches!(error, OpenError::NotADirectory { .. }),
        "{error:?}"
    );
    let below = Storage::open(file.path().join("db"), StorageOptions::new()).unwrap_err();
    assert!(
        matches!(below, OpenError::NotADirectory { .. }),
        "{below:?}"
    );
}

#[test]
fn an_impossible_path_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (name, reason) in [("a\0b", "NUL"), (&*"a".repeat(5000), "too long")] {
        let error = Storage::open(dir.path().join(name), StorageOptions::new()).unwrap_err();
        assert!(matches!(error, OpenError::Path { .. }), "{error:?}");
        let message = error.to_string().to_lowercase();
        assert!(message.contains(&reason.to_lowercase()), "{message}");
    }
}

#[test]
fn a_missing_database_is_not_created_if_the_options_forbid_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let error = Storage::open(&path, StorageOptions::new().create_if_missing(false)).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    assert!(!path.exists());
}

#[test]
fn a_second_handle_is_refused_because_the_database_is_open() {
    let (dir, _storage) = temporary();
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert_eq!(error.error_type(), "Locked");
    assert_eq!(error.status_code().unwrap(), "IOError");
}

#[test]
fn a_damaged_database_is_reported_as_such() {
    let (dir, storage) = temporary();
    drop(storage);
    fs::write(dir.path().join("CURRENT"), "garbage").unwrap();
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert_eq!(error.error_type(), "Corruption");
}

#[test]
fn a_database_without_its_list_of_files_is_refused_and_left_as_it_is() {
    let (dir, storage) = temporary();
    storage.put("a", b"key", b"value").unwrap();
    storage.flush().unwrap();
    drop(storage);
    let (current, aside) = (dir.path().join("CURRENT"), dir.path().join("aside"));
    fs::rename(&current, &aside).unwrap();
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Incomplete { .. }), "{error:?}");
    fs::rename(&aside, &current).unwrap();
    assert_eq!(
        open(dir.path()).get("a", b"key").unwrap().unwrap(),
        b"value"
    );
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "app.log", "b", "c"] {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`app.log`, `b`, `c` and 1 more"), "{text}");
    assert_eq!(error.error_type(), "NotEmpty");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    let options = StorageOptions::new().create_if_missing(false);
    let error = Storage::open(dir.path(), options).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
}

#[test]
fn a_database_is_created_next_to_hidden_files_and_after_an_interrupted_creation() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    for name in [
        ".gitkeep",
        "LOCK",
        "LOG",
        "IDENTITY",
        "MANIFEST-000001",
        "000001.dbtmp",
    ] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    open(dir.path()).put("a", b"1", b"").unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert!(open(dir.path()).get("a", b"1").unwrap().is_some());
}

#[test]
fn a_checkpoint_deletes_no_files_of_others() {
    let (dir, storage) = temporary();
    let (target, staging) = (dir.path().join("copy"), dir.path().join("copy.tmp"));
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join(".mine"), "x").unwrap();
    for path in [target.clone(), target.join("")] {
        let error = storage.checkpoint(path).unwrap_err();
        assert!(
            matches!(error, MaintenanceError::Occupied { .. }),
            "{error:?}"
        );
    }
    fs::rename(staging.join(".mine"), staging.join("000007.sst")).unwrap();
    storage.checkpoint(&target).unwrap();
    assert!(!staging.exists());
    let error = storage.checkpoint(&target).unwrap_err();
    assert!(
        matches!(error, MaintenanceError::TargetExists { .. }),
        "{error:?}"
    );
}

#[test]
fn damage_inside_the_log_is_an_error_and_not_a_silent_loss() {
    let (dir, storage) = temporary();
    for key in 0..100_u8 {
        storage.put("a", [key], [key; 100]).unwrap();
    }
    drop(storage);
    let log = files_ending_in(dir.path(), ".log").pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&log, bytes).unwrap();
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_torn_end_of_the_log_costs_the_last_write_only() {
    let (dir, storage) = temporary();
    storage.put("a", b"1", b"kept").unwrap();
    storage.put("a", b"2", [7; 100]).unwrap();
    drop(storage);
    let log = files_ending_in(dir.path(), ".log").pop().unwrap();
    let length = fs::metadata(&log).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(length - 10)
        .unwrap();
    let storage = open(dir.path());
    assert_eq!(storage.get("a", b"1").unwrap().unwrap(), b"kept");
    assert_eq!(storage.get("a", b"2").unwrap(), None);
}

#[test]
fn a_damaged_table_file_is_a_typed_error_that_ends_the_scan() {
    let (dir, storage) = temporary();
    for key in 0..200_u8 {
        // A value that does not compress, so that the damage falls on data and not on the file's
        // properties.
        let value: Vec<u8> = (0..500_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) ^ (u32::from(key) * 40_503)).to_be_bytes()[1])
            .collect();
        storage.put("a", [key], value).unwrap();
    }
    storage.flush().unwrap();
    drop(storage);
    let largest = files_ending_in(dir.path(), ".sst")
        .into_iter()
        .max_by_key(|file| fs::metadata(file).unwrap().len());
    let table = largest.unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[10..100].fill(0xaa);
    fs::write(&table, bytes).unwrap();
    let storage = open(dir.path());
    let mut scan = storage.scan("a", ScanRange::all()).unwrap();
    let error = scan.find_map(Result::err).unwrap();
    assert_eq!(error.error_type(), "Corruption");
    assert!(scan.next().is_none());
    assert_eq!(
        storage.get("a", [0]).unwrap_err().error_type(),
        "Corruption"
    );
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let (dir, storage) = temporary();
    storage.put(META, FORMAT_KEY, 7_u32.to_be_bytes()).unwrap();
    drop(storage);
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 7,
                supported: FORMAT_VERSION,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let options = column_families::database_options(true);
    let foreign = Rocks::open(&options, dir.path()).unwrap();
    foreign.put(b"theirs", b"data").unwrap();
    drop(foreign);
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(list_families(dir.path()).unwrap(), [DEFAULT]);
}

#[test]
fn a_creation_cut_short_is_finished_by_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    drop(Rocks::open(&column_families::database_options(true), dir.path()).unwrap());
    open(dir.path()).put("a", b"1", b"").unwrap();
}

#[test]
fn a_read_only_handle_reads_with_an_open_writer_and_cannot_write() {
    let (dir, storage) = temporary();
    storage.put("a", b"1", b"x").unwrap();
    let reader = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap();
    assert_eq!(reader.get("a", b"1").unwrap().unwrap(), b"x");
    assert_eq!(
        reader.put("a", b"1", b"y").unwrap_err(),
        WriteError::ReadOnly
    );
    let mut batch = reader.batch();
    batch.put("a", b"1", b"y").unwrap();
    assert_eq!(batch.commit().unwrap_err(), WriteError::ReadOnly);
    assert!(matches!(
        reader.flush().unwrap_err(),
        MaintenanceError::ReadOnly { .. }
    ));
}

/// Returns the table files of a database.
fn tables(path: &Path) -> std::collections::BTreeSet<PathBuf> {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let is_table = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "sst");
    files.filter(is_table).collect()
}

#[test]
fn a_reader_opens_while_a_writer_deletes_files() {
    let (dir, storage) = temporary();
    storage.put("a", b"key", b"value").unwrap();
    storage.flush().unwrap();
    let reader = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u32.. {
                storage.put("a", n.to_be_bytes(), [7; 64]).unwrap();
                storage.flush().unwrap();
                storage.compact("a").unwrap();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        let refreshed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..100 {
                let current = reader.refreshed().unwrap();
                assert_eq!(current.get("a", b"key").unwrap().unwrap(), b"value");
            }
        }));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        refreshed.unwrap();
    });
}

/// A database with one table file, which is not there.
fn without_its_table() -> (tempfile::TempDir, [PathBuf; 2]) {
    let (dir, storage) = temporary();
    let before = tables(dir.path());
    storage.put("a", b"key", b"value").unwrap();
    storage.flush().unwrap();
    drop(storage);
    let table = tables(dir.path())
        .difference(&before)
        .next()
        .unwrap()
        .clone();
    let away = dir.path().join("LOG.old.0");
    fs::rename(&table, &away).unwrap();
    (dir, [table, away])
}

#[test]
fn a_reader_waits_for_files_as_long_as_a_writer_changes_others() {
    let (dir, [table, away]) = without_its_table();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for change in 1..200 {
                fs::write(dir.path().join(format!("LOG.old.{change}")), "").unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
            fs::rename(&away, &table).unwrap();
        });
        let reader = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap();
        assert_eq!(reader.get("a", b"key").unwrap().unwrap(), b"value");
    });
}

#[test]
fn a_reader_reports_a_file_that_stays_missing() {
    let (dir, _) = without_its_table();
    let error = Storage::open(dir.path(), StorageOptions::new().read_only(true)).unwrap_err();
    assert!(matches!(error, OpenError::Changing { .. }), "{error:?}");
    assert!(error.to_string().contains("restore it from a backup"));
}

#[test]
fn a_compaction_of_a_damaged_file_fails() {
    let (dir, storage) = temporary();
    storage.flush().unwrap();
    let sound = tables(dir.path());
    for value in [b"1", b"2"] {
        for key in 0_u32..1000 {
            storage.put("a", key.to_be_bytes(), value).unwrap();
        }
        storage.flush().unwrap();
    }
    drop(storage);
    for file in tables(dir.path()).difference(&sound) {
        let mut bytes = fs::read(file).unwrap();
        bytes[..64].fill(0xff);
        fs::write(file, bytes).unwrap();
    }
    let storage = open(dir.path());
    let error = storage.compact("a").unwrap_err();
    assert_eq!(
        (error.error_type(), error.status_code()),
        ("Corruption".into(), Some("Corruption".into())),
        "{error:?}"
    );
    // RocksDB's background work has stopped, so compactions of other families do not run either.
    storage.compact("b").unwrap_err();
}

#[test]
fn compactions_succeed_while_others_write() {
    let (_dir, storage) = temporary();
    std::thread::scope(|scope| {
        for family in ["a", "b"] {
            let storage = &storage;
            scope.spawn(move || {
                for n in 0_u32..20_000 {
                    storage.put(family, n.to_be_bytes(), [7; 64]).unwrap();
                    if n % 4_000 == 0 {
                        storage.flush().unwrap();
                    }
                }
            });
        }
        for _ in 0..20 {
            storage.compact("a").unwrap();
        }
    });
}

#[test]
fn after_a_write_that_failed_half_way_nothing_more_is_written() {
    let (_dir, storage) = temporary();
    storage.inner.poison.set(StatusCode::IoError).unwrap();
    let error = storage.put("a", b"1", b"").unwrap_err();
    assert_eq!(
        error,
        WriteError::Poisoned {
            code: StatusCode::IoError
        }
    );
    assert_eq!(storage.get("a", b"1").unwrap(), None);
}

#[test]
fn server_address_follows_its_option() {
    let dir = tempfile::tempdir().unwrap();
    let with = |address| {
        let storage =
            Storage::open(dir.path(), StorageOptions::new().server_address(address)).unwrap();
        storage.server_address().map(str::to_owned)
    };
    assert_eq!(
        with(ServerAddress::Path),
        Some(dir.path().display().to_string())
    );
    assert_eq!(with(ServerAddress::Omit), None);
    assert_eq!(
        with(ServerAddress::Custom("shelf-3".into())),
        Some("shelf-3".into())
    );
}

#[test]
fn debug_output_holds_no_data() {
    let (_dir, storage) = temporary();
    let mut batch = storage.batch();
    batch.put("a", b"secret-key", b"secret-value").unwrap();
    let text = format!("{storage:?} {batch:?}");
    assert!(!text.contains("secret"), "{text}");
}

fn files_ending_in(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    paths.sort();
    paths
}

#[derive(Debug, Clone)]
enum Action {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Batch(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Flush,
    Compact,
    Reopen,
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(0_u8), Just(1), Just(b'a'), Just(0xff)],
        0..4,
    )
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (keys(), any::<Vec<u8>>()).prop_map(|(key, value)| Action::Put(key, value)),
        2 => keys().prop_map(Action::Delete),
        1 => (keys(), keys()).prop_filter("the start is not after the end", |(a, b)| a <= b).prop_map(|(a, b)| Action::DeleteRange(a, b)),
        2 => prop::collection::vec((keys(), any::<Option<Vec<u8>>>()), 0..5).prop_map(Action::Batch),
        1 => Just(Action::Flush),
        1 => Just(Action::Compact),
        1 => Just(Action::Reopen),
    ]
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Does the same to the store and to the model; gives back the store, which may be a reopened one.
fn apply(action: Action, storage: Storage, model: &mut Model, path: &Path) -> Storage {
    match action {
        Action::Put(key, value) => {
            storage.put("a", &key, &value).unwrap();
            model.insert(key, value);
        }
        Action::Delete(key) => {
            storage.delete("a", &key).unwrap();
            model.remove(&key);
        }
        Action::DeleteRange(start, end) => {
            storage.delete_range("a", &start, &end).unwrap();
            model.retain(|key, _| *key < start || *key >= end);
        }
        Action::Batch(writes) => {
            let mut batch = storage.batch();
            for (key, value) in writes {
                if let Some(value) = value {
                    batch.put("a", &key, &value).unwrap();
                    model.insert(key, value);
                } else {
                    batch.delete("a", &key).unwrap();
                    model.remove(&key);
                }
            }
            batch.commit().unwrap();
        }
        Action::Flush => storage.flush().unwrap(),
        Action::Compact => storage.compact("a").unwrap(),
        Action::Reopen => {
            drop(storage);
            return open(path);
        }
    }
    storage
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_as_an_ordered_map(actions in prop::collection::vec(actions(), 1..40), prefix in keys(), from in keys(), before in keys()) {
        let dir = tempfile::tempdir().unwrap();
        let mut storage = open(dir.path());
        let mut model = Model::new();
        for action in actions {
            storage = apply(action, storage, &mut model, dir.path());
        }
        let expect = |keep: &dyn Fn(&[u8]) -> bool| -> Vec<(Vec<u8>, Vec<u8>)> {
            model.iter().filter(|(key, _)| keep(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        prop_assert_eq!(entries(&storage, ScanRange::all()), expect(&|_| true));
        prop_assert_eq!(entries(&storage, ScanRange::prefix(&prefix)), expect(&|key| key.starts_with(&prefix)));
        let within = ScanRange::all().from(&from).before(&before);
        prop_assert_eq!(entries(&storage, within), expect(&|key| *key >= *from && *key < *before));
        let within = ScanRange::prefix(&prefix).after(&from).through(&before).reverse();
        let mut reversed = expect(&|key| key.starts_with(&prefix) && *key > *from && *key <= *before);
        reversed.reverse();
        prop_assert_eq!(entries(&storage, within), reversed);
        let keys: Vec<_> = model.keys().cloned().chain([vec![9, 9]]).collect();
        let values: Vec<_> = model.values().cloned().map(Some).chain([None]).collect();
        prop_assert_eq!(storage.multi_get("a", &keys).unwrap(), values);
    }
}
