//! Writes of the entities that match a condition.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::otel::ErrorType as _;
use crate::query::writes::ATOMIC;

fn update(db: &Database, condition: &str, changes: &Value) -> Result<usize, Error> {
    wait(db.update_where("articles", condition, &[], changes))
}

fn delete(db: &Database, condition: &str) -> Result<usize, Error> {
    wait(db.delete_where("articles", condition, &[]))
}

fn count(db: &Database, condition: &str) -> Value {
    let sql = format!("SELECT count(*) AS n FROM articles WHERE {condition}");
    wait(db.query(&sql)).unwrap().to_json()[0]["n"].clone()
}

#[test]
fn the_entities_that_match_are_written_and_no_others() {
    let (_dir, db) = library();
    assert_eq!(
        update(&db, "year >= 2008", &json!({ "author": "eve" })).unwrap(),
        10
    );
    assert_eq!(count(&db, "author = 'eve'"), 10);
    assert_eq!(count(&db, "author = 'eve' AND year < 2008"), 0);
    assert_eq!(
        db.find("articles", "author", "eve"..="eve").unwrap().len(),
        10
    );
    let parameters = [json!("eve"), json!(3)];
    let sql = "author = $1 AND score > $2";
    let deleted = wait(db.delete_where("articles", sql, &parameters)).unwrap();
    assert_eq!(deleted, 9);
    assert_eq!(count(&db, "true"), 91);
    assert_eq!(delete(&db, "author = 'nobody'").unwrap(), 0);
    // A condition over other tables, and one with a comment.
    let sql = "author IN (SELECT name FROM authors WHERE born < 1960) -- ada";
    assert_eq!(delete(&db, sql).unwrap(), 20);
    assert_eq!(delete(&db, "true").unwrap(), 71);
    assert_eq!(count(&db, "true"), 0);
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_write_that_does_not_fit_the_schema_is_refused() {
    let (_dir, db) = library();
    let error = update(&db, "true", &json!({ "year": "x" })).unwrap_err();
    assert_eq!(error.error_type(), "EntityInvalid");
    let error = update(&db, "true", &json!({ "slug": "same" })).unwrap_err();
    assert_eq!(error.error_type(), "KeyChanged");
    let id = db.lookup("articles", "article-01").unwrap().unwrap().id;
    let changes = json!({ "_id": id.to_string(), "year": 1 });
    let error = update(&db, "slug < 'article-03'", &changes).unwrap_err();
    assert_eq!(error.error_type(), "EntityOtherId");
    assert_eq!(count(&db, "year < 2000"), 0);
    assert_eq!(update(&db, "slug = 'article-01'", &changes).unwrap(), 1);
}

#[test]
fn a_table_may_have_any_name() {
    let (_dir, db) = temporary();
    for table in ["order", "Mixed", "with \"quotes\"", "a b"] {
        db.register_schema(table, &json!({})).unwrap();
        db.insert(table, &json!({ "n": 1 })).unwrap();
        assert_eq!(wait(db.delete_where(table, "true", &[])).unwrap(), 1);
        assert_eq!(db.count(table).unwrap(), 0, "{table}");
    }
}

#[test]
fn a_condition_is_one_condition() {
    let (_dir, db) = library();
    for (condition, place) in [
        ("", None),
        (" -- all", None),
        ("true) OR (true", Some((1, 5))),
        (
            "true)\n UNION SELECT _id, _updated_at FROM articles WHERE (true",
            Some((1, 5)),
        ),
        ("year =\n = 1", Some((2, 2))),
        ("true; DELETE FROM articles", Some((1, 5))),
    ] {
        let error = delete(&db, condition).unwrap_err();
        assert!(
            matches!(&error, Error::Query(QueryError::Syntax { place: found, .. }) if *found == place),
            "{condition}: {error:?}"
        );
    }
    for condition in ["slug = 'a) OR (true'", "(year) = (1)", "slug = '--'"] {
        assert_eq!(delete(&db, condition).unwrap(), 0, "{condition}");
    }
    let error = delete(&db, "no_such_column = 1").unwrap_err();
    assert_eq!(error.error_type(), "QueryUnknownColumn");
    let error = wait(db.delete_where("nowhere", "true", &[])).unwrap_err();
    assert_eq!(error.error_type(), "UnknownTable");
    assert_eq!(count(&db, "true"), 100);
}

#[test]
fn no_entity_is_written_that_no_longer_matches() {
    let (_dir, db) = library();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Entities are open or closed in turns. The score counts their changes while open.
        for slug in ["article-00", "article-02"] {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for open in [false, true] {
                        db.update("articles", slug, &json!({ "open": open }))
                            .unwrap();
                    }
                }
            });
        }
        for round in 0..20 {
            let changes = json!({ "open": false, "extra": { "n": round } });
            match update(&db, "open", &changes) {
                Ok(written) => assert!(written <= 50),
                Err(error) => assert_eq!(error.error_type(), "Contended"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(db.indexes().verify().unwrap().is_clean());
    let left = update(&db, "open", &json!({ "open": false })).unwrap();
    assert!(left <= 2, "all others are closed");
}

#[test]
fn more_entities_than_one_write_takes_are_written_in_several() {
    let (_dir, db) = temporary();
    let schema = json!({ "properties": { "n": { "type": "integer" } } });
    db.register_schema("numbers", &schema).unwrap();
    let many: Vec<_> = (0..ATOMIC + 5).map(|n| json!({ "n": n })).collect();
    for page in many.chunks(5000) {
        db.insert_batch("numbers", page).unwrap();
    }
    let change = json!({ "n": -1 });
    let written = wait(db.update_where("numbers", "n >= 0", &[], &change)).unwrap();
    assert_eq!(written, many.len());
    let left = wait(db.query("SELECT count(*) AS n FROM numbers WHERE n = -1")).unwrap();
    assert_eq!(left.to_json(), [json!({ "n": many.len() })]);
}

#[cfg(feature = "testing")]
#[test]
fn the_spans_of_a_write_have_no_data() {
    let (dir, _) = library();
    let db = Database::open(dir.path()).unwrap();
    let capture = Capture::new();
    capture.run(|| {
        let parameters = [json!("secret")];
        let change = json!({ "author": "secret" });
        let sql = "author <> 'secret' AND slug <> $1 AND year = 2001";
        wait(db.update_where("articles", sql, &parameters, &change)).unwrap();
    });
    capture.spans().assert_tree_with(
        &["db.response.affected_rows", "db.query.text", "db.collection.name"],
        r#"
        update_where articles [client]
          | db.collection.name = "articles"
          | db.response.affected_rows = 10
          SELECT articles [client]
            | db.query.text = "SELECT _id, _updated_at FROM articles WHERE (author <> ? AND slug <> $1 AND year = ?)"
            get meta [client]
              | db.collection.name = "meta"
            scan field_index [client]
              | db.collection.name = "field_index"
            multi_get entities [client]
              | db.collection.name = "entities"
          multi_get entities [client]
            | db.collection.name = "entities"
          batch_write NAMESPACE [client]
            | db.response.affected_rows = 30
        "#
        .replace("NAMESPACE", db.storage().namespace())
        .as_str(),
    );
}
