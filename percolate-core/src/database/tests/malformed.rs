//! Tests of entities that cannot be decoded, as a version without a limit of depth could write them:
//! every read names them or skips them, and they can be removed and replaced.

use super::*;
use crate::admin::Unreadable;

const TABLE: Table<'_> = Table::new("default", "articles");

/// A table with three entities, the second of which is nested deeper than the parser allows.
fn poisoned() -> (tempfile::TempDir, Database, Uuid) {
    let (dir, db) = temporary();
    let ids = ["a", "b", "c"].map(|slug| {
        let data = json!({ "slug": slug, "year": 2024, "body": slug });
        db.insert("articles", &data).unwrap()
    });
    let id = ids[1];
    poison(&db, id, &deep());
    (dir, db, id)
}

fn deep() -> String {
    let nested = "[".repeat(127) + &"]".repeat(127);
    format!(r#"{{"slug":"b","year":2024,"body":"b","deep":{nested}}}"#)
}

/// Replaces the data of a record and keeps its header.
fn poison(db: &Database, id: Uuid, data: &str) {
    let key = keys::entity_key(TABLE, id);
    let mut record = db.storage().get(ENTITIES, &key).unwrap().unwrap();
    record.truncate(18);
    record.extend(data.as_bytes());
    db.storage().put(ENTITIES, key, record).unwrap();
}

fn assert_names(error: &Error, id: Uuid) {
    assert_eq!(error.error_type(), "MalformedRecord");
    let text = error.to_string();
    assert!(
        text.contains(&format!("entity {id} of `articles`")) && text.contains("`purge`"),
        "{text}"
    );
}

fn index_entries_of(db: &Database, id: Uuid) -> usize {
    let keys = db.storage().scan(KEY_INDEX, ScanRange::all()).unwrap();
    let fields = db.storage().scan(FIELD_INDEX, ScanRange::all()).unwrap();
    keys.filter(|entry| entry.as_ref().unwrap().1.as_ref() == id.as_bytes())
        .count()
        + fields
            .filter(|entry| {
                keys::parse_field_index_key(&entry.as_ref().unwrap().0)
                    .unwrap()
                    .1
                    == id
            })
            .count()
}

#[test]
fn every_read_names_a_malformed_entity() {
    let (_dir, db, id) = poisoned();
    assert_names(&db.get("articles", id).unwrap_err(), id);
    assert_names(&db.get_batch("articles", [id]).unwrap_err(), id);
    assert_names(&db.lookup("articles", "b").unwrap_err(), id);
    assert_names(&db.find("articles", "year", 2024..).unwrap_err(), id);
    assert_names(&db.list("articles", None, 9).unwrap_err(), id);
    let scanned: Vec<_> = db.scan("articles").unwrap().collect();
    assert_eq!(scanned.iter().filter(|entity| entity.is_ok()).count(), 2);
    let error = scanned.into_iter().find_map(Result::err).unwrap();
    assert_names(&error, id);
    let error = db
        .update("articles", id, &json!({ "year": 1 }))
        .unwrap_err();
    assert_names(&error, id);
}

#[test]
fn a_handle_that_skips_malformed_entities_reads_the_others() {
    let (_dir, db, id) = poisoned();
    let db = db.skip_malformed();
    assert_eq!(db.find("articles", "year", 2024..).unwrap().len(), 2);
    assert_eq!(db.list("articles", None, 9).unwrap().len(), 2);
    assert_eq!(db.scan("articles").unwrap().flatten().count(), 2);
    assert_eq!(db.count("articles").unwrap(), 2);
    // A read of one entity has nothing to skip to.
    assert_names(&db.get("articles", id).unwrap_err(), id);
}

#[cfg(feature = "sql")]
#[tokio::test]
async fn sql_names_a_malformed_entity_or_skips_it() {
    let (_dir, db, id) = poisoned();
    poison(&db, id, "{\"slug\":");
    for sql in [
        "SELECT slug FROM articles",
        "SELECT slug FROM articles WHERE year = 2024",
        "SELECT slug FROM articles WHERE slug = 'b'",
    ] {
        assert_names(&db.query(sql).await.unwrap_err(), id);
    }
    let skipping = db.skip_malformed();
    let rows = skipping.query("SELECT slug FROM articles ORDER BY slug");
    assert_eq!(
        rows.await.unwrap().to_json(),
        [json!({ "slug": "a" }), json!({ "slug": "c" })]
    );
}

#[test]
fn a_malformed_entity_is_removed_with_its_index_entries() {
    type Remove = fn(&Database, &str, Uuid) -> Result<bool, Error>;
    for remove in [Database::delete as Remove, Database::purge as Remove] {
        // The second record has no readable header.
        for damage in [None, Some("")] {
            let (_dir, db, id) = poisoned();
            if let Some(bytes) = damage {
                let key = keys::entity_key(TABLE, id);
                db.storage().put(ENTITIES, key, bytes).unwrap();
            }
            assert_eq!(index_entries_of(&db, id), 2);
            assert!(remove(&db, "articles", id).unwrap());
            assert!(!remove(&db, "articles", id).unwrap());
            assert_eq!(index_entries_of(&db, id), 0);
            assert_eq!(stored(&db, ENTITIES), 2);
            assert_eq!(stored(&db, PENDING_EMBEDDINGS), 2);
            assert!(db.indexes().verify().unwrap().is_clean());
            assert_eq!(db.insert("articles", &json!({ "slug": "b" })).unwrap(), id);
        }
    }
}

#[test]
fn a_malformed_entity_is_replaced_by_an_upsert_and_kept_by_an_insert() {
    let (_dir, db, id) = poisoned();
    let data = json!({ "slug": "b", "year": 1 });
    let error = db.insert("articles", &data).unwrap_err();
    assert!(
        matches!(error, Error::Exists { id: existing, .. } if existing == id),
        "{error:?}"
    );
    let error = db
        .insert_batch("articles", std::slice::from_ref(&data))
        .unwrap_err();
    assert_eq!(error.error_type(), "Exists", "{error:?}");
    assert_eq!(db.upsert("articles", &data).unwrap(), id);
    assert_eq!(db.get("articles", id).unwrap().unwrap().data, data);
    assert_eq!(db.find("articles", "year", 2024..).unwrap().len(), 2);
    assert_eq!(db.find("articles", "year", 1..=1).unwrap()[0].id, id);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_deleted_entity_with_malformed_data_is_like_any_deleted_one() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "b" })).unwrap();
    db.delete("articles", id).unwrap();
    poison(&db, id, &deep());
    assert_eq!(db.get("articles", id).unwrap(), None);
    assert!(db.list("articles", None, 9).unwrap().is_empty());
    assert!(db.indexes().verify().unwrap().is_clean());
    assert_eq!(db.insert("articles", &json!({ "slug": "b" })).unwrap(), id);
    db.delete("articles", id).unwrap();
    poison(&db, id, &deep());
    assert!(db.purge("articles", id).unwrap());
    assert_eq!(stored(&db, ENTITIES), 0);
}

