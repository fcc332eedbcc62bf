//! Databases on an object store, whose process ends at any request. The objects have every
//! acknowledged change, a change that was not acknowledged is there as a whole or not at all, and the
//! indexes and vectors agree with the entities. `PERCOLATE_KILLS` sets how often.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::*;
use crate::otel::ErrorType as _;
use crate::storage::StorageOptions;
use crate::storage::faulty::{Crash, FaultyStore, Mode};

const TABLE: &str = "articles";

/// Deterministic numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The entities by their keys.
type Model = BTreeMap<String, Value>;

fn options() -> DatabaseOptions {
    let storage = StorageOptions::new()
        .sync(true)
        .flush_interval(Duration::from_millis(1))
        .object_store_retries(0)
        .memory_table_limit(64 << 10)
        .close_deadline(Duration::from_secs(2));
    DatabaseOptions::new().storage(storage)
}

fn open(url: &str) -> Result<Database, Error> {
    let db = Database::open_with(url, options())?;
    let schema =
        json!({ "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"] });
    db.register_schema(TABLE, &schema)?;
    Ok(db)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn article(random: &mut Random, key: &str) -> Value {
    let words = random.below(1_000);
    json!({ "slug": key, "year": random.below(50), "body": format!("{key} {words}").repeat(20) })
}

fn some_key(random: &mut Random, model: &Model) -> Option<String> {
    let count = u64::try_from(model.len()).unwrap();
    let position = random.below(count.max(1));
    model
        .keys()
        .nth(usize::try_from(position).unwrap())
        .cloned()
}

/// Makes one change of the database, and of the model as if it succeeded.
fn change(db: &Database, random: &mut Random, number: u64, model: &mut Model) -> Result<(), Error> {
    let known = some_key(random, model);
    let new = format!("key-{number}");
    match (random.below(9), known) {
        (0, Some(key)) => {
            model.remove(&key);
            assert!(db.delete(TABLE, EntityRef::Key(&key))?, "{key} is there");
        }
        (1, Some(key)) => {
            let changed = article(random, &key);
            model.insert(key, changed.clone());
            db.upsert(TABLE, &changed)?;
        }
        (2, Some(key)) => {
            let year = json!(random.below(50));
            model.get_mut(&key).unwrap()["year"] = year.clone();
            db.update(TABLE, EntityRef::Key(&key), &json!({ "year": year }))?;
        }
        (3, Some(key)) => {
            // A batch of several kinds.
            let added = article(random, &new);
            let mut batch = db.batch();
            batch.insert(TABLE, &added)?;
            batch.delete(TABLE, EntityRef::Key(&key))?;
            model.remove(&key);
            model.insert(new, added);
            batch.commit()?;
        }
        (4 | 5, _) => {
            let many: Vec<_> = (0..6)
                .map(|n| article(random, &format!("{new}-{n}")))
                .collect();
            for entity in &many {
                let key = entity["slug"].as_str().unwrap().to_owned();
                model.insert(key, entity.clone());
            }
            db.insert_batch(TABLE, &many)?;
        }
        (6, _) => drop(wait(db.generate_embeddings(TABLE))?),
        (7, _) if random.below(4) == 0 => db.storage().flush()?,
        _ => {
            let added = article(random, &new);
            model.insert(new, added.clone());
            db.insert(TABLE, &added)?;
        }
    }
    Ok(())
}

fn stored(db: &Database) -> Model {
    let entities = db.scan(TABLE).unwrap();
    entities
        .map(|entity| {
            let data = entity.unwrap().data;
            (data["slug"].as_str().unwrap().to_owned(), data)
        })
        .collect()
}

