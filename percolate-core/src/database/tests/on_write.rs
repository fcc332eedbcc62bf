//! Tables that embed texts on write.

use super::recorder::{Recorder, recorder, wait};
use super::*;
use crate::embeddings::EmbeddingError;

struct Library {
    _dir: tempfile::TempDir,
    db: Database,
    provider: Arc<Recorder>,
}

fn schema(embed: &str) -> Value {
    json!({
        "properties": {
            "slug": { "type": "string" },
            "body": { "type": ["string", "null"] },
            "title": { "type": "string" },
            "n": { "type": "integer" },
        },
        "key_field": "slug",
        "embedding_fields": ["body", "title"],
        "embed": embed,
    })
}

fn library() -> Library {
    let dir = tempfile::tempdir().unwrap();
    let (provider, options) = recorder(3);
    let db = Database::open_with(dir.path(), options).unwrap();
    db.register_schema("articles", &schema("on_write")).unwrap();
    Library {
        _dir: dir,
        db,
        provider,
    }
}

fn article(slug: &str, body: &str) -> Value {
    json!({ "slug": slug, "body": body })
}

/// Returns the number of entities that a search finds.
fn found(db: &Database) -> usize {
    let hits = db.search_vector("articles", &[0.0, 0.0, 1.0], 99, None);
    hits.unwrap().len()
}

/// The writes of all kinds, each of a new text in `body`.
fn writes(db: &Database, text: &str) -> Vec<(&'static str, Result<(), Error>)> {
    let line = article("imported", text).to_string();
    let mut batch = db.batch();
    batch.insert("articles", &article("batched", text)).unwrap();
    let update = json!({ "body": text });
    let mut writes = vec![
        (
            "insert",
            db.insert("articles", &article("a", text)).map(drop),
        ),
        (
            "upsert",
            db.upsert("articles", &article("b", text)).map(drop),
        ),
        (
            "insert_batch",
            db.insert_batch("articles", &[article("c", text), article("d", text)])
                .map(drop),
        ),
        ("batch", batch.commit().map(drop)),
        ("update", db.update("articles", "old", &update).map(drop)),
        (
            "import",
            db.import_jsonl("articles", line.as_bytes(), &ImportOptions::new())
                .map(drop),
        ),
    ];
    #[cfg(feature = "sql")]
    writes.push((
        "update_where",
        wait(db.update_where("articles", "slug = 'old where'", &[], &update)).map(drop),
    ));
    writes
}

