//! Tests of vector search: after changes, with stale or damaged index files, and during writes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use serde_json::json;

use super::*;
use crate::embeddings::{EmbeddingError, EmbeddingFuture, EmbeddingProvider, OfflineEmbeddings};
use crate::schema::entity::Entity;
use crate::storage::StorageOptions;
use crate::storage::keys::Table;
use crate::{Database, DatabaseOptions, VectorError};

const TEXTS: [&str; 4] = [
    "an embedded store of keys and values",
    "a client and server for HTTP requests",
    "parsing command line arguments",
    "random number generators",
];

fn temporary() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    fill(&db);
    (dir, db)
}

fn fill(db: &Database) {
    db.register_schema(
        "crates",
        &json!({ "key_field": "name", "embedding_fields": ["about", "title"] }),
    )
    .unwrap();
    let data: Vec<_> = TEXTS
        .iter()
        .enumerate()
        .map(|(n, text)| json!({ "name": n, "about": text }))
        .collect();
    db.insert_batch("crates", &data).unwrap();
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn embed(db: &Database) -> EmbeddingReport {
    wait(db.generate_embeddings("crates")).unwrap()
}

/// Returns the numbers of the entities found.
fn found(db: &Database, text: &str, k: usize) -> Vec<u64> {
    let hits = wait(db.search("crates", text, k, None)).unwrap();
    hits.iter()
        .map(|hit| hit.entity.data["name"].as_u64().unwrap())
        .collect()
}

fn id_of(db: &Database, name: &str) -> Uuid {
    db.lookup("crates", name).unwrap().unwrap().id
}

fn stored(db: &Database) -> Stored<'_> {
    Stored {
        core: &db.core,
        table: "crates",
        field: "about",
        page: PAGE,
        tell: &to_the_end,
    }
}

