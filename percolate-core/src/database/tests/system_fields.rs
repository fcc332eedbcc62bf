//! Tests of the system fields in data to write, and of entities named by key.

use super::*;
use crate::schema::EntityError;

/// A table without a key field.
fn keyless() -> (tempfile::TempDir, Database) {
    let (dir, db) = temporary();
    db.register_schema(
        "notes",
        &json!({ "additionalProperties": { "type": "integer" } }),
    )
    .unwrap();
    (dir, db)
}

fn read_back(db: &Database, table: &str, id: Uuid) -> Value {
    db.get(table, id).unwrap().unwrap().to_json()
}

#[test]
fn an_entity_that_was_read_is_written_back() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let mut read = read_back(&db, "articles", id);
    let (created, updated) = (read["_created_at"].clone(), read["_updated_at"].clone());
    read["year"] = json!(2);
    assert_eq!(db.upsert("articles", &read).unwrap(), id);
    read["year"] = json!(3);
    db.update("articles", id, &read).unwrap();
    let entity = db.get("articles", id).unwrap().unwrap();
    assert_eq!(entity.data, json!({ "slug": "a", "year": 3 }));
    assert_eq!(entity.created_at.to_string(), created.as_str().unwrap());
    assert_ne!(entity.updated_at.to_string(), updated.as_str().unwrap());
    assert_eq!(db.count("articles").unwrap(), 1);
}

#[test]
fn an_entity_without_a_key_is_replaced_by_its_id() {
    let (_dir, db) = keyless();
    let id = db.insert("notes", &json!({ "n": 1 })).unwrap();
    let mut read = read_back(&db, "notes", id);
    read["n"] = json!(2);
    assert_eq!(db.upsert("notes", &read).unwrap(), id);
    assert_eq!(db.count("notes").unwrap(), 1);
    assert_eq!(
        db.get("notes", id).unwrap().unwrap().data,
        json!({ "n": 2 })
    );
    assert!(matches!(
        db.insert("notes", &read).unwrap_err(),
        Error::Exists { id: taken, .. } if taken == id
    ));
    let own = Uuid::from_u128(7);
    let data = json!({ "_id": own.to_string(), "n": 3 });
    assert_eq!(db.insert_batch("notes", [data].as_slice()).unwrap(), [own]);
    assert!(matches!(
        db.upsert("notes", &json!({ "n": 4, "_id": null }))
            .unwrap_err(),
        Error::NoIdentity { .. }
    ));
    assert_eq!(db.count("notes").unwrap(), 2);
}

#[test]
fn the_id_of_another_entity_is_refused() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let other = db.insert("articles", &json!({ "slug": "b" })).unwrap();
    let mut read = read_back(&db, "articles", id);
    assert!(matches!(
        db.update("articles", other, &read).unwrap_err(),
        Error::Entity(EntityError::OtherId { id, .. }) if id == other
    ));
    read["slug"] = json!("c");
    for written in [db.upsert("articles", &read), db.insert("articles", &read)] {
        assert!(matches!(
            written.unwrap_err(),
            Error::Entity(EntityError::OtherId { .. })
        ));
    }
    for wrong in [json!(7), json!("seven")] {
        let data = json!({ "slug": "a", "_id": wrong });
        assert!(matches!(
            db.upsert("articles", &data).unwrap_err(),
            Error::Entity(EntityError::InvalidId { .. })
        ));
    }
    assert_eq!(db.count("articles").unwrap(), 2);
}

#[test]
fn the_old_names_are_ordinary_data() {
    let (_dir, db) = keyless();
    db.register_schema("t", &json!({ "indexed_fields": ["id", "updated_at"] }))
        .unwrap();
    let data = json!({ "id": 7, "created_at": "x", "updated_at": "y" });
    let id = db.insert("t", &data).unwrap();
    assert_eq!(db.find("t", "id", 7..=7).unwrap()[0].data, data);
    let read = read_back(&db, "t", id);
    assert_eq!((&read["id"], &read["updated_at"]), (&json!(7), &json!("y")));
    assert_eq!(read["_id"], id.to_string());
}

#[test]
fn system_fields_that_an_older_version_stored_are_hidden_and_removed_by_an_update() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let stored_data = json!({ "slug": "a", "_id": "x", "_updated_at": "y" });
    let record = Record {
        deleted: false,
        created_at: Timestamp::now(),
        updated_at: Timestamp::now(),
        data: stored_data,
    };
    let key = keys::entity_key(Table::new("default", "articles"), id);
    db.storage().put(ENTITIES, key, record.encode()).unwrap();
    let read = read_back(&db, "articles", id);
    assert_eq!(read["_id"], id.to_string());
    assert_ne!(read["_updated_at"], "y");
    let updated = db.update("articles", id, &json!({ "year": 1 })).unwrap();
    assert_eq!(updated.data, json!({ "slug": "a", "year": 1 }));
}

#[test]
fn an_entity_is_read_changed_and_removed_by_its_key() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let updated = db.update("articles", "a", &json!({ "year": 1 })).unwrap();
    assert_eq!((updated.id, &updated.data["year"]), (id, &json!(1)));
    assert_eq!(db.get("articles", "a").unwrap(), Some(updated.clone()));
    assert_eq!(
        db.get_batch("articles", ["b", "a"].iter()).unwrap(),
        [None, Some(updated)]
    );
    assert!(db.delete("articles", "a").unwrap());
    assert!(!db.delete("articles", "a").unwrap());
    assert_eq!(db.get("articles", "a").unwrap(), None);
    assert!(db.purge("articles", "a").unwrap());
    let error = db.update("articles", "a", &json!({})).unwrap_err();
    assert!(error.to_string().contains("the key \"a\""), "{error}");
}

#[test]
fn a_table_without_a_key_field_refuses_a_key() {
    let (_dir, db) = keyless();
    for refused in [
        db.get("notes", "a").map(drop),
        db.get_batch("notes", ["a"]).map(drop),
        db.lookup("notes", "a").map(drop),
        db.update("notes", "a", &json!({})).map(drop),
        db.delete("notes", "a").map(drop),
        db.purge("notes", "a").map(drop),
    ] {
        assert!(matches!(refused.unwrap_err(), Error::NoKeyField { .. }));
    }
}
