//! Tests of rebuilding and verifying damaged indexes, also during writes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::Database;
use crate::otel::{JobOutcome as _, JobStatus};

fn temporary(entities: usize) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    db.register_schema(
        "articles",
        &json!({ "key_field": "slug", "indexed_fields": ["year"] }),
    )
    .unwrap();
    let data: Vec<_> = (0..entities)
        .map(|n| json!({ "slug": n.to_string(), "year": n % 7 }))
        .collect();
    db.insert_batch("articles", &data).unwrap();
    (dir, db)
}

fn clear(db: &Database, family: &str) {
    let storage = db.storage();
    for entry in storage.scan(family, ScanRange::all()).unwrap() {
        storage.delete(family, entry.unwrap().0).unwrap();
    }
}

#[test]
fn a_lost_index_is_rebuilt() {
    let (_dir, db) = temporary(20);
    clear(&db, KEY_INDEX);
    clear(&db, FIELD_INDEX);
    assert_eq!(db.lookup("articles", "3").unwrap(), None);
    let found = db.indexes().verify().unwrap();
    assert_eq!(
        found,
        IndexReport {
            entities: 20,
            missing: 40,
            stale: 0,
            ..IndexReport::default()
        }
    );
    let report = db.indexes().page_size(3).rebuild_key_index().unwrap();
    assert_eq!(
        report,
        IndexReport {
            entities: 20,
            missing: 20,
            stale: 0,
            ..IndexReport::default()
        }
    );
    assert_eq!(
        db.indexes()
            .rebuild_field_indexes("articles")
            .unwrap()
            .missing,
        20
    );
    assert!(db.indexes().verify().unwrap().is_clean());
    assert!(db.lookup("articles", "3").unwrap().is_some());
}

#[test]
fn entries_that_belong_to_nothing_are_removed() {
    let (_dir, db) = temporary(5);
    let storage = db.storage();
    let stranger = Uuid::from_u128(1);
    let key = keys::key_index_key(Table::new("default", "articles"), "no such");
    storage.put(KEY_INDEX, &key, stranger.as_bytes()).unwrap();
    storage
        .put(
            KEY_INDEX,
            keys::key_index_key(Table::new("default", "articles"), "malformed"),
            b"short",
        )
        .unwrap();
    let value = keys::FieldValue::Integer(9);
    storage
        .put(
            FIELD_INDEX,
            keys::field_index_key(Table::new("default", "articles"), "year", &value, stranger),
            b"",
        )
        .unwrap();
    assert_eq!(db.indexes().verify().unwrap().stale, 3);
    assert_eq!(db.indexes().rebuild_all().unwrap().stale, 3);
    assert!(db.indexes().verify().unwrap().is_clean());
    assert!(db.lookup("articles", "4").unwrap().is_some());
}

#[test]
fn another_tenants_index_is_left_alone() {
    let (_dir, db) = temporary(3);
    let other = db.for_tenant("other");
    other
        .register_schema("articles", &json!({ "key_field": "slug" }))
        .unwrap();
    other.insert("articles", &json!({ "slug": "x" })).unwrap();
    clear(&db, KEY_INDEX);
    db.indexes().rebuild_all().unwrap();
    assert!(db.indexes().verify().unwrap().is_clean());
    assert_eq!(other.indexes().verify().unwrap().missing, 1);
}

#[test]
fn an_unreadable_entity_makes_the_rebuild_partial_and_stops_nothing() {
    let (_dir, db) = temporary(4);
    db.storage()
        .put(
            ENTITIES,
            keys::entity_key(Table::new("default", "articles"), Uuid::from_u128(7)),
            b"garbage",
        )
        .unwrap();
    clear(&db, KEY_INDEX);
    let report = db.indexes().rebuild_key_index().unwrap();
    assert_eq!(
        report,
        IndexReport {
            entities: 5,
            missing: 4,
            failed: 1,
            unreadable: vec![Unreadable {
                table: "articles".to_owned(),
                id: Some(Uuid::from_u128(7)),
            }],
            ..IndexReport::default()
        }
    );
    assert_eq!(report.job_status(), JobStatus::Partial);
}

