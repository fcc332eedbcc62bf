//! Batches over several tables, and writes that depend on what was read.

use super::*;

fn two_tables() -> (tempfile::TempDir, Database) {
    let (dir, db) = temporary();
    db.register_schema("authors", &json!({ "key_field": "name" }))
        .unwrap();
    (dir, db)
}

fn slugs(db: &Database) -> Vec<String> {
    let entities = db.scan("articles").unwrap();
    let mut slugs: Vec<_> = entities
        .map(|entity| entity.unwrap().data["slug"].as_str().unwrap().to_owned())
        .collect();
    slugs.sort();
    slugs
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_batch_writes_all_tables_together() {
    let (_dir, db) = two_tables();
    db.insert("articles", &json!({ "slug": "old", "body": "text" }))
        .unwrap();
    let mut batch = db.batch();
    let id = batch
        .insert("articles", &json!({ "slug": "new", "year": 1957 }))
        .unwrap();
    batch
        .upsert("authors", &json!({ "name": "hammersley" }))
        .unwrap();
    batch.delete("articles", "old").unwrap();
    batch
        .update("articles", "new", &json!({ "year": 1958 }))
        .unwrap();
    assert_eq!((batch.len(), batch.is_empty()), (4, false));
    assert_eq!(db.count("authors").unwrap(), 0, "not before the commit");
    assert_eq!(batch.commit().unwrap(), 4);
    assert_eq!(slugs(&db), ["new"]);
    let new = db.lookup("articles", "new").unwrap().unwrap();
    assert_eq!((new.id, &new.data["year"]), (id, &json!(1958)));
    assert!(new.created_at <= new.updated_at);
    assert_eq!(db.find("articles", "year", 1958..=1958).unwrap().len(), 1);
    assert!(
        db.find("articles", "year", 1957..=1957).unwrap().is_empty(),
        "the first state is in no index"
    );
    assert_eq!(db.count("authors").unwrap(), 1);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_batch_with_one_write_that_cannot_be_done_writes_nothing() {
    let (_dir, db) = two_tables();
    db.insert("articles", &json!({ "slug": "there" })).unwrap();
    let before = stored(&db, ENTITIES);
    let mut batch = db.batch();
    batch.upsert("authors", &json!({ "name": "a" })).unwrap();
    batch
        .insert("articles", &json!({ "slug": "there" }))
        .unwrap();
    let error = batch.commit().unwrap_err();
    assert!(
        matches!(&error, Error::InBatch { index: 1, key: Some(key), error }
            if key == "there" && matches!(**error, Error::Exists { .. })),
        "{error:?}"
    );
    assert_eq!(error.error_type(), "Exists");
    assert_eq!(stored(&db, ENTITIES), before);

    let mut batch = db.batch();
    batch.delete("articles", "there").unwrap();
    batch
        .update("articles", "there", &json!({ "year": 1 }))
        .unwrap();
    let error = batch.commit().unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert_eq!(slugs(&db), ["there"]);
}

#[test]
fn data_of_a_batch_is_checked_when_it_is_added() {
    let (_dir, db) = two_tables();
    let mut batch = db.batch();
    let wrong = json!({ "slug": "a", "year": "x" });
    assert!(matches!(
        batch.insert("articles", &wrong),
        Err(Error::Entity(_))
    ));
    assert!(matches!(
        batch.upsert("nowhere", &json!({})),
        Err(Error::UnknownTable { .. })
    ));
    assert!(batch.update("articles", "a", &json!([])).is_err());
    assert!(batch.is_empty());
    assert_eq!(batch.commit().unwrap(), 0);
}

#[test]
fn a_schema_that_changed_after_a_write_was_added_holds_for_the_commit() {
    let (_dir, db) = two_tables();
    let mut batch = db.batch();
    batch.insert("authors", &json!({ "name": "a" })).unwrap();
    db.register_schema(
        "authors",
        &json!({ "key_field": "name", "required": ["name", "born"] }),
    )
    .unwrap();
    let error = batch.commit().unwrap_err();
    assert!(error.to_string().contains("born"), "{error}");
    assert_eq!(db.count("authors").unwrap(), 0);
}

#[test]
fn a_batch_removes_the_vectors_of_changed_texts_alone() {
    let (_dir, db) = two_tables();
    for slug in ["kept", "changed", "deleted"] {
        let body = format!("about {slug}");
        db.insert("articles", &json!({ "slug": slug, "body": body }))
            .unwrap();
    }
    wait(db.generate_embeddings("articles")).unwrap();
    assert_eq!(
        wait(db.search("articles", "about", 9, None)).unwrap().len(),
        3
    );
    let mut batch = db.batch();
    batch
        .update("articles", "kept", &json!({ "year": 1 }))
        .unwrap();
    batch
        .update("articles", "changed", &json!({ "body": "other" }))
        .unwrap();
    batch.delete("articles", "deleted").unwrap();
    batch.commit().unwrap();
    assert_eq!(stored(&db, EMBEDDINGS), 1);
    assert_eq!(stored(&db, PENDING_EMBEDDINGS), 1);
    let found = wait(db.search("articles", "about", 9, None)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entity.data["slug"], "kept");
    wait(db.generate_embeddings("articles")).unwrap();
    assert_eq!(
        wait(db.search("articles", "other", 9, None)).unwrap().len(),
        2
    );
}

#[test]
fn each_write_of_an_entity_has_a_later_time() {
    let (_dir, db) = two_tables();
    db.insert("authors", &json!({ "name": "a" })).unwrap();
    let mut last = db.lookup("authors", "a").unwrap().unwrap().updated_at;
    for round in 0..200 {
        let now = db
            .update("authors", "a", &json!({ "round": round }))
            .unwrap()
            .updated_at;
        assert!(now > last);
        last = now;
    }
}

#[test]
fn of_concurrent_changes_of_what_was_read_one_wins() {
    let (_dir, db) = two_tables();
    db.insert("authors", &json!({ "name": "a", "count": 0 }))
        .unwrap();
    let add = || {
        for _ in 0..25 {
            loop {
                let read = db.lookup("authors", "a").unwrap().unwrap();
                let count = read.data["count"].as_u64().unwrap() + 1;
                let changes = json!({ "count": count });
                let mut batch = db.batch();
                let changed = if count.is_multiple_of(2) {
                    db.update_if_unchanged("authors", "a", &changes, read.updated_at)
                        .map(drop)
                } else {
                    batch
                        .update_if_unchanged("authors", "a", &changes, read.updated_at)
                        .unwrap();
                    batch.commit().map(drop)
                };
                match changed {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error.error_type(), "Changed"),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(add);
        }
    });
    assert_eq!(
        db.lookup("authors", "a").unwrap().unwrap().data["count"],
        100
    );
}

#[test]
fn a_deletion_depends_on_what_was_read() {
    let (_dir, db) = two_tables();
    db.insert("authors", &json!({ "name": "a" })).unwrap();
    let seen = db.lookup("authors", "a").unwrap().unwrap().updated_at;
    let later = db
        .update("authors", "a", &json!({ "born": 1920 }))
        .unwrap()
        .updated_at;
    let error = db.delete_if_unchanged("authors", "a", seen).unwrap_err();
    assert!(
        matches!(&error, Error::Changed { at, .. } if *at == later),
        "{error:?}"
    );
    db.delete_if_unchanged("authors", "a", later).unwrap();
    let error = db.delete_if_unchanged("authors", "a", later).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let mut batch = db.batch();
    batch.delete_if_unchanged("authors", "a", later).unwrap();
    assert!(batch.commit().is_err());
}

#[test]
fn batches_that_overlap_do_not_block_each_other_for_ever() {
    let (_dir, db) = two_tables();
    let write = |order: [&str; 2]| {
        for round in 0..50 {
            let mut batch = db.batch();
            for table in order {
                let key = if table == "articles" { "slug" } else { "name" };
                let body = format!("text {round}");
                batch
                    .upsert(table, &json!({ key: "same", "body": body }))
                    .unwrap();
            }
            batch.commit().unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(["articles", "authors"]));
        scope.spawn(|| write(["authors", "articles"]));
    });
    let bodies = ["articles", "authors"].map(|table| {
        let entity = db.lookup(table, "same").unwrap().unwrap();
        entity.data["body"].clone()
    });
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn a_batch_does_not_take_the_writes_of_another_tenant() {
    let (_dir, db) = two_tables();
    let other = db.for_tenant("other");
    other
        .register_schema("articles", &json!({ "key_field": "slug" }))
        .unwrap();
    let mut batch = db.batch();
    batch.delete("articles", "old").unwrap();
    let error = other.batch_of(batch.into_writes()).unwrap_err();
    assert_eq!(error.error_type(), "OtherTenant");
    let text = error.to_string();
    assert!(
        text.contains("`default`") && text.contains("`other`"),
        "{text}"
    );
    assert!(other.batch_of(db.batch().into_writes()).unwrap().is_empty());
    let mut batch = db.batch();
    batch.upsert("authors", &json!({ "name": "a" })).unwrap();
    let writes = batch.into_writes();
    assert_eq!(db.batch_of(writes).unwrap().commit().unwrap(), 1);
}

/// The clock is behind the last write, as after it was set back.
#[test]
fn the_times_of_an_entity_increase_also_after_its_deletion() {
    let (_dir, db) = two_tables();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let ahead = i64::MAX / 2;
    let set_ahead = || {
        let key = keys::entity_key(Table::new("default", "articles"), id);
        let mut record = db.storage().get(ENTITIES, &key).unwrap().unwrap();
        record[10..18].copy_from_slice(&ahead.to_be_bytes());
        db.storage().put(ENTITIES, key, record).unwrap();
    };
    let updated_at = || {
        let entity = db.get("articles", id).unwrap().unwrap();
        entity.updated_at.as_micros()
    };
    set_ahead();
    db.delete("articles", id).unwrap();
    db.insert("articles", &json!({ "slug": "a" })).unwrap();
    assert_eq!(updated_at(), ahead + 2);
    // In one batch.
    set_ahead();
    let mut batch = db.batch();
    batch.delete("articles", "a").unwrap();
    batch.insert("articles", &json!({ "slug": "a" })).unwrap();
    batch.commit().unwrap();
    assert_eq!(updated_at(), ahead + 2);
    // The data cannot be decoded, and the header can.
    set_ahead();
    let key = keys::entity_key(Table::new("default", "articles"), id);
    let mut record = db.storage().get(ENTITIES, &key).unwrap().unwrap();
    record.truncate(18);
    db.storage().put(ENTITIES, key, record).unwrap();
    db.upsert("articles", &json!({ "slug": "a" })).unwrap();
    assert_eq!(updated_at(), ahead + 1);
}
