//! Read-only databases that are refreshed when they are read.

use std::time::{Duration, Instant};

use super::*;
use crate::storage::StorageOptions;

const LONG: Duration = Duration::from_hours(1);

fn reader(dir: &tempfile::TempDir) -> Database {
    let options = DatabaseOptions::new().storage(StorageOptions::new().read_only(true));
    Database::open_with(dir.path(), options).unwrap()
}

/// A reader on an object store sees what is durable.
fn insert(db: &Database, slug: &str) {
    db.insert("articles", &json!({ "slug": slug })).unwrap();
    db.storage().flush_wal(true).unwrap();
}

fn count(db: &Database) -> usize {
    db.count("articles").unwrap()
}

#[test]
fn a_read_refreshes_when_the_interval_has_passed() {
    let (dir, db) = temporary();
    insert(&db, "a");
    let often = Follower::new(reader(&dir), Duration::ZERO);
    let rarely = Follower::new(reader(&dir), LONG);
    let never = Follower::new(reader(&dir), None);
    let kept = often.current().unwrap();
    insert(&db, "b");
    assert_eq!(count(&often.current().unwrap()), 2);
    assert_eq!(count(&kept), 1);
    for follower in [rarely, never] {
        assert_eq!(count(&follower.current().unwrap()), 1);
        assert_eq!(follower.refreshes(), 0);
        assert_eq!(count(&follower.refresh().unwrap()), 2);
        assert_eq!(count(&follower.current().unwrap()), 2);
        assert_eq!(count(&follower.last()), 2);
        assert_eq!(follower.refreshes(), 1);
    }
}

#[test]
fn many_threads_that_need_a_refresh_share_one() {
    let (dir, db) = temporary();
    let interval = Duration::from_secs(20);
    let follower = Follower::new(reader(&dir), interval);
    insert(&db, "a");
    let due = Instant::now().checked_sub(interval).unwrap();
    follower.set_as_of(due);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(count(&follower.current().unwrap()), 1));
        }
    });
    assert_eq!(follower.refreshes(), 1);
}

#[test]
fn a_refresh_that_fails_is_an_error_of_that_read_and_is_tried_again() {
    let (dir, db) = temporary();
    insert(&db, "a");
    let follower = Follower::new(reader(&dir), Duration::ZERO);
    let handle = follower.current().unwrap();
    drop(db);
    let away = dir.path().with_extension("away");
    std::fs::rename(dir.path(), &away).unwrap();
    let error = follower.current().unwrap_err();
    assert!(matches!(error, Error::Open(_)), "{error}");
    assert_eq!(handle.tables(), ["articles"]);
    assert_eq!(follower.last().tables(), ["articles"]);
    std::fs::rename(&away, dir.path()).unwrap();
    assert_eq!(count(&follower.current().unwrap()), 1);
}

#[test]
fn a_follower_of_another_tenant_has_the_state_and_the_interval() {
    let (dir, db) = temporary();
    let follower = Follower::new(reader(&dir), Duration::ZERO);
    let other = db.for_tenant("other");
    register(&other);
    insert(&other, "a");
    let mine = follower.for_tenant("other");
    assert_eq!(mine.last().tables(), Vec::<String>::new());
    assert_eq!(count(&mine.current().unwrap()), 1);
    assert!(
        mine.skip_malformed()
            .current()
            .unwrap()
            .core
            .skips_malformed()
    );
}

#[test]
fn a_database_for_writing_is_not_opened_again() {
    let (_dir, db) = temporary();
    let follower = Follower::new(db.clone(), Duration::ZERO);
    insert(&db, "a");
    assert_eq!(count(&follower.current().unwrap()), 1);
    assert_eq!(count(&follower.refresh().unwrap()), 1);
    assert_eq!(follower.refreshes(), 0);
}

#[test]
fn a_call_with_the_current_database_is_that_of_a_handle() {
    let (dir, db) = temporary();
    let follower = Follower::new(reader(&dir), Duration::ZERO);
    insert(&db, "a");
    assert_eq!(follower.with_current(count).unwrap(), 1);
    // The lock of the state is not held during the call.
    let inside = follower.with_current(|_| follower.refresh().map(|db| count(&db)));
    assert_eq!(inside.unwrap().unwrap(), 1);
    assert_eq!(follower.refreshes(), 3);

    let writer = Follower::new(db, None);
    let handles: Vec<_> = (0..2)
        .map(|_| writer.with_current(std::ptr::from_ref).unwrap())
        .collect();
    assert_eq!(handles[0], handles[1], "no handle is made");
}
