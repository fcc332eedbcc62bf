//! Tests of the limit of nesting: what is refused before it is written, and what can be read.

use serde_json::Map;

use super::*;
use crate::schema::{EntityError, MAX_DEPTH, depth};

/// Creates an object without copying the value, which `json!` does recursively.
fn object(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// Creates objects in objects, `levels` in all.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| object("n", inner))
}

/// Data of a valid entity that is nested in `levels` levels.
fn data(slug: &str, levels: usize) -> Value {
    let mut data = object("deep", nested(levels - 1));
    data["slug"] = slug.into();
    data
}

fn deep_schema(levels: usize) -> Value {
    (0..levels).fold(json!({ "type": "string" }), |inner, _| {
        object("properties", object("n", inner))
    })
}

/// Passes a value of any depth to `test` and drops it without recursion.
fn with(value: Value, test: impl FnOnce(&Value)) {
    test(&value);
    depth::discard(value);
}

#[test]
fn an_entity_at_the_limit_is_stored_and_read() {
    let (_dir, db) = temporary();
    let deepest = data("a", MAX_DEPTH);
    let id = db.insert("articles", &deepest).unwrap();
    assert_eq!(db.get("articles", id).unwrap().unwrap().data, deepest);
    assert_eq!(db.list("articles", None, 9).unwrap().len(), 1);
    let same = db.update("articles", id, &json!({ "year": 1 })).unwrap();
    assert_eq!(same.data["deep"], deepest["deep"]);
    assert!(db.purge("articles", id).unwrap());
}

#[test]
fn an_entity_beyond_the_limit_is_refused_by_every_write() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    for levels in [MAX_DEPTH + 1, 127, 128, 20_000] {
        let refused = |result: Result<(), Error>| {
            let error = result.unwrap_err();
            assert_eq!(error.error_type(), "EntityTooDeep");
            let text = error.to_string();
            assert!(
                text.contains("100 levels at `/deep/n/n/") && text.len() < 300,
                "{text}"
            );
        };
        let batch = [json!({ "slug": "b" }), data("c", levels)];
        let deep = &batch[1];
        refused(db.insert("articles", deep).map(drop));
        refused(db.upsert("articles", deep).map(drop));
        refused(db.update("articles", id, deep).map(drop));
        refused(db.insert_batch("articles", &batch).map(drop));
        batch.into_iter().for_each(depth::discard);
    }
    assert_eq!(db.count("articles").unwrap(), 1);
    assert_eq!(stored(&db, ENTITIES), 1);
}

#[test]
fn a_schema_beyond_the_limit_is_refused_before_it_is_written() {
    let (dir, db) = temporary();
    for levels in [50, 64, 20_000] {
        with(deep_schema(levels), |schema| {
            let error = db.register_schema("deep", schema).unwrap_err();
            assert!(
                matches!(&error, Error::Schema(SchemaError::TooDeep { place, limit: MAX_DEPTH, .. })
                    if place.starts_with("/properties/n/properties/n/")),
                "{error:?}"
            );
        });
    }
    let error = Schema::parse("deep", deep_schema(20_000)).unwrap_err();
    assert!(matches!(error, SchemaError::TooDeep { .. }), "{error:?}");
    db.register_schema("deep", &deep_schema(49)).unwrap();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.tables(), ["articles", "deep"]);
}

#[test]
fn a_schema_is_checked_against_data_of_any_depth() {
    let recursive = json!({ "type": "object", "properties": { "n": { "$ref": "#" } } });
    let schema = Schema::parse("tree", recursive).unwrap();
    with(nested(20_000), |data| {
        let error = schema.check(data).unwrap_err();
        assert!(matches!(error, EntityError::TooDeep { .. }), "{error:?}");
    });
}