#[test]
fn progress_is_reported_page_by_page() {
    let (_dir, db) = temporary(5);
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let manager = db.indexes().page_size(2).on_progress(move |progress| {
        seen.lock().unwrap().push(progress.done);
        ControlFlow::Continue(())
    });
    manager.rebuild_key_index().unwrap();
    assert_eq!(*told.lock().unwrap(), [2, 4, 5, 7, 9, 10]);
}

/// All parts of an operation have one clock, and each operation of a manager its own.
#[test]
fn the_elapsed_time_counts_from_the_start_of_the_operation() {
    const PAUSE: Duration = Duration::from_millis(20);
    let (_dir, db) = temporary(5);
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let manager = db.indexes().on_progress(move |progress| {
        let mut seen = seen.lock().unwrap();
        seen.push((progress.elapsed, Instant::now()));
        std::thread::sleep(PAUSE);
        ControlFlow::Continue(())
    });
    for _ in 0..2 {
        let start = Instant::now();
        manager.rebuild_all().unwrap();
        let times = std::mem::take(&mut *times.lock().unwrap());
        assert_eq!(times.len(), 4);
        assert!(times.windows(2).all(|pair| pair[1].0 >= pair[0].0 + PAUSE));
        assert!(times.iter().all(|(elapsed, now)| *elapsed <= *now - start));
    }
}

/// Returns a progress callback that ends the work after `pages` pages.
fn stop_after(pages: usize) -> impl Fn(Progress) -> ControlFlow<()> + Send + Sync {
    let seen = AtomicUsize::new(0);
    move |_| match seen.fetch_add(1, Ordering::Relaxed) + 1 {
        page if page < pages => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}

#[test]
fn a_stopped_rebuild_ends_after_its_page_and_can_be_repeated() {
    let (_dir, db) = temporary(10);
    clear(&db, KEY_INDEX);
    let stopping = |pages| db.indexes().page_size(3).on_progress(stop_after(pages));
    let report = stopping(2).rebuild_key_index().unwrap();
    assert_eq!(
        report,
        IndexReport {
            entities: 6,
            missing: 6,
            cancelled: true,
            ..IndexReport::default()
        }
    );
    assert_eq!(report.job_status(), JobStatus::Cancelled);
    assert_eq!(
        db.indexes().verify().unwrap(),
        IndexReport {
            entities: 10,
            missing: 4,
            ..IndexReport::default()
        }
    );
    assert_eq!(db.indexes().rebuild_key_index().unwrap().missing, 4);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_rebuild_stopped_at_any_point_keeps_all_correct_entries() {
    let (_dir, db) = temporary(10);
    for pages in 1.. {
        let report = db
            .indexes()
            .page_size(3)
            .on_progress(stop_after(pages))
            .rebuild_all()
            .unwrap();
        assert!(
            db.indexes().verify().unwrap().is_clean(),
            "stopped after {pages} pages"
        );
        if !report.cancelled {
            // Entities and entries, four pages each, of the key index and of the field indexes.
            assert_eq!(pages, 17);
            return;
        }
    }
}

#[test]
fn a_stopped_verification_is_not_clean() {
    let (_dir, db) = temporary(10);
    let report = db
        .indexes()
        .page_size(3)
        .on_progress(stop_after(1))
        .verify()
        .unwrap();
    assert_eq!(
        report,
        IndexReport {
            entities: 3,
            cancelled: true,
            ..IndexReport::default()
        }
    );
    assert!(!report.is_clean());
}

#[test]
fn rebuilding_with_concurrent_writers_leaves_consistent_indexes() {
    let (_dir, db) = temporary(200);
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in (0_u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let slug = (n % 300).to_string();
                let id = db
                    .upsert("articles", &json!({ "slug": slug, "year": n }))
                    .unwrap();
                if n % 3 == 0 {
                    db.delete("articles", id).unwrap();
                }
            }
        });
        for _ in 0..10 {
            db.indexes().page_size(16).rebuild_all().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(db.indexes().verify().unwrap().is_clean());
}
