//! Tests of tables and entities: lookups, tenants, schema changes and failed writes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::otel::ErrorType as _;
use crate::schema::SchemaError;
use crate::storage::column_families::{EMBEDDINGS, META, PENDING_EMBEDDINGS, SCHEMAS};
use crate::storage::keys::Table;

mod batch;
mod depth;
mod follower;
mod malformed;
#[cfg(feature = "object-store")]
mod object_store;
mod on_write;
mod recorder;
mod supplied;
mod system_fields;
mod tables;
mod transfer;
mod unusable;
mod vector_transfer;

fn temporary() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    register(&db);
    (dir, db)
}

fn register(db: &Database) {
    let schema = json!({
        "properties": {
            "slug": { "type": "string" },
            "year": { "type": ["integer", "null"] },
            "body": { "type": "string" },
        },
        "required": ["slug"],
        "key_field": "slug",
        "indexed_fields": ["year"],
        "embedding_fields": ["body"],
    });
    db.register_schema("articles", &schema).unwrap();
}

fn stored(db: &Database, family: &str) -> usize {
    db.storage().scan(family, ScanRange::all()).unwrap().count()
}

#[test]
fn an_entity_is_found_by_id_key_and_field() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 2024 }))
        .unwrap();
    assert_eq!(db.get("articles", id).unwrap().unwrap().data["slug"], "a");
    assert_eq!(db.lookup("articles", "a").unwrap().unwrap().id, id);
    assert_eq!(db.find("articles", "year", 2024..=2024).unwrap()[0].id, id);
    assert_eq!(db.lookup("articles", "b").unwrap(), None);
    assert_eq!(
        db.scan("articles")
            .unwrap()
            .map(|entity| entity.unwrap().id)
            .collect::<Vec<_>>(),
        [id]
    );
}

#[test]
fn equal_keys_have_equal_ids_in_every_database() {
    let (_dir, db) = temporary();
    let (_other_dir, other) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    assert_eq!(
        other.insert("articles", &json!({ "slug": "a" })).unwrap(),
        id
    );
    assert_eq!(id.get_version_num(), 5);
}

#[test]
fn a_taken_key_is_refused_by_insert_and_replaced_by_upsert() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1 }))
        .unwrap();
    let error = db
        .insert("articles", &json!({ "slug": "a", "year": 2 }))
        .unwrap_err();
    assert!(
        matches!(error, Error::Exists { id: existing, .. } if existing == id),
        "{error:?}"
    );
    assert_eq!(
        db.upsert("articles", &json!({ "slug": "a", "year": 3 }))
            .unwrap(),
        id
    );
    assert!(db.find("articles", "year", 1..=2).unwrap().is_empty());
    assert_eq!(db.find("articles", "year", 3..).unwrap().len(), 1);
}

#[test]
fn an_update_keeps_the_creation_time_and_moves_the_index_entry() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1, "body": "x" }))
        .unwrap();
    let created = db.get("articles", id).unwrap().unwrap().created_at;
    let updated = db
        .update("articles", id, &json!({ "year": 2, "body": null }))
        .unwrap();
    assert_eq!(updated.data, json!({ "slug": "a", "year": 2 }));
    assert_eq!(updated.created_at, created);
    assert!(updated.updated_at >= created);
    assert!(db.find("articles", "year", ..2).unwrap().is_empty());
    assert_eq!(db.find("articles", "year", 2..3).unwrap()[0], updated);
}

#[test]
fn an_update_with_null_stores_it_where_the_schema_allows_it() {
    let (_dir, db) = temporary();
    let schema = json!({
        "properties": { "year": { "type": ["integer", "null"] }, "body": { "type": "string" } },
        "required": ["year"],
    });
    db.register_schema("t", &schema).unwrap();
    let data = json!({ "year": 1, "body": "x", "other": 2 });
    let id = db.insert("t", &data).unwrap();
    let changes = json!({ "year": null, "body": null, "other": null });
    let updated = db.update("t", id, &changes).unwrap();
    assert_eq!(updated.data, json!({ "year": null }));
}

