//! Databases in directories: each way in which opening, reading and writing fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::families::Rocks;
use super::options::database;
use crate::otel::ErrorType;
use crate::storage::column_families::DEFAULT;
use crate::storage::db::tests::{open, temporary};
use crate::storage::{
    MaintenanceError, OpenError, ScanRange, ServerAddress, StatusCode, Storage, StorageOptions,
    WriteError,
};

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
fn a_database_of_another_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let options = database(true);
    let foreign = Rocks::open(&options, dir.path()).unwrap();
    foreign.put(b"theirs", b"data").unwrap();
    drop(foreign);
    let error = Storage::open(dir.path(), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(
        Rocks::list_cf(&database(false), dir.path()).unwrap(),
        [DEFAULT]
    );
}

#[test]
fn a_creation_cut_short_is_finished_by_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    drop(Rocks::open(&database(true), dir.path()).unwrap());
    open(dir.path()).put("a", b"1", b"").unwrap();
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
    storage.rocks().poison.set(StatusCode::IoError).unwrap();
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

fn files_ending_in(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    paths.sort();
    paths
}