#[test]
fn verification_counts_and_names_malformed_entities() {
    let (_dir, db, id) = poisoned();
    let report = db.indexes().verify().unwrap();
    assert_eq!((report.entities, report.failed), (3, 1));
    let named: Vec<String> = report
        .unreadable
        .iter()
        .map(Unreadable::to_string)
        .collect();
    assert_eq!(named, [format!("entity {id} of `articles`")]);
    assert!(!report.is_clean());
    assert_eq!(db.indexes().rebuild_all().unwrap().unreadable.len(), 1);
}

#[tokio::test]
async fn embeddings_of_the_other_entities_are_generated() {
    let (_dir, db, id) = poisoned();
    let report = db.generate_embeddings("articles").await.unwrap();
    assert_eq!((report.embedded, report.waiting), (2, 1));
    let hits = db.search("articles", "a", 9, None).await.unwrap();
    assert_eq!(hits.len(), 2);
    // A header that cannot be read does not stop a change of schema either.
    let key = keys::entity_key(TABLE, id);
    db.storage().put(ENTITIES, key, []).unwrap();
    assert_names(&db.count("articles").unwrap_err(), id);
    db.mark_for_embedding("articles").unwrap();
    let changed = json!({ "key_field": "slug", "indexed_fields": ["slug"] });
    db.register_schema("articles", &changed).unwrap();
    assert_eq!(db.find("articles", "slug", "a"..).unwrap().len(), 2);
}
