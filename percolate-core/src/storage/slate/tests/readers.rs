//! Readers that are older than the lifetime of their notes in the store.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chrono::Utc;
use futures_util::TryStreamExt as _;
use slatedb::Checkpoint;
use slatedb::admin::Admin;
use slatedb::object_store::ObjectStoreExt as _;

use super::{keys, options, url};
use crate::otel::ErrorType as _;
use crate::storage::slate::ObjectPlace;
use crate::storage::{Storage, StorageOptions};

const LIFETIME: Duration = Duration::from_secs(1);

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn place(url: &str) -> ObjectPlace {
    ObjectPlace::parse(url, &StorageOptions::new()).unwrap()
}

/// The notes in the store. Compactions have notes too.
fn notes(url: &str) -> Vec<Checkpoint> {
    let place = place(url);
    let admin = Admin::builder(place.prefix.clone(), Arc::clone(&place.store)).build();
    wait(admin.list_checkpoints(None)).unwrap()
}

/// The note in the store with the id of `note`.
fn current(url: &str, note: &Checkpoint) -> Option<Checkpoint> {
    notes(url).into_iter().find(|found| found.id == note.id)
}

fn writer(url: &str) -> Storage {
    let interval = Duration::from_millis(1);
    let storage = Storage::open(url, options().sync(true).flush_interval(interval)).unwrap();
    storage.put("a", "1", "").unwrap();
    storage.flush().unwrap();
    storage
}

fn reader(url: &str) -> Storage {
    let options = StorageOptions::new().read_only(true).cache_size(0);
    Storage::open(url, options.note_lifetime(LIFETIME)).unwrap()
}

#[test]
fn a_reader_keeps_its_state_and_renews_its_note_until_it_is_closed() {
    let url = url();
    let writer = writer(&url);
    let reader = reader(&url);
    let first = &notes(&url)[0];
    let mut moments = 0;
    // Until the note has been renewed after its first end.
    while Utc::now() < first.expire_time.unwrap() + LIFETIME {
        writer.put("a", format!("2 {moments}"), "").unwrap();
        writer.flush().unwrap();
        assert_eq!(keys(&reader), [b"1"]);
        let note = current(&url, first).unwrap();
        assert_eq!(note.manifest_id, first.manifest_id);
        moments += 1;
        thread::sleep(LIFETIME / 10);
    }
    let renewed = current(&url, first).unwrap().expire_time;
    assert!(renewed > first.expire_time, "{renewed:?}");
    assert_eq!(keys(&reader.refreshed().unwrap()).len(), 1 + moments);
    drop(reader);
    assert_eq!(current(&url, first), None);
}

#[test]
fn a_reader_whose_files_were_deleted_says_that_it_has_to_be_refreshed() {
    let url = url();
    let writer = writer(&url);
    let reader = reader(&url);
    let place = place(&url);
    wait(async {
        let folder = place.file("compacted");
        let files: Vec<_> = place.store.list(Some(&folder)).try_collect().await.unwrap();
        assert!(!files.is_empty());
        for file in files {
            place.store.delete(&file.location).await.unwrap();
        }
    });
    let error = reader.get("a", "1").unwrap_err();
    assert_eq!(error.error_type(), "Expired");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("refresh it"), "{source}");
    drop(writer);
}
