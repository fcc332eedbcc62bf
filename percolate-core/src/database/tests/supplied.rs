//! Vectors that are supplied with an entity.

use std::sync::atomic::{AtomicBool, Ordering};

use super::recorder::{Library, library, recorder, wait};
use super::*;

impl Library {
    /// Embeds what is marked, and returns the texts that the provider received.
    fn embedded(&self) -> Vec<String> {
        embed(&self.db);
        self.provider.take()
    }
}

fn embed(db: &Database) {
    wait(db.generate_embeddings("articles")).unwrap();
}

/// The supplied vectors of these tests point to the first axis.
fn first() -> [f32; 3] {
    [1.0, 0.0, 0.0]
}

fn body(vector: impl Into<Vec<f32>>) -> Vectors {
    Vectors::new().set("body", vector)
}

/// Returns the slugs of the entities with a vector that points to the first axis.
fn at_first(db: &Database) -> Vec<String> {
    let hits = db.search_vector("articles", &first(), 99, None).unwrap();
    let near = hits.iter().filter(|hit| hit.distance < 0.1);
    near.map(|hit| hit.entity.data["slug"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_supplied_vector_is_found_at_once_and_no_provider_is_called() {
    let library = library();
    let db = &library.db;
    assert!(
        at_first(db).is_empty(),
        "the index is in memory from here on"
    );
    let article = |slug: &str| json!({ "slug": slug, "body": "text" });
    db.insert_with_vectors("articles", &article("a"), &body(first()))
        .unwrap();
    db.upsert_with_vectors("articles", &article("b"), &body(first()))
        .unwrap();
    let entities = [
        (article("c"), body(first())),
        (article("d"), Vectors::new()),
    ];
    db.insert_batch_with_vectors("articles", &entities).unwrap();
    let changes = json!({ "body": "other text" });
    db.update_with_vectors("articles", "d", &changes, &body(first()), None)
        .unwrap();
    let mut batch = db.batch();
    batch
        .insert_with_vectors("articles", &article("e"), body(first()))
        .unwrap();
    batch.upsert("articles", &article("f")).unwrap();
    batch
        .update_with_vectors("articles", "f", &json!({}), body(first()), None)
        .unwrap();
    batch
        .upsert_with_vectors("articles", &article("g"), body(first()))
        .unwrap();
    batch.commit().unwrap();
    assert_eq!(at_first(db).len(), 7);
    assert_eq!(db.embedding_status("articles").unwrap().waiting, 0);
    assert!(library.embedded().is_empty());
    assert!(db.indexes().verify().unwrap().is_clean());
    drop(library.db);
    let db = Database::open_with(library.dir.path(), recorder(3).1).unwrap();
    assert_eq!(at_first(&db).len(), 7);
}

#[test]
fn a_vector_is_checked_before_anything_is_written() {
    let library = library();
    let db = &library.db;
    db.insert("articles", &json!({ "slug": "old" })).unwrap();
    let before = db.get("articles", "old").unwrap();
    let marks = stored(db, PENDING_EMBEDDINGS);
    for (vectors, error) in [
        (body([1.0, 2.0]), "VectorSuppliedDimensions"),
        (body([1.0, f32::NAN, 0.0]), "VectorSuppliedWithoutDirection"),
        (
            body([1.0, f32::INFINITY, 0.0]),
            "VectorSuppliedWithoutDirection",
        ),
        (body([0.0, 0.0, 0.0]), "VectorSuppliedWithoutDirection"),
        (Vectors::new().set("slug", first()), "NotEmbeddedField"),
        (Vectors::new().remove("other"), "NotEmbeddedField"),
    ] {
        let new = json!({ "slug": "new", "body": "text" });
        let old = json!({ "slug": "old", "body": "text" });
        let mut batch = db.batch();
        for refused in [
            db.insert_with_vectors("articles", &new, &vectors).map(drop),
            db.upsert_with_vectors("articles", &old, &vectors).map(drop),
            db.update_with_vectors("articles", "old", &old, &vectors, None)
                .map(drop),
            batch
                .insert_with_vectors("articles", &new, vectors.clone())
                .map(drop),
            batch
                .upsert_with_vectors("articles", &new, vectors.clone())
                .map(drop),
            batch
                .update_with_vectors("articles", "old", &old, vectors.clone(), None)
                .map(drop),
        ] {
            assert_eq!(refused.unwrap_err().error_type(), error);
        }
        assert!(batch.is_empty());
        let entities = [(json!({ "slug": "x" }), body(first())), (new, vectors)];
        let refused = db.insert_batch_with_vectors("articles", &entities);
        let refused = refused.unwrap_err();
        assert_eq!(refused.error_type(), error);
        assert!(matches!(refused, Error::InBatch { index: 1, .. }));
    }
    assert_eq!(db.count("articles").unwrap(), 1);
    assert_eq!(db.get("articles", "old").unwrap(), before);
    assert_eq!(stored(db, EMBEDDINGS), 0);
    assert_eq!(stored(db, PENDING_EMBEDDINGS), marks);
    assert_eq!(format!("{:?}", body(first())), r#"{"body"}"#);
}

#[test]
fn a_supplied_vector_stays_while_its_text_stays() {
    let library = library();
    let db = &library.db;
    let article = json!({ "slug": "a", "body": "mine", "title": "theirs" });
    db.insert_with_vectors("articles", &article, &body(first()))
        .unwrap();
    assert_eq!(library.embedded(), ["theirs"]);
    assert_eq!(at_first(db), ["a"]);
    db.mark_for_embedding("articles").unwrap();
    assert_eq!(library.embedded(), ["theirs"]);
    db.update("articles", "a", &json!({ "title": "new" }))
        .unwrap();
    assert_eq!(library.embedded(), ["new"]);
    db.upsert("articles", &article).unwrap();
    assert_eq!(library.embedded(), ["theirs"]);
    db.indexes().rebuild_all().unwrap();
    assert!(library.embedded().is_empty());
    assert_eq!(at_first(db), ["a"]);
    db.update("articles", "a", &json!({ "body": "changed" }))
        .unwrap();
    assert!(at_first(db).is_empty(), "before it is embedded");
    assert_eq!(library.embedded(), ["changed", "theirs"]);
    assert!(at_first(db).is_empty());
}

#[test]
fn a_vector_needs_no_text_and_a_text_that_appears_replaces_it() {
    let library = library();
    let db = &library.db;
    db.insert_with_vectors("articles", &json!({ "slug": "a" }), &body(first()))
        .unwrap();
    assert!(library.embedded().is_empty());
    db.mark_for_embedding("articles").unwrap();
    assert!(library.embedded().is_empty());
    db.update("articles", "a", &json!({ "n": 1 })).unwrap();
    let report = db.indexes().rebuild_hnsw_index().unwrap();
    assert_eq!((report.entities, report.stale), (1, 0));
    assert!(db.indexes().verify().unwrap().is_clean());
    assert_eq!(at_first(db), ["a"]);
    db.update("articles", "a", &json!({ "body": "text" }))
        .unwrap();
    assert!(at_first(db).is_empty());
    assert_eq!(library.embedded(), ["text"]);
    assert!(db.delete("articles", "a").unwrap());
    assert_eq!(stored(db, EMBEDDINGS), 0);
}

#[test]
fn another_provider_replaces_a_vector_only_if_it_does_not_fit() {
    let library = library();
    let article = json!({ "slug": "a", "body": "mine" });
    let other = json!({ "slug": "b" });
    for data in [article, other] {
        library
            .db
            .insert_with_vectors("articles", &data, &body(first()))
            .unwrap();
    }
    drop(library.db);
    let (same, options) = recorder(3);
    let db = Database::open_with(library.dir.path(), options).unwrap();
    assert_eq!(db.mark_for_embedding("articles").unwrap(), 2);
    embed(&db);
    assert!(same.take().is_empty());
    assert_eq!(at_first(&db).len(), 2);
    drop(db);
    let (longer, options) = recorder(4);
    let db = Database::open_with(library.dir.path(), options).unwrap();
    db.mark_for_embedding("articles").unwrap();
    embed(&db);
    assert_eq!(longer.take(), ["mine"]);
    let hits = db.search_vector("articles", &[0.0, 0.0, 0.0, 1.0], 9, None);
    assert_eq!(hits.unwrap().len(), 1, "the other has no text");
    assert_eq!(stored(&db, EMBEDDINGS), 1);
}

#[test]
fn a_removed_vector_is_that_of_the_provider_again() {
    let library = library();
    let db = &library.db;
    let article = json!({ "slug": "a", "body": "mine" });
    db.insert_with_vectors("articles", &article, &body(first()))
        .unwrap();
    let remove = Vectors::new().remove("body");
    db.update_with_vectors("articles", "a", &json!({}), &remove, None)
        .unwrap();
    assert!(at_first(db).is_empty());
    assert_eq!(library.embedded(), ["mine"]);
    assert_eq!(stored(db, EMBEDDINGS), 1);
}

#[test]
fn a_vector_for_a_refused_text_ends_its_refusal() {
    let library = library();
    let db = &library.db;
    for slug in ["a", "b"] {
        let text = if slug == "a" { "poison" } else { "fine" };
        db.insert(
            "articles",
            &json!({ "slug": slug, "body": text, "title": "t" }),
        )
        .unwrap();
    }
    library.embedded();
    assert_eq!(db.embedding_status("articles").unwrap().refused.len(), 1);
    db.update_with_vectors("articles", "a", &json!({}), &body(first()), None)
        .unwrap();
    assert_eq!(library.embedded(), ["t"]);
    let status = db.embedding_status("articles").unwrap();
    assert_eq!((status.waiting, status.refused.len()), (0, 0));
    assert_eq!(at_first(db), ["a"]);
}

#[test]
fn a_batch_keeps_the_vector_of_the_last_text() {
    let library = library();
    let db = &library.db;
    let old = json!({ "slug": "a", "body": "mine" });
    db.insert_with_vectors("articles", &old, &body(first()))
        .unwrap();
    let other = json!({ "body": "other" });
    let mut batch = db.batch();
    // The supplied vector belongs to a text that does not stay.
    batch
        .insert_with_vectors("articles", &json!({ "slug": "b" }), body(first()))
        .unwrap();
    batch.update("articles", "b", &other).unwrap();
    // The same text, of a new entity.
    batch.delete("articles", "a").unwrap();
    batch.insert("articles", &old).unwrap();
    batch
        .insert_with_vectors("articles", &json!({ "slug": "c" }), body(first()))
        .unwrap();
    batch.delete("articles", "c").unwrap();
    batch.commit().unwrap();
    assert!(at_first(db).is_empty());
    let mut texts = library.embedded();
    texts.sort();
    assert_eq!(texts, ["mine", "other"]);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_vector_that_is_supplied_while_the_provider_works_is_kept() {
    let library = library();
    let db = &library.db;
    db.insert("articles", &json!({ "slug": "a", "body": "text" }))
        .unwrap();
    db.insert_with_vectors(
        "articles",
        &json!({ "slug": "b", "body": "b" }),
        &body(first()),
    )
    .unwrap();
    db.mark_for_embedding("articles").unwrap();
    let (handle, called) = (db.clone(), Arc::new(AtomicBool::new(false)));
    let is_called = Arc::clone(&called);
    *library.provider.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let none = json!({});
        let remove = Vectors::new().remove("body");
        handle
            .update_with_vectors("articles", "a", &none, &body(first()), None)
            .unwrap();
        handle
            .update_with_vectors("articles", "b", &none, &remove, None)
            .unwrap();
        is_called.store(true, Ordering::Relaxed);
    }));
    assert_eq!(library.embedded(), ["text"]);
    assert!(called.load(Ordering::Relaxed));
    assert_eq!(at_first(db), ["a"]);
    assert_eq!(library.embedded(), ["b"]);
    assert_eq!(at_first(db), ["a"]);
}

#[test]
fn a_batch_follows_a_schema_that_changes_before_its_commit() {
    let library = library();
    let db = &library.db;
    let mut batch = db.batch();
    batch
        .insert_with_vectors("articles", &json!({ "slug": "a" }), body(first()))
        .unwrap();
    let schema = json!({ "key_field": "slug", "embedding_fields": ["title"] });
    db.register_schema("articles", &schema).unwrap();
    let error = batch.commit().unwrap_err();
    assert!(
        matches!(&error, Error::InBatch { index: 0, .. }),
        "{error:?}"
    );
    assert_eq!(error.error_type(), "NotEmbeddedField");
    assert_eq!(db.count("articles").unwrap(), 0);
}