#[test]
fn every_write_embeds_its_texts_and_stores_the_vectors_with_the_entities() {
    let library = library();
    let db = &library.db;
    for slug in ["old", "old where"] {
        db.insert("articles", &json!({ "slug": slug })).unwrap();
    }
    assert_eq!(found(db), 0);
    assert!(library.provider.take().is_empty());
    let writes = writes(db, "text");
    for (name, written) in &writes {
        assert!(written.is_ok(), "{name}: {written:?}");
    }
    // Equal texts of one write are sent once.
    assert_eq!(library.provider.take().len(), writes.len());
    assert_eq!(
        found(db),
        db.count("articles").unwrap() - usize::from(writes.len() == 6)
    );
    assert_eq!(stored(db, PENDING_EMBEDDINGS), 0);
    wait(db.generate_embeddings("articles")).unwrap();
    assert!(library.provider.take().is_empty());
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_write_fails_as_a_whole_if_the_provider_fails() {
    let library = library();
    let db = &library.db;
    for slug in ["old", "old where"] {
        db.insert("articles", &article(slug, slug)).unwrap();
    }
    let before: Vec<_> = db.scan("articles").unwrap().map(Result::unwrap).collect();
    for (name, written) in writes(db, "poison") {
        let error = written.unwrap_err();
        assert_eq!(error.error_type(), "400", "{name}");
        assert!(
            matches!(
                &error,
                Error::EmbeddingOnWrite { table, error: EmbeddingError::Provider { .. } } if table == "articles"
            ),
            "{name}: {error:?}"
        );
        assert!(error.to_string().contains("Nothing was written"));
        assert!(!error.to_string().contains("poison"));
    }
    let mixed = [article("good", "good"), article("bad", "poison")];
    db.insert_batch("articles", &mixed).unwrap_err();
    let after: Vec<_> = db.scan("articles").unwrap().map(Result::unwrap).collect();
    assert_eq!(before, after);
    assert_eq!(stored(db, PENDING_EMBEDDINGS), 0);
    assert_eq!((stored(db, EMBEDDINGS), found(db)), (2, 2));
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_write_that_cannot_be_done_does_not_call_the_provider() {
    let library = library();
    let db = &library.db;
    db.insert("articles", &article("a", "text")).unwrap();
    library.provider.take();
    db.insert("articles", &article("a", "other")).unwrap_err();
    db.update("articles", "nobody", &json!({ "body": "other" }))
        .unwrap_err();
    db.upsert(
        "articles",
        &json!({ "slug": "a", "n": "x", "body": "other" }),
    )
    .unwrap_err();
    assert!(library.provider.take().is_empty());
}

#[test]
fn only_changed_texts_without_a_supplied_vector_are_embedded() {
    let library = library();
    let db = &library.db;
    let both = json!({ "slug": "a", "body": "body", "title": "title" });
    let sent = || library.provider.take();
    db.insert("articles", &both).unwrap();
    assert_eq!(sent(), ["body", "title"]);
    db.upsert("articles", &both).unwrap();
    db.update("articles", "a", &json!({ "n": 1 })).unwrap();
    assert!(sent().is_empty());
    db.update("articles", "a", &json!({ "n": 2, "title": "other" }))
        .unwrap();
    assert_eq!(sent(), ["other"]);
    let mine = Vectors::new().set("body", [1.0, 0.0, 0.0]);
    let changes = json!({ "body": "mine", "title": "third" });
    db.update_with_vectors("articles", "a", &changes, &mine, None)
        .unwrap();
    assert_eq!(sent(), ["third"]);
    let remove = Vectors::new().remove("body");
    db.update_with_vectors("articles", "a", &json!({}), &remove, None)
        .unwrap();
    assert_eq!(sent(), ["mine"]);
    db.update("articles", "a", &json!({ "body": null }))
        .unwrap();
    assert!(sent().is_empty());
    assert_eq!(stored(db, EMBEDDINGS), 1);
    assert_eq!(stored(db, PENDING_EMBEDDINGS), 0);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_write_works_inside_of_any_runtime() {
    let library = library();
    let db = &library.db;
    let insert = |slug: &str| db.insert("articles", &article(slug, slug)).map(drop);
    insert("none").unwrap();
    wait(async { insert("current thread") }).unwrap();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    threads
        .block_on(async { insert("several threads") })
        .unwrap();
    let database = db.clone();
    let spawned = threads.spawn(async move {
        database
            .insert("articles", &article("task", "task"))
            .map(drop)
    });
    threads.block_on(spawned).unwrap().unwrap();
    assert_eq!(found(db), 4);
}

#[test]
fn the_provider_may_use_the_database_and_others_may_write_meanwhile() {
    let library = library();
    let db = &library.db;
    let text = json!({ "slug": "a", "body": "body", "title": "title" });
    db.insert("articles", &text).unwrap();
    library.provider.take();
    let handle = db.clone();
    *library.provider.meanwhile.lock().unwrap() = Some(Box::new(move || {
        // Also the entity that is being written, and the schema.
        let change = json!({ "slug": "a", "title": "meanwhile" });
        handle.upsert("articles", &change).unwrap();
        handle.register_schema("others", &json!({})).unwrap();
        assert_eq!(handle.count("articles").unwrap(), 1);
    }));
    let upsert = json!({ "slug": "a", "body": "new", "title": "title" });
    db.upsert("articles", &upsert).unwrap();
    // The title is the same as before the provider was called, and another one after it.
    assert_eq!(library.provider.take(), ["new", "meanwhile", "title"]);
    assert_eq!(db.get("articles", "a").unwrap().unwrap().data, upsert);
    assert_eq!(stored(db, EMBEDDINGS), 2);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_table_can_change_when_it_embeds() {
    let library = library();
    let db = &library.db;
    db.insert("articles", &article("a", "first")).unwrap();
    db.register_schema("articles", &schema("queued")).unwrap();
    db.insert("articles", &article("b", "second")).unwrap();
    assert_eq!(library.provider.take(), ["first"]);
    assert_eq!(stored(db, PENDING_EMBEDDINGS), 1);
    db.register_schema("articles", &schema("on_write")).unwrap();
    assert!(library.provider.take().is_empty());
    // What waits is embedded by the next run.
    db.update("articles", "b", &json!({ "n": 1 })).unwrap();
    assert_eq!(found(db), 1);
    wait(db.generate_embeddings("articles")).unwrap();
    assert_eq!(library.provider.take(), ["second"]);
    db.mark_for_embedding("articles").unwrap();
    wait(db.generate_embeddings("articles")).unwrap();
    assert_eq!(library.provider.take().len(), 2);
    assert_eq!(found(db), 2);
}

#[cfg(feature = "testing")]
#[test]
fn the_provider_is_called_inside_the_span_of_the_write() {
    let library = library();
    let db = &library.db;
    let capture = crate::otel::testing::Capture::new();
    capture.run(|| {
        db.insert("articles", &article("a", "text")).unwrap();
        wait(async { db.insert("articles", &article("b", "poison")) }).unwrap_err();
    });
    capture.spans().assert_tree_with(
        &["error.type", "job.batch_size", "job.status"],
        r#"
        insert articles [client]
          get entities [client]
          embedding.generate batch [internal]
            | job.batch_size = 1
            | job.status = "success"
          get entities [client]
          batch_write NAMESPACE [client]
        insert articles [client, error]
          | error.type = "400"
          get entities [client]
          embedding.generate batch [internal, error]
            | error.type = "400"
            | job.batch_size = 1
            | job.status = "failed"
        "#
        .replace("NAMESPACE", db.storage().namespace())
        .as_str(),
    );
    capture.report().assert_clean();
}

#[test]
fn a_removed_vector_is_computed_again() {
    let library = library();
    let db = &library.db;
    let removed = Vectors::new().remove("body");
    db.insert_with_vectors("articles", &article("a", "text"), &removed)
        .unwrap();
    let own = Vectors::new().set("body", [1.0, 0.0, 0.0]);
    db.insert_with_vectors("articles", &article("b", "other"), &own)
        .unwrap();
    assert_eq!(library.provider.take().len(), 1, "of the text of `a`");
    db.update_with_vectors("articles", "b", &json!({}), &removed, None)
        .unwrap();
    assert_eq!(library.provider.take().len(), 1, "of the text of `b`");
    assert_eq!(found(db), 2);
    let nearest = db.search_vector("articles", &[1.0, 0.0, 0.0], 1, None);
    assert!(nearest.unwrap()[0].distance > 0.0, "its own vector is gone");
    assert!(db.indexes().verify().unwrap().is_clean());
}
