//! A directory that is removed while a database in it is open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{keys, options};
use crate::otel::ErrorType as _;
use crate::storage::{OpenError, StatusCode, Storage, StorageOptions, WriteError};

fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

fn durable() -> StorageOptions {
    options()
        .sync(true)
        .flush_interval(Duration::from_millis(1))
        .object_store_retries(1_000_000)
        .close_deadline(Duration::from_secs(2))
}

/// A writer with one durable entry.
fn writer(directory: &Path) -> Storage {
    let storage = Storage::open(url(directory), durable()).unwrap();
    storage.put("a", "1", "").unwrap();
    storage
}

/// Moves the directory away, as a removal that no write sees half done.
fn remove(directory: &Path) {
    let away = directory.with_extension("away");
    fs::rename(directory, &away).unwrap();
    fs::remove_dir_all(&away).unwrap();
}

fn assert_not_acknowledged(storage: &Storage) {
    let error = storage.put("a", "2", "").unwrap_err();
    match &error {
        WriteError::Storage(source) => {
            assert_eq!(source.code(), StatusCode::NotFound);
            assert!(
                source.to_string().contains("was removed or replaced"),
                "{source}"
            );
        }
        // SlateDB noticed it before.
        WriteError::Poisoned { code } => assert_eq!(*code, StatusCode::NotFound),
        _ => panic!("{error:?}"),
    }
    assert_eq!(
        storage.flush_wal(true).unwrap_err().error_type(),
        "NotFound"
    );
}

#[test]
fn a_durable_write_to_a_removed_directory_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("db");
    let storage = writer(&directory);
    remove(&directory);
    assert_not_acknowledged(&storage);
    drop(storage);
    assert!(!directory.exists(), "no write creates it again");
    let error = Storage::open(url(&directory), durable().create_if_missing(false)).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    // A new database can be there.
    let storage = writer(&directory);
    assert_eq!(keys(&storage), [b"1"]);
}

#[test]
fn a_write_to_a_directory_in_the_place_of_the_old_one_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("db");
    let storage = writer(&directory);
    remove(&directory);
    let other = writer(&directory);
    assert_not_acknowledged(&storage);
    drop(storage);
    other.put("a", "3", "").unwrap();
    assert_eq!(keys(&other), [b"1", b"3"]);
}

#[test]
fn a_write_without_the_files_of_the_directory_is_not_acknowledged() {
    for folder in ["manifest", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("db");
        let storage = writer(&directory);
        fs::remove_dir_all(directory.join(folder)).unwrap();
        assert_not_acknowledged(&storage);
    }
}

#[test]
fn a_file_of_the_database_is_not_written_to_a_removed_directory() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("db");
    let storage = writer(&directory);
    storage.write_file("index/a", vec![1]).unwrap();
    remove(&directory);
    for name in ["index/a", "other/a"] {
        let error = storage.write_file(name, vec![1]).unwrap_err();
        assert!(
            error.to_string().contains("was removed or replaced"),
            "{error}"
        );
    }
    assert!(!directory.exists());
}

#[test]
fn a_reader_finds_the_database_that_is_in_the_directory_now() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("db");
    let storage = writer(&directory);
    let reader = Storage::open(url(&directory), durable().read_only(true)).unwrap();
    drop(storage);
    remove(&directory);
    let error = reader.refreshed().unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    let storage = writer(&directory);
    storage.put("a", "2", "").unwrap();
    assert_eq!(keys(&reader.refreshed().unwrap()), [b"1", b"2"]);
}