#[test]
fn an_update_cannot_change_the_key_nor_break_the_schema_nor_make_an_entity() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let fails = |id, changes| db.update("articles", id, &changes).unwrap_err();
    assert!(matches!(
        fails(id, json!({ "slug": "b" })),
        Error::KeyChanged { .. }
    ));
    assert!(matches!(
        fails(id, json!({ "year": "x" })),
        Error::Entity(_)
    ));
    assert!(matches!(
        fails(Uuid::nil(), json!({})),
        Error::NotFound { .. }
    ));
}

#[test]
fn a_deleted_entity_is_found_by_nothing_and_its_key_is_free() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1, "body": "x" }))
        .unwrap();
    assert!(db.delete("articles", id).unwrap());
    assert!(!db.delete("articles", id).unwrap());
    assert_eq!(db.get("articles", id).unwrap(), None);
    assert_eq!(db.get_batch("articles", [id]).unwrap(), [None]);
    assert_eq!(db.lookup("articles", "a").unwrap(), None);
    assert!(db.find("articles", "year", 0..).unwrap().is_empty());
    assert_eq!(db.count("articles").unwrap(), 0);
    assert_eq!(stored(&db, PENDING_EMBEDDINGS), 0);
    assert_eq!(db.insert("articles", &json!({ "slug": "a" })).unwrap(), id);
}

#[test]
fn a_purged_entity_leaves_nothing() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1, "body": "x" }))
        .unwrap();
    db.delete("articles", id).unwrap();
    assert!(db.purge("articles", id).unwrap());
    assert!(!db.purge("articles", id).unwrap());
    for family in [
        ENTITIES,
        KEY_INDEX,
        FIELD_INDEX,
        PENDING_EMBEDDINGS,
        EMBEDDINGS,
    ] {
        assert_eq!(stored(&db, family), 0, "{family}");
    }
}

#[test]
fn a_batch_with_one_bad_entity_writes_none() {
    let (_dir, db) = temporary();
    let bad = [json!({ "slug": "a" }), json!({ "slug": 1 })];
    let refused = |data: &[Value]| match db.insert_batch("articles", data).unwrap_err() {
        Error::InBatch { index, key, error } => (index, key, *error),
        error => panic!("{error:?}"),
    };
    let (index, key, error) = refused(&bad);
    assert_eq!((index, key.as_deref()), (1, Some("1")));
    assert!(matches!(error, Error::Entity(_)), "{error:?}");
    let twice = ["a", "b", "c", "b", "a"].map(|slug| json!({ "slug": slug }));
    let (index, key, error) = refused(&twice);
    assert_eq!((index, key.as_deref()), (3, Some("b")));
    assert!(matches!(error, Error::Repeated { first: 1 }), "{error:?}");
    db.insert("articles", &json!({ "slug": "b" })).unwrap();
    let taken = [json!({ "slug": "a" }), json!({ "slug": "b" })];
    let (index, key, error) = refused(&taken);
    assert_eq!((index, key.as_deref()), (1, Some("b")));
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    let error = db.insert_batch("articles", &taken).unwrap_err();
    assert_eq!(error.error_type(), "Exists");
    let text = "cannot write the entity at index 1, with the key \"b\": cannot insert";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(db.count("articles").unwrap(), 1);
}

#[test]
fn a_batch_gives_its_ids_in_order() {
    let (_dir, db) = temporary();
    let ids = db
        .insert_batch(
            "articles",
            &[json!({ "slug": "b" }), json!({ "slug": "a" })],
        )
        .unwrap();
    let slugs = db
        .get_batch("articles", &ids)
        .unwrap()
        .into_iter()
        .map(|entity| entity.unwrap().data["slug"].clone());
    assert_eq!(slugs.collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn tenants_see_their_own_entities_and_tables_only() {
    let (_dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1 }))
        .unwrap();
    let other = db.for_tenant("default:x");
    assert!(matches!(
        other.get("articles", id).unwrap_err(),
        Error::UnknownTable { .. }
    ));
    register(&other);
    assert_eq!(other.get("articles", id).unwrap(), None);
    assert_eq!(other.lookup("articles", "a").unwrap(), None);
    assert_ne!(
        other
            .insert("articles", &json!({ "slug": "a", "year": 1 }))
            .unwrap(),
        id
    );
    assert_eq!(db.find("articles", "year", 0..).unwrap().len(), 1);
    assert_eq!(db.count("articles").unwrap(), 1);
    db.store_resource("r", b"mine").unwrap();
    assert_eq!(other.load_resource("r").unwrap(), None);
}

