//! The store against a model, and the failures that all engines have. The tests run over each engine.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::storage::column_families::{FORMAT_KEY, FORMAT_VERSION, META};
use crate::storage::{ScanRange, UnknownColumnFamily};

/// Opens a store with the families `a` and `b`.
pub(in crate::storage) fn open(path: &Path) -> Storage {
    Storage::open(
        path,
        StorageOptions::new().column_family("a").column_family("b"),
    )
    .unwrap()
}

pub(in crate::storage) fn temporary() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    (dir, storage)
}

/// Compacts a family. SlateDB compacts by itself, and refuses.
fn compact(storage: &Storage, cf: &str) {
    match storage.compact(cf) {
        Err(MaintenanceError::Unsupported { engine, .. }) => assert_eq!(engine, "SlateDB"),
        compacted => compacted.unwrap(),
    }
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
    let known = storage.column_families();
    assert!(known.contains(&"b".to_owned()), "{known:?}");
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
    let mut names = reopened.column_families();
    names.retain(|name| name != "default");
    assert_eq!(names, ["a", "b", "c", "meta"]);
}

#[test]
fn flush_compact_and_flush_wal_leave_what_is_stored_as_it_is() {
    let (_dir, storage) = temporary();
    storage.put("a", b"1", b"x").unwrap();
    storage.flush_wal(true).unwrap();
    storage.flush().unwrap();
    compact(&storage, "a");
    assert_eq!(
        entries(&storage, ScanRange::all()),
        [(b"1".to_vec(), b"x".to_vec())]
    );
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
fn a_missing_database_is_not_created_if_the_options_forbid_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let error = Storage::open(&path, StorageOptions::new().create_if_missing(false)).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    assert!(!path.exists());
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
fn a_read_only_handle_reads_with_an_open_writer_and_cannot_write() {
    let (dir, storage) = temporary();
    storage.put("a", b"1", b"x").unwrap();
    storage.flush_wal(true).unwrap();
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

#[test]
fn debug_output_holds_no_data() {
    let (_dir, storage) = temporary();
    let mut batch = storage.batch();
    batch.put("a", b"secret-key", b"secret-value").unwrap();
    let text = format!("{storage:?} {batch:?}");
    assert!(!text.contains("secret"), "{text}");
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
        Action::Compact => compact(&storage, "a"),
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