fn index_files(db: &Database) -> Vec<PathBuf> {
    let dir = db.storage().path().join("vectors");
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn words_of_a_text_find_it() {
    let (_dir, db) = temporary();
    assert!(found(&db, "key value store", 4).is_empty());
    assert_eq!(
        embed(&db),
        EmbeddingReport {
            embedded: 4,
            waiting: 0,
            refused: 0
        }
    );
    assert_eq!(found(&db, "key value store", 1), [0]);
    assert_eq!(found(&db, "http server", 1), [1]);
    assert_eq!(found(&db, "command line", 1), [2]);
    assert_eq!(found(&db, "anything", 9).len(), 4);
    assert_eq!(
        embed(&db),
        EmbeddingReport {
            embedded: 0,
            waiting: 0,
            refused: 0
        }
    );
}

#[test]
fn a_changed_text_is_found_by_its_new_words_and_a_deleted_one_by_none() {
    let (_dir, db) = temporary();
    embed(&db);
    db.update(
        "crates",
        id_of(&db, "2"),
        &json!({ "about": "compressing archives" }),
    )
    .unwrap();
    embed(&db);
    assert_eq!(found(&db, "archive compression", 1), [2]);
    db.delete("crates", id_of(&db, "2")).unwrap();
    assert!(!found(&db, "archive compression", 4).contains(&2));
    db.purge("crates", id_of(&db, "0")).unwrap();
    assert_eq!(found(&db, "key value store", 4).len(), 2);
}

#[test]
fn a_changed_text_is_not_found_by_its_old_words_before_it_is_embedded() {
    let (_dir, db) = temporary();
    embed(&db);
    let distance = |name: u64| {
        let hits = wait(db.search("crates", TEXTS[0], 9, None)).unwrap();
        let hit = hits.iter().find(|hit| hit.entity.data["name"] == name);
        hit.map(|hit| hit.distance)
    };
    assert!(distance(0).unwrap() < 0.01);
    let change = json!({ "about": "compressing archives" });
    db.update("crates", id_of(&db, "0"), &change).unwrap();
    assert_eq!(distance(0), None);
    db.indexes().verify().unwrap();
    // A change of another field keeps the vector.
    db.update("crates", id_of(&db, "1"), &json!({ "stars": 3 }))
        .unwrap();
    assert!(distance(1).is_some());
    db.upsert("crates", &json!({ "name": 1, "about": "something else" }))
        .unwrap();
    assert_eq!(distance(1), None);
    embed(&db);
    assert!(distance(0).unwrap() > 0.1 && distance(1).unwrap() > 0.1);
}

/// A provider that fails for the text `poison` in one of the ways of providers, and counts texts.
#[derive(Debug)]
struct Fussy {
    failure: Failure,
    texts: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
enum Failure {
    NotFinite,
    Dimensions,
    Count,
    Kind(&'static str),
}

impl EmbeddingProvider for Fussy {
    fn name(&self) -> &'static str {
        "fussy"
    }

    fn dimensions(&self) -> usize {
        3
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        let mut vectors = vec![vec![1.0, 2.0, 3.0]; texts.len()];
        let poisoned = texts.iter().position(|text| text.starts_with("poison"));
        let answer = match (poisoned, self.failure) {
            (None, _) => Ok(vectors),
            (Some(position), Failure::NotFinite) => {
                vectors[position][1] = f32::NAN;
                Ok(vectors)
            }
            (Some(position), Failure::Dimensions) => {
                vectors[position].pop();
                Ok(vectors)
            }
            (Some(position), Failure::Count) => {
                vectors.remove(position);
                Ok(vectors)
            }
            (Some(_), Failure::Kind(kind)) => Err(EmbeddingError::Provider {
                provider: "fussy".to_owned(),
                kind: kind.into(),
                source: "poison".into(),
            }),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn fussy(failure: Failure, texts: &[&str]) -> (tempfile::TempDir, Database, Arc<Fussy>) {
    let dir = tempfile::tempdir().unwrap();
    let provider = Arc::new(Fussy {
        failure,
        texts: AtomicUsize::new(0),
    });
    let options = DatabaseOptions::new().provider(provider.clone());
    let db = Database::open_with(dir.path(), options).unwrap();
    db.register_schema(
        "crates",
        &json!({ "key_field": "name", "embedding_fields": ["about", "title"] }),
    )
    .unwrap();
    let data = texts.iter().enumerate();
    let data: Vec<_> = data
        .map(|(name, text)| json!({ "name": name, "about": text }))
        .collect();
    db.insert_batch("crates", &data).unwrap();
    (dir, db, provider)
}

#[test]
fn a_text_without_a_vector_is_set_aside_and_costs_no_other_its_vector() {
    use Failure::{Count, Dimensions, Kind, NotFinite};
    for failure in [
        NotFinite,
        Dimensions,
        Count,
        Kind("400"),
        Kind("500"),
        Kind("ValueError"),
    ] {
        let mut texts = ["good"; 600];
        texts[300] = "poison";
        let (_dir, db, provider) = fussy(failure, &texts);
        let first = embed(&db);
        assert_eq!(
            (first.embedded, first.waiting, first.refused),
            (599, 0, 1),
            "{failure:?}"
        );
        assert_eq!(first.job_status(), JobStatus::Partial);
        let status = db.embedding_status("crates").unwrap();
        assert_eq!((status.waiting, status.refused.len()), (0, 1));
        let refused = &status.refused[0];
        assert_eq!(
            (refused.id, refused.field.as_str()),
            (id_of(&db, "300"), "about")
        );
        assert!(refused.reason.contains("fussy"), "{refused:?}");
        assert!(!refused.reason.contains("poison"), "{refused:?}");
        // It is not sent again until it changes or is retried.
        let sent = provider.texts.load(Ordering::Relaxed);
        assert_eq!(embed(&db), EmbeddingReport::default());
        assert_eq!(provider.texts.load(Ordering::Relaxed), sent);
        assert_eq!(db.retry_refused_embeddings("crates").unwrap(), 1);
        assert_eq!(db.embedding_status("crates").unwrap().waiting, 1);
        db.update("crates", refused.id, &json!({ "about": "good" }))
            .unwrap();
        assert_eq!(embed(&db).embedded, 1);
        assert_eq!(
            db.embedding_status("crates").unwrap(),
            crate::EmbeddingStatus::default()
        );
    }
}

#[test]
fn without_proof_that_the_provider_works_no_text_is_set_aside() {
    let texts = ["poison"; 100];
    for failure in [Failure::NotFinite, Failure::Kind("503")] {
        let (_dir, db, provider) = fussy(failure, &texts);
        wait(db.generate_embeddings("crates")).unwrap_err();
        let status = db.embedding_status("crates").unwrap();
        assert_eq!((status.waiting, status.refused.len()), (100, 0));
        assert!(provider.texts.load(Ordering::Relaxed) < 600);
    }
    // An error of the service is not the fault of a text.
    let mut texts = ["good"; 600];
    texts[300] = "poison";
    for kind in ["timeout", "APIConnectionError", "429", "SystemExit"] {
        let (_dir, db, _) = fussy(Failure::Kind(kind), &texts);
        let report = embed(&db);
        assert_eq!((report.waiting, report.refused), (64, 0), "{kind}");
    }
}

#[test]
fn a_text_that_is_alone_is_set_aside_with_the_next_run_that_embeds_another() {
    let mut texts = vec!["good"; PAGE];
    texts.extend(["poison"; 3]);
    let (_dir, db, _) = fussy(Failure::NotFinite, &texts);
    let report = embed(&db);
    assert_eq!((report.embedded, report.refused), (PAGE, 3));
    let poison = json!({ "name": 1000, "about": "poison" });
    db.insert("crates", &poison).unwrap();
    wait(db.generate_embeddings("crates")).unwrap_err();
    db.insert("crates", &json!({ "name": 1001, "about": "good" }))
        .unwrap();
    let report = embed(&db);
    assert_eq!((report.embedded, report.refused), (1, 1));
}

#[test]
fn one_refused_field_keeps_the_vector_of_the_other() {
    let (_dir, db, _) = fussy(Failure::NotFinite, &[]);
    let entity = json!({ "name": 1, "about": "good", "title": "poison" });
    db.insert("crates", &entity).unwrap();
    let report = embed(&db);
    assert_eq!((report.embedded, report.refused), (0, 1));
    let status = db.embedding_status("crates").unwrap();
    assert_eq!(status.refused[0].field, "title");
    assert_eq!(found(&db, "anything", 9), [1]);
}

#[test]
fn a_read_only_handle_sees_later_writes_after_a_refresh() {
    let (dir, db) = temporary();
    embed(&db);
    // A reader on an object store sees what is durable.
    db.storage().flush_wal(true).unwrap();
    let options = DatabaseOptions::new().storage(StorageOptions::new().read_only(true));
    let reader = Database::open_with(dir.path(), options).unwrap();
    assert_eq!(found(&reader, "key value store", 9).len(), 4);
    db.insert(
        "crates",
        &json!({ "name": 4, "about": "a parser of dates" }),
    )
    .unwrap();
    embed(&db);
    db.register_schema("later", &json!({ "embedding_fields": ["about"] }))
        .unwrap();
    db.storage().flush_wal(true).unwrap();
    assert_eq!(found(&reader, "parser of dates", 9).len(), 4);
    assert_eq!(reader.tables(), ["crates"]);

    let current = reader.refreshed().unwrap();
    assert_eq!(current.tables(), ["crates", "later"]);
    assert_eq!(found(&current, "parser of dates", 1), [4]);
    // The old handle keeps its state, and the writer is current.
    assert_eq!(found(&reader, "parser of dates", 9).len(), 4);
    assert!(!db.refreshed().unwrap().storage().is_read_only());
    assert!(current.insert("crates", &json!({ "name": 5 })).is_err());

    // An index that is still current is not loaded again, for any tenant.
    let slot = |db: &Database| {
        let name = db.core.index_name("crates", "about");
        Arc::as_ptr(&db.core.slot(name))
    };
    let again = current.for_tenant("other").refreshed().unwrap();
    assert_eq!(again.tenant(), "other");
    assert_eq!(slot(&again.for_tenant("default")), slot(&current));
    assert_ne!(slot(&current), slot(&reader));
}

#[test]
fn removing_a_text_removes_its_vector() {
    let (_dir, db) = temporary();
    embed(&db);
    db.update("crates", id_of(&db, "0"), &json!({ "about": null }))
        .unwrap();
    embed(&db);
    assert!(!found(&db, "key value store", 4).contains(&0));
}

#[test]
fn an_entity_with_two_embedded_fields_is_found_once_by_the_nearer() {
    let (_dir, db) = temporary();
    db.upsert(
        "crates",
        &json!({ "name": 0, "about": TEXTS[0], "title": "sled of snow" }),
    )
    .unwrap();
    embed(&db);
    assert_eq!(found(&db, "snow sled", 2)[0], 0);
    assert_eq!(found(&db, "key store", 9).len(), 4);
}

#[test]
fn a_filter_decides_what_may_be_found() {
    let (_dir, db) = temporary();
    embed(&db);
    let odd = |entity: &Entity| {
        entity.data["name"]
            .as_u64()
            .is_some_and(|name| name % 2 == 1)
    };
    let hits = wait(db.search("crates", "key value store", 4, Some(&odd))).unwrap();
    assert_eq!(hits.len(), 2);
    assert!(hits.iter().all(|hit| odd(&hit.entity)));
    assert!(hits[0].distance <= hits[1].distance);
}

#[test]
fn tenants_search_their_own_entities_only() {
    let (_dir, db) = temporary();
    embed(&db);
    let other = db.for_tenant("other");
    fill(&other);
    assert!(found(&other, "key value store", 4).is_empty());
}

#[test]
fn a_saved_index_is_used_and_a_stale_or_damaged_one_is_not() {
    let (dir, db) = temporary();
    embed(&db);
    assert_eq!(db.save_index("crates").unwrap(), 4);
    let reopen = |db: Database| {
        drop(db);
        Database::open(dir.path()).unwrap()
    };
    let from_file = |db: &Database| stored(db).saved().unwrap().is_some();
    let db = reopen(db);
    assert!(from_file(&db));
    assert_eq!(found(&db, "key value store", 1), [0]);

    db.delete("crates", id_of(&db, "3")).unwrap();
    let db = reopen(db);
    assert!(!from_file(&db));
    assert_eq!(found(&db, "anything", 9).len(), 3);

    db.save_index("crates").unwrap();
    assert!(from_file(&db));
    for file in index_files(&db) {
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
    }
    let db = reopen(db);
    assert!(!from_file(&db));
    assert_eq!(db.load_index("crates").unwrap(), 3);
    assert_eq!(db.indexes().rebuild_hnsw_index().unwrap().entities, 3);
}

/// A provider that fails for texts that contain `fail`.
#[derive(Debug, Default)]
struct Moody {
    failing: AtomicBool,
}

impl EmbeddingProvider for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn dimensions(&self) -> usize {
        8
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        let failed = EmbeddingError::Provider {
            provider: "moody".to_owned(),
            kind: "timeout".into(),
            source: "no mood".to_owned().into(),
        };
        let vectors = texts
            .iter()
            .map(|text| OfflineEmbeddings::with_dimensions(8).vector(text))
            .collect();
        Box::pin(std::future::ready(
            if self.failing.load(Ordering::Relaxed) {
                Err(failed)
            } else {
                Ok(vectors)
            },
        ))
    }
}

#[test]
fn entities_wait_while_the_provider_fails() {
    let dir = tempfile::tempdir().unwrap();
    let provider = Arc::new(Moody::default());
    let db = Database::open_with(
        dir.path(),
        DatabaseOptions::new().provider(provider.clone()),
    )
    .unwrap();
    fill(&db);
    provider.failing.store(true, Ordering::Relaxed);
    let error = wait(db.generate_embeddings("crates")).unwrap_err();
    assert!(
        matches!(error, Error::Embedding(EmbeddingError::Provider { .. })),
        "{error:?}"
    );
    provider.failing.store(false, Ordering::Relaxed);
    assert_eq!(embed(&db).embedded, 4);
}

#[test]
fn after_a_change_of_the_provider_everything_is_embedded_again() {
    let (dir, db) = temporary();
    embed(&db);
    drop(db);
    let options = DatabaseOptions::new().provider(Arc::new(Moody::default()));
    let db = Database::open_with(dir.path(), options).unwrap();
    let error = wait(db.search("crates", "store", 1, None)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Vector(VectorError::WrongDimensions { expected: 8, .. })
        ),
        "{error:?}"
    );
    assert_eq!(db.mark_for_embedding("crates").unwrap(), 4);
    embed(&db);
    assert_eq!(found(&db, "anything", 9).len(), 4);
}

#[test]
fn a_newly_embedded_field_is_embedded_for_what_is_already_there() {
    let (_dir, db) = temporary();
    embed(&db);
    db.register_schema(
        "crates",
        &json!({ "key_field": "name", "embedding_fields": ["about"] }),
    )
    .unwrap();
    assert_eq!(embed(&db).embedded, 4);
}

#[test]
fn searches_with_concurrent_changes_find_the_final_state() {
    let (_dir, db) = temporary();
    embed(&db);
    std::thread::scope(|threads| {
        for thread in 0..3 {
            let db = &db;
            threads.spawn(move || {
                for round in 0..15 {
                    let name = 10 + thread;
                    let id = db
                        .upsert(
                            "crates",
                            &json!({ "name": name, "about": format!("round {round}") }),
                        )
                        .unwrap();
                    embed(db);
                    found(db, "round", 3);
                    if round % 4 == 0 {
                        db.delete("crates", id).unwrap();
                    }
                }
            });
        }
    });
    embed(&db);
    let mut names = found(&db, "anything", 99);
    names.sort_unstable();
    assert_eq!(names, [0, 1, 2, 3, 10, 11, 12]);
    assert_eq!(stored(&db).next_page(&mut None).unwrap().len(), 7);
}

fn clean(db: &Database) {
    let report = db.indexes().verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Runs `work` after each page of a rebuild, on the thread that rebuilds, with the number of pages
/// done before: four of entities, four of stored vectors, then those of the new index.
fn rebuild_and(
    db: &Database,
    work: impl Fn(usize) -> ControlFlow<()> + Send + Sync + 'static,
) -> IndexReport {
    let pages = AtomicUsize::new(0);
    let manager = db
        .indexes()
        .page_size(1)
        .on_progress(move |_| work(pages.fetch_add(1, Ordering::Relaxed)));
    manager.rebuild_hnsw_index().unwrap()
}

#[test]
fn searches_and_writes_continue_during_a_rebuild() {
    let (_dir, db) = temporary();
    embed(&db);
    let inside = db.clone();
    let report = rebuild_and(&db, move |pages| {
        assert_eq!(
            found(&inside, "key value store", 1),
            [0],
            "the old index is searched"
        );
        if pages == 9 {
            inside
                .update(
                    "crates",
                    id_of(&inside, "1"),
                    &json!({ "about": "compressing archives" }),
                )
                .unwrap();
            inside.delete("crates", id_of(&inside, "3")).unwrap();
            let many: Vec<_> = (10..200)
                .map(|name| json!({ "name": name, "about": format!("word{name}") }))
                .collect();
            inside.insert_batch("crates", &many).unwrap();
            embed(&inside);
            assert_eq!(
                found(&inside, "compressing archives", 1),
                [1],
                "and kept in step"
            );
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.failed, 0);
    clean(&db);
    assert_eq!(found(&db, "compressing archives", 1), [1]);
    assert_eq!(found(&db, "word150", 1), [150]);
    assert_eq!(found(&db, "anything", 999).len(), 193);
}

#[test]
fn an_index_may_be_searched_for_the_first_time_while_it_is_made() {
    let (dir, db) = temporary();
    embed(&db);
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    let inside = db.clone();
    rebuild_and(&db, move |pages| {
        if pages == 9 {
            assert_eq!(found(&inside, "key value store", 1), [0]);
        }
        ControlFlow::Continue(())
    });
    clean(&db);
}

#[test]
fn a_stopped_rebuild_keeps_the_old_index() {
    let (_dir, db) = temporary();
    embed(&db);
    let stopping = |pages| {
        if pages < 9 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let report = rebuild_and(&db, stopping);
    assert_eq!((report.entities, report.cancelled), (2, true));
    assert_eq!(found(&db, "anything", 9).len(), 4);
    db.delete("crates", id_of(&db, "3")).unwrap();
    clean(&db);
}

/// Stops the writers of a test, also if it fails.
struct StopsWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopsWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn rebuilding_with_concurrent_writers_leaves_a_consistent_index() {
    let (_dir, db) = temporary();
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for thread in 0..2_u64 {
            let (db, stop) = (&db, &stop);
            threads.spawn(move || {
                for round in (0_u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let name = 10 + thread * 1000 + round % 40;
                    let id = db
                        .upsert(
                            "crates",
                            &json!({ "name": name, "about": format!("round {round}") }),
                        )
                        .unwrap();
                    if round % 3 != 2 {
                        embed(db);
                    }
                    if round % 5 == 0 {
                        db.delete("crates", id).unwrap();
                    }
                }
            });
        }
        let _stop = StopsWhenDropped(&stop);
        for _ in 0..8 {
            db.indexes().page_size(8).rebuild_all().unwrap();
            clean(&db);
        }
    });
    embed(&db);
    clean(&db);
    assert_eq!(
        found(&db, "anything", 999).len(),
        db.count("crates").unwrap()
    );
}

#[test]
fn a_verification_counts_what_an_index_lacks_and_what_it_has_in_excess() {
    let (_dir, db) = temporary();
    embed(&db);
    clean(&db);
    let field = db
        .core
        .embedded_fields(&db.schema("crates").unwrap())
        .remove(0);
    let generation = Uuid::now_v7();
    field.slot.change().apply(generation, |index| {
        index.remove(id_of(&db, "0"))?;
        index.set(id_of(&db, "1"), &vec![1.0; db.core.dimensions()])?;
        index.set(Uuid::from_u128(7), &vec![1.0; db.core.dimensions()])
    });
    let report = db.indexes().page_size(3).verify().unwrap();
    assert_eq!((report.missing, report.stale, report.failed), (2, 1, 0));
    db.indexes().rebuild_hnsw_index().unwrap();
    clean(&db);
}

#[test]
fn a_vector_of_another_length_fails_by_itself_in_a_rebuild() {
    let (_dir, db) = temporary();
    embed(&db);
    let key = keys::embedding_key(Table::new("default", "crates"), "about", id_of(&db, "0"));
    db.storage().put(EMBEDDINGS, key, [0; 12]).unwrap();
    let report = db.indexes().rebuild_hnsw_index().unwrap();
    assert_eq!((report.entities, report.failed), (4, 1));
    assert_eq!(report.job_status(), JobStatus::Partial);
    assert_eq!(found(&db, "anything", 9).len(), 3);
    assert_eq!(db.indexes().verify().unwrap().failed, 1);
}

#[test]
fn an_index_half_changed_by_a_panic_is_loaded_again() {
    let (_dir, db) = temporary();
    embed(&db);
    db.load_index("crates").unwrap();
    let field = db
        .core
        .embedded_fields(&db.schema("crates").unwrap())
        .remove(0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        field.slot.change().apply(Uuid::now_v7(), |index| {
            index.remove(id_of(&db, "0"))?;
            panic!("half way");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(found(&db, "key value store", 1), [0]);
    clean(&db);
}

#[test]
fn concurrent_saves_and_writes_leave_files_that_are_complete_or_stale() {
    let (dir, db) = temporary();
    embed(&db);
    std::thread::scope(|threads| {
        for thread in 0..3_u64 {
            let db = &db;
            threads.spawn(move || {
                for round in 0..10 {
                    db.upsert(
                        "crates",
                        &json!({ "name": 10 + thread, "about": format!("round {round}") }),
                    )
                    .unwrap();
                    embed(db);
                    db.save_index("crates").unwrap();
                }
            });
        }
    });
    db.save_index("crates").unwrap();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert!(stored(&db).saved().unwrap().is_some());
    clean(&db);
}

#[test]
fn a_field_that_is_embedded_no_longer_leaves_no_vectors_behind() {
    let (_dir, db) = temporary();
    db.upsert(
        "crates",
        &json!({ "name": 0, "about": TEXTS[0], "title": "a sled of snow" }),
    )
    .unwrap();
    embed(&db);
    assert_eq!(found(&db, "snow sled", 1), [0]);
    db.save_index("crates").unwrap();
    let vectors = || {
        db.storage()
            .scan(EMBEDDINGS, ScanRange::all())
            .unwrap()
            .count()
    };
    assert_eq!((vectors(), index_files(&db).len()), (5, 2));
    let register = |fields: &[&str]| {
        db.register_schema(
            "crates",
            &json!({ "key_field": "name", "embedding_fields": fields }),
        )
        .unwrap();
    };
    register(&["about"]);
    assert_eq!((vectors(), index_files(&db).len()), (4, 1));
    clean(&db);
    // If the field is embedded again, it starts without vectors.
    register(&["about", "title"]);
    db.upsert("crates", &json!({ "name": 0, "about": TEXTS[0] }))
        .unwrap();
    clean(&db);
    embed(&db);
    assert_eq!((vectors(), found(&db, "anything", 9).len()), (4, 4));
    clean(&db);
}

#[test]
fn a_text_without_a_vector_and_a_vector_without_a_text_are_found_and_put_right() {
    let (_dir, db) = temporary();
    embed(&db);
    let key = |id| keys::embedding_key(Table::new("default", "crates"), "about", id);
    let vector = vectors::vector_to_bytes(&vec![1.0; db.core.dimensions()]);
    db.storage()
        .delete(EMBEDDINGS, key(id_of(&db, "0")))
        .unwrap();
    db.storage()
        .put(EMBEDDINGS, key(Uuid::from_u128(7)), &vector)
        .unwrap();
    let report = db.indexes().page_size(2).verify().unwrap();
    assert_eq!((report.missing, report.stale, report.failed), (1, 1, 0));
    let report = db.indexes().page_size(2).rebuild_hnsw_index().unwrap();
    assert_eq!((report.entities, report.missing, report.stale), (4, 1, 1));
    clean(&db);
    assert_eq!(
        embed(&db),
        EmbeddingReport {
            embedded: 2,
            waiting: 0,
            refused: 0
        }
    );
    clean(&db);
    assert_eq!(
        db.storage()
            .scan(EMBEDDINGS, ScanRange::all())
            .unwrap()
            .count(),
        4
    );
    assert_eq!(found(&db, "key value store", 1), [0]);
}

#[test]
fn an_entity_that_cannot_be_read_is_not_marked_for_embedding() {
    let (_dir, db) = temporary();
    embed(&db);
    let id = id_of(&db, "0");
    db.storage()
        .put(
            ENTITIES,
            keys::entity_key(Table::new("default", "crates"), id),
            b"garbage",
        )
        .unwrap();
    assert_eq!(db.indexes().rebuild_hnsw_index().unwrap().stale, 0);
    assert_eq!(embed(&db), EmbeddingReport::default());
}

#[test]
fn a_search_needs_no_tokio_runtime_and_inside_one_holds_no_task_up_while_it_loads() {
    let (dir, db) = temporary();
    embed(&db);
    let hits = db
        .search("crates", "key value store", 1, None)
        .now_or_never();
    assert_eq!(hits.unwrap().unwrap().len(), 1);
    drop(db);
    // Another thread may finish before the first poll, but not every time.
    let waited = || {
        let db = Database::open(dir.path()).unwrap();
        wait(async {
            let search = db.search("crates", "key value store", 1, None);
            let mut search = std::pin::pin!(search);
            let at_once = search.as_mut().now_or_never();
            let waited = at_once.is_none();
            let hits = if let Some(hits) = at_once {
                hits
            } else {
                search.await
            };
            assert_eq!(hits.unwrap().len(), 1);
            waited
        })
    };
    assert!(
        (0..100).any(|_| waited()),
        "the index is loaded where it holds up others"
    );
}

#[test]
fn loading_an_index_can_be_ended_and_leaves_nothing_half_loaded() {
    let (dir, db) = groups();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    let told = AtomicUsize::new(0);
    let ended = db.core.load_index("crates", &|done| {
        told.store(done, Ordering::Relaxed);
        if done < 100 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    assert_eq!(told.load(Ordering::Relaxed), 128);
    let ends = |_| ControlFlow::Break(());
    let report = db.indexes().on_progress(ends).load_vector_indexes("crates");
    assert!(report.unwrap().cancelled);
    // A search that is dropped ends the loading too, and does not wait for another thread's.
    let (inside, vector) = (db.clone(), vec![0.5; db.core.dimensions()]);
    let loading = db.core.load_index("crates", &|done| {
        if done == 32 {
            wait(async {
                let search = inside.search_vector_async("crates", &vector, 1, None);
                let ended =
                    tokio::time::timeout(std::time::Duration::from_millis(50), search).await;
                assert!(ended.is_err());
            });
        }
        ControlFlow::Continue(())
    });
    assert_eq!(loading.unwrap(), db.count("crates").unwrap());
    assert_eq!(found(&db, "word507 of many", 1), [507]);
    clean(&db);
}

/// Creates a thousand entities in ten groups, one of which has only two.
fn groups() -> (tempfile::TempDir, Database) {
    let (dir, db) = temporary();
    let group = |name| if name % 500 == 7 { 0 } else { 1 + name % 9 };
    let entity = |name: u64| json!({ "name": name, "about": format!("word{name} of many"), "group": group(name) });
    db.insert_batch("crates", &(10..1010).map(entity).collect::<Vec<_>>())
        .unwrap();
    embed(&db);
    (dir, db)
}

#[test]
fn a_selective_filter_finds_everything_and_a_broad_one_is_called_rarely() {
    let (_dir, db) = groups();
    let asked = AtomicUsize::new(0);
    let search = |k, group: u64| {
        asked.store(0, Ordering::Relaxed);
        let filter = |entity: &Entity| {
            asked.fetch_add(1, Ordering::Relaxed);
            entity.data["group"] == group
        };
        let hits = wait(db.search("crates", "word507 of many", k, Some(&filter))).unwrap();
        assert!(
            hits.windows(2)
                .all(|pair| pair[0].distance <= pair[1].distance)
        );
        hits.iter()
            .map(|hit| hit.entity.data["name"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(search(5, 0), [507, 1007]);
    assert_eq!(asked.load(Ordering::Relaxed), 1004, "each once");
    assert_eq!(search(100, 3).len(), 100);
    assert_eq!(search(500, 3).len(), 111);
    assert_eq!(search(3, 4).len(), 3);
    assert!(asked.load(Ordering::Relaxed) < 300);
    assert!(search(0, 4).is_empty());
}

#[test]
fn a_search_that_cannot_have_a_result_is_refused() {
    let (_dir, db) = temporary();
    db.register_schema("plain", &json!({})).unwrap();
    let vector = OfflineEmbeddings::new().vector("a text");
    for refused in [
        wait(async { db.search("plain", "a text", 1, None).await }),
        db.search_vector("plain", &vector, 1, None),
    ] {
        assert!(matches!(refused.unwrap_err(), Error::NotEmbedded { .. }));
    }
    let search = |vector: &[f32]| db.search_vector("crates", vector, 1, None);
    for number in [0.0, f32::NAN, f32::INFINITY] {
        let mut wrong = vector.clone();
        wrong.fill(number);
        let awaited = wait(async { db.search_vector_async("crates", &wrong, 1, None).await });
        for refused in [search(&wrong), awaited] {
            assert!(matches!(
                refused.unwrap_err(),
                Error::Vector(VectorError::QueryWithoutDirection)
            ));
        }
    }
    assert!(matches!(
        search(&vector[1..]).unwrap_err(),
        Error::Vector(VectorError::QueryDimensions { found, .. }) if found + 1 == vector.len()
    ));
    search(&vector).unwrap();
}

#[test]
fn a_filter_may_use_the_database_and_may_panic() {
    let (_dir, db) = groups();
    let filter = |entity: &Entity| {
        if entity.data["name"] == 12 {
            db.delete("crates", entity.id).unwrap();
        }
        !found(&db, "store", 1).is_empty()
    };
    assert_eq!(
        wait(async { db.search("crates", "word12", 1, None).await }).unwrap()[0]
            .entity
            .data["name"],
        12
    );
    let vector = OfflineEmbeddings::new().vector("word12 of many");
    db.search_vector("crates", &vector, 5, Some(&filter))
        .unwrap();
    assert!(!found(&db, "word12 of many", 5).contains(&12));
    let panics = |_: &Entity| panic!("on purpose");
    let searched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        db.search_vector("crates", &vector, 5, Some(&panics))
    }));
    assert!(searched.is_err());
    assert_eq!(found(&db, "word507 of many", 1), [507]);
    clean(&db);
}

/// Returns a database whose index must be built, and its directory.
fn unloaded() -> (tempfile::TempDir, Database) {
    let (dir, db) = groups();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    (dir, db)
}

fn is_loaded(db: &Database) -> bool {
    let field = db.core.field("crates", "about");
    field.slot.read().loaded().is_some()
}

#[test]
fn a_search_that_builds_an_index_reports_its_progress_once() {
    let (_dir, db) = unloaded();
    let reports = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&reports);
    let reporting = db.on_index_progress(move |progress| {
        seen.lock().unwrap().push(progress.done);
        ControlFlow::Continue(())
    });
    assert_eq!(found(&reporting, "word507 of many", 1), [507]);
    let built = std::mem::take(&mut *reports.lock().unwrap());
    assert!(built.is_sorted() && built.len() > 10, "{built:?}");
    assert_eq!(built.iter().max(), Some(&1004));
    assert_eq!(found(&reporting, "word507 of many", 1), [507]);
    assert!(reports.lock().unwrap().is_empty(), "it is in memory");
}

#[test]
fn progress_can_end_every_search_that_builds_an_index() {
    let vector = OfflineEmbeddings::new().vector("word507 of many");
    let search = |db: &Database, way: usize| match way {
        0 => wait(db.search("crates", "word507 of many", 1, None)),
        1 => db.search_vector("crates", &vector, 1, None),
        _ => wait(async { db.search_vector_async("crates", &vector, 1, None).await }),
    };
    for way in 0..3 {
        let (_dir, db) = unloaded();
        let stopping = db.on_index_progress(|progress| {
            if progress.done > 500 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let error = search(&stopping, way).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error:?}");
        assert!(!is_loaded(&db));
        assert_eq!(search(&db, way).unwrap().len(), 1);
        assert!(is_loaded(&db));
    }
}

#[cfg(feature = "testing")]
#[test]
fn building_an_index_is_a_job_below_the_search() {
    use crate::otel::testing::Capture;
    let (_dir, db) = unloaded();
    let capture = Capture::new();
    capture.run(|| {
        let stopping = db.on_index_progress(|_| ControlFlow::Break(()));
        wait(stopping.search("crates", "store", 1, None)).unwrap_err();
        wait(db.search("crates", "store", 1, None)).unwrap();
        wait(db.search("crates", "store", 1, None)).unwrap();
    });
    let spans = capture.spans();
    let jobs: Vec<_> = spans
        .all("index.build crates")
        .into_iter()
        .map(|job| {
            ["job.status", "job.batch_size"].map(|key| job.attribute(key).unwrap().to_string())
        })
        .collect();
    // The index of the second field is empty.
    let expected = [["cancelled", "32"], ["success", "1004"], ["success", "0"]];
    assert_eq!(jobs, expected);
    assert_eq!(
        capture
            .metrics()
            .count("job.duration", &[("job.type", "index.build")]),
        3
    );
    capture.report().assert_clean();
}

#[test]
fn the_creation_of_vectors_reports_its_progress_and_can_be_ended() {
    const ALL: usize = TEXTS.len() + PAGE;
    let (_dir, db) = temporary();
    let more: Vec<_> = (0..PAGE)
        .map(|n| json!({ "name": format!("more {n}"), "about": format!("text {n}") }))
        .collect();
    db.insert_batch("crates", &more).unwrap();
    let one_page = wait(db.generate_embeddings_with("crates", |_| ControlFlow::Break(())));
    assert_eq!(one_page.unwrap().embedded, PAGE);
    db.mark_for_embedding("crates").unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let report = wait(db.generate_embeddings_with("crates", move |progress| {
        kept.lock().unwrap().push((progress.done, progress.total));
        ControlFlow::Continue(())
    }));
    assert_eq!(report.unwrap().embedded, ALL);
    assert_eq!(*seen.lock().unwrap(), [(PAGE, Some(ALL)), (ALL, Some(ALL))]);
}