#[test]
fn schemas_are_there_after_reopening() {
    let (dir, db) = temporary();
    let id = db
        .insert("articles", &json!({ "slug": "a", "year": 1 }))
        .unwrap();
    db.close().unwrap();
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.tables(), ["articles"]);
    assert_eq!(db.find("articles", "year", 1..=1).unwrap()[0].id, id);
}

#[test]
fn closing_has_a_deadline() {
    let (dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let error = db.close_within(std::time::Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::CloseTimeout { .. }), "{error:?}");
    assert_eq!(error.error_type(), "CloseTimeout");
    assert!(error.to_string().contains("locked"), "{error}");
    // Closing continues.
    let reopened = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Database::open(dir.path())
    });
    let db = reopened.take(500).find_map(Result::ok).unwrap();
    assert!(db.get("articles", id).unwrap().is_some());
}

#[test]
fn the_error_for_an_unknown_table_lists_the_known_ones() {
    let (_dir, db) = temporary();
    let text = db.insert("artcles", &json!({})).unwrap_err().to_string();
    assert!(
        text.contains("table `artcles` does not exist") && text.contains("`articles`"),
        "{text}"
    );
    assert!(matches!(
        db.find("articles", "body", "a"..="b").unwrap_err(),
        Error::NotIndexed { .. }
    ));
}

#[test]
fn a_newly_indexed_field_is_indexed_for_what_is_already_there() {
    let (_dir, db) = temporary();
    db.register_schema("plain", &json!({})).unwrap();
    let id = db.insert("plain", &json!({ "size": 1.5 })).unwrap();
    db.register_schema("plain", &json!({ "indexed_fields": ["size"] }))
        .unwrap();
    assert_eq!(db.find("plain", "size", 1.0..2.0).unwrap()[0].id, id);
    db.register_schema("plain", &json!({ "indexed_fields": [] }))
        .unwrap();
    assert_eq!(stored(&db, FIELD_INDEX), 0);
}

#[test]
fn a_schema_change_with_concurrent_writers_leaves_consistent_indexes() {
    let (_dir, db) = temporary();
    let schema = |fields: &[&str]| json!({ "key_field": "slug", "indexed_fields": fields });
    std::thread::scope(|threads| {
        for thread in 0..2 {
            let db = &db;
            threads.spawn(move || {
                for n in 0..150 {
                    let slug = format!("{thread}-{}", n % 20);
                    db.upsert("articles", &json!({ "slug": slug, "year": n, "size": n }))
                        .unwrap();
                }
            });
        }
        for round in 0..10 {
            let fields: &[&str] = if round % 2 == 0 {
                &["size"]
            } else {
                &["size", "year"]
            };
            db.register_schema("articles", &schema(fields)).unwrap();
        }
    });
    assert!(db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_change_of_schema_cut_short_is_finished_by_the_next_open() {
    let (dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "a", "year": 1 }))
        .unwrap();
    // The state after a crash right after the schema was written.
    let schema = json!({ "key_field": "slug", "indexed_fields": ["slug"] });
    let mut batch = db.storage().batch();
    batch
        .put(
            SCHEMAS,
            keys::schema_key(Table::new("default", "articles")),
            schema.to_string(),
        )
        .unwrap();
    batch
        .put(
            META,
            keys::unfinished_key(Table::new("default", "articles")),
            [0],
        )
        .unwrap();
    batch.commit().unwrap();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert!(db.indexes().verify().unwrap().is_clean());
    assert_eq!(db.find("articles", "slug", "a"..="a").unwrap().len(), 1);
    assert_eq!(stored(&db, META), 1, "only the format is left");
}