/// Ends the process at a random write. Returns the number of acknowledged changes.
fn crash(seed: u64) -> u64 {
    let mut random = Random(seed);
    let store = FaultyStore::new();
    let mut acknowledged = Model::new();
    let mut tried = Model::new();
    let mut changes = 0;
    let exists = random.below(2) == 0;
    if exists {
        let db = open(&store.url()).unwrap();
        for number in 0..10 {
            change(&db, &mut random, 1_000 + number, &mut tried).unwrap();
        }
        acknowledged.clone_from(&tried);
    }
    store.crash_at(Crash {
        after: store.writes() + random.below(60),
        has_effect: random.below(2) == 0,
    });
    if let Ok(db) = open(&store.url()) {
        while change(&db, &mut random, changes, &mut tried).is_ok() {
            acknowledged.clone_from(&tried);
            changes += 1;
        }
    }
    assert!(store.has_crashed(), "a change failed before the crash");

    store.restart();
    let db = open(&store.url()).unwrap();
    let found = stored(&db);
    assert!(
        found == acknowledged || found == tried,
        "{} changes were acknowledged\nfound {:?}\nacknowledged {:?}\ntried {:?}",
        changes,
        found.keys(),
        acknowledged.keys(),
        tried.keys()
    );
    for (key, data) in &found {
        assert_eq!(&db.lookup(TABLE, key).unwrap().unwrap().data, data);
    }
    for year in 0..50 {
        let by_index = db.find(TABLE, "year", year..=year).unwrap().len();
        let by_scan = found.values().filter(|data| data["year"] == year).count();
        assert_eq!(by_index, by_scan, "of the year {year}");
    }
    let report = db.indexes().verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    wait(db.generate_embeddings(TABLE)).unwrap();
    assert_eq!(
        db.indexes().rebuild_hnsw_index().unwrap().entities,
        found.len(),
        "each entity has its vector"
    );
    change(&db, &mut random, 5_000, &mut found.clone()).unwrap();
    changes
}

#[test]
fn a_database_survives_the_end_of_its_process_at_any_request() {
    let crashes = match std::env::var("PERCOLATE_KILLS") {
        Ok(number) => number.parse().unwrap(),
        Err(_) => 20,
    };
    let first: u64 = match std::env::var("PERCOLATE_KILL_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 1,
    };
    let mut changes = 0;
    for seed in first..first + crashes {
        let crashed = catch_unwind(AssertUnwindSafe(|| crash(seed))).ok();
        changes += crashed.unwrap_or_else(|| {
            panic!("it failed with PERCOLATE_KILL_SEED={seed} PERCOLATE_KILLS=1")
        });
    }
    assert!(changes > 3 * crashes || crashes < 20, "{changes}");
}

#[test]
fn an_outage_is_an_error_of_each_call_and_closing_keeps_its_deadline() {
    let store = FaultyStore::new();
    let db = open(&store.url()).unwrap();
    let mut random = Random(7);
    let mut model = Model::new();
    for number in 0..20 {
        change(&db, &mut random, number, &mut model).unwrap();
    }
    store.set(Mode::Fails);
    let error = db.insert(TABLE, &article(&mut random, "late")).unwrap_err();
    assert_eq!(error.error_type(), "Unavailable");
    db.lookup(TABLE, "key-1").unwrap_err();
    wait(db.search(TABLE, "key", 3, None)).unwrap_err();
    let deadline = Duration::from_secs(5);
    let error = db.close_within(deadline).unwrap_err();
    assert!(error.to_string().contains("flush the log"), "{error}");
    store.set(Mode::Works);
    let db = open(&store.url()).unwrap();
    let mut found = stored(&db);
    found.remove("late");
    assert_eq!(found, model);

    store.set(Mode::Hangs);
    let error = db.close_within(Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.error_type(), "CloseTimeout");
    store.set(Mode::Works);
    store.resume();
    assert!(open(&store.url()).is_ok());
}

#[test]
fn every_write_of_a_fenced_database_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/objects", dir.path().display());
    let first = open(&url).unwrap();
    first.insert(TABLE, &json!({ "slug": "a" })).unwrap();
    let second = open(&url).unwrap();
    let late = json!({ "slug": "b" });
    // A write notices first; then the handle is closed, also for reads.
    for _ in 0..2 {
        assert!(first.insert(TABLE, &late).unwrap_err().is_fenced());
        assert!(first.upsert(TABLE, &late).unwrap_err().is_fenced());
        assert!(
            first
                .delete(TABLE, EntityRef::Key("a"))
                .unwrap_err()
                .is_fenced()
        );
    }
    assert!(!second.insert(TABLE, &json!([])).unwrap_err().is_fenced());
    assert_eq!(second.count(TABLE).unwrap(), 1);
}