#[test]
fn the_key_field_of_a_table_in_use_stays() {
    let (_dir, db) = temporary();
    db.register_schema("articles", &json!({ "key_field": "year" }))
        .unwrap();
    db.insert("articles", &json!({ "year": 1 })).unwrap();
    let error = db
        .register_schema("articles", &json!({ "key_field": "slug" }))
        .unwrap_err();
    assert!(
        matches!(error, Error::Schema(SchemaError::KeyFieldChanged { .. })),
        "{error:?}"
    );
}

#[test]
fn list_goes_on_after_the_last_id_of_the_page_before() {
    let (_dir, db) = temporary();
    let data: Vec<_> = (0..5).map(|n| json!({ "slug": n.to_string() })).collect();
    let mut ids = db.insert_batch("articles", &data).unwrap();
    ids.sort_unstable();
    let first = db.list("articles", None, 3).unwrap();
    let second = db.list("articles", Some(first[2].id), 3).unwrap();
    let seen: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|entity| entity.id)
        .collect();
    assert_eq!(seen, ids);
}

#[test]
fn json_has_the_data_and_the_system_fields() {
    let (_dir, db) = temporary();
    let id = db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let json = db.get("articles", id).unwrap().unwrap().to_json();
    assert_eq!(json["_id"], id.to_string());
    assert_eq!(json["slug"], "a");
    assert!(json["_created_at"].as_str().unwrap().ends_with('Z'));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_field_range_finds_what_a_walk_over_all_entities_finds(
        years in prop::collection::vec(prop::option::of(-3_i64..4), 0..12),
        lower in -4_i64..5,
        upper in -4_i64..5,
    ) {
        let (_dir, db) = temporary();
        for (n, year) in years.iter().enumerate() {
            db.insert("articles", &json!({ "slug": n.to_string(), "year": year })).unwrap();
        }
        let mut expected: Vec<i64> = years.iter().flatten().copied().filter(|year| (lower..upper).contains(year)).collect();
        expected.sort_unstable();
        let found = db.find("articles", "year", lower..upper).unwrap();
        let found: Vec<i64> = found.iter().map(|entity| entity.data["year"].as_i64().unwrap()).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_range_finds_values_of_the_type_of_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    db.register_schema("mixed", &json!({ "indexed_fields": ["v"] }))
        .unwrap();
    let values = [
        json!(null),
        json!(false),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(7),
        json!("a"),
        json!("b"),
    ];
    for value in &values {
        db.insert("mixed", &json!({ "v": value })).unwrap();
    }
    let find = |lower: Bound<Value>, upper: Bound<Value>| -> Vec<Value> {
        let found = db.find("mixed", "v", (lower, upper)).unwrap();
        found
            .iter()
            .map(|entity| entity.data["v"].clone())
            .collect()
    };
    let (from, to) = (Bound::Included, Bound::Excluded);
    for (lower, upper, expected) in [
        (from(json!(0)), Bound::Unbounded, &values[4..6]),
        (Bound::Excluded(json!(0.5)), Bound::Unbounded, &values[5..6]),
        (Bound::Unbounded, to(json!(7)), &values[3..5]),
        (from(json!("a")), Bound::Unbounded, &values[6..]),
        (Bound::Unbounded, from(json!("a")), &values[6..7]),
        (from(json!(false)), Bound::Unbounded, &values[1..3]),
        (Bound::Unbounded, to(json!(true)), &values[1..2]),
        (from(json!(null)), Bound::Unbounded, &values[..1]),
        (from(json!(null)), from(json!(null)), &values[..1]),
        (from(json!(0)), from(json!("b")), &[]),
        (from(json!(9)), from(json!(1)), &[]),
        (Bound::Unbounded, Bound::Unbounded, &values[..]),
    ] {
        assert_eq!(
            find(lower.clone(), upper.clone()),
            expected,
            "{lower:?} {upper:?}"
        );
    }
}
