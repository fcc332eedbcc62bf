//! Tests of schemas that cannot be read, as a version without a limit of depth could write them:
//! their tables are unusable until a schema is registered, other tables are not affected.

use super::*;

/// A schema of 64 nested `properties`, which the parser cannot read.
fn deep() -> String {
    r#"{"properties":{"n":"#.repeat(64) + "{}" + &"}}".repeat(64)
}

/// A database whose table `articles` has an unreadable schema, and whose table `plain` does not.
fn damaged(schema: &str) -> (tempfile::TempDir, Database, Uuid) {
    let (dir, db) = temporary();
    let data = json!({ "slug": "a", "year": 2024, "body": "x" });
    let id = db.insert("articles", &data).unwrap();
    db.register_schema("plain", &json!({ "indexed_fields": ["size"] }))
        .unwrap();
    db.insert("plain", &json!({ "size": 1 })).unwrap();
    let articles = Table::new("default", "articles");
    let mut batch = db.storage().batch();
    batch
        .put(SCHEMAS, keys::schema_key(articles), schema)
        .unwrap();
    batch
        .put(META, keys::unfinished_key(articles), [1])
        .unwrap();
    batch.commit().unwrap();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    (dir, db, id)
}

fn assert_unusable<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.error_type(), "UnusableTable");
    let text = error.to_string();
    assert!(
        text.contains("cannot use table `articles`") && text.contains("register a schema"),
        "{text}"
    );
}

#[test]
fn a_schema_that_cannot_be_read_makes_its_table_unusable_and_no_other() {
    for schema in [deep().as_str(), "{", "[]", r#"{"type":7}"#] {
        let (_dir, db, id) = damaged(schema);
        assert_eq!(db.tables(), ["articles", "plain"]);
        assert_eq!(
            db.unusable_tables().into_keys().collect::<Vec<_>>(),
            ["articles"]
        );
        assert_unusable(db.schema("articles"));
        assert_unusable(db.get("articles", id));
        assert_unusable(db.insert("articles", &json!({ "slug": "b" })));
        assert_unusable(db.list("articles", None, 9));
        assert_unusable(db.purge("articles", id));
        assert_eq!(db.find("plain", "size", 1..=1).unwrap().len(), 1);
        db.insert("plain", &json!({ "size": 2 })).unwrap();
        assert_eq!(db.count("plain").unwrap(), 2);
    }
}

#[test]
fn a_table_is_usable_again_once_its_schema_is_registered() {
    let (dir, db, id) = damaged(&deep());
    register(&db);
    assert!(db.unusable_tables().is_empty());
    assert_eq!(db.lookup("articles", "a").unwrap().unwrap().id, id);
    assert_eq!(db.find("articles", "year", 2024..).unwrap()[0].id, id);
    assert!(db.indexes().verify().unwrap().is_clean());
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert!(db.unusable_tables().is_empty());
}

#[test]
fn another_key_field_is_refused_although_the_old_schema_cannot_be_read() {
    let (_dir, db, _) = damaged(&deep());
    for other in [json!({ "key_field": "year" }), json!({})] {
        let error = db.register_schema("articles", &other).unwrap_err();
        assert!(
            matches!(error, Error::Schema(SchemaError::KeyFieldChanged { .. })),
            "{error:?}"
        );
    }
    assert_unusable(db.schema("articles"));
}

#[test]
fn verification_names_an_unusable_table_and_rebuilding_keeps_its_indexes() {
    let (_dir, db, id) = damaged(&deep());
    let report = db.indexes().verify().unwrap();
    assert_eq!((report.entities, report.failed), (1, 1));
    assert_eq!(report.unreadable[0].to_string(), "the schema of `articles`");
    assert!(!report.is_clean());
    assert_eq!(db.indexes().rebuild_all().unwrap().stale, 0);
    assert_unusable(db.indexes().rebuild_field_indexes("articles"));
    register(&db);
    assert_eq!(db.lookup("articles", "a").unwrap().unwrap().id, id);
}

#[cfg(feature = "sql")]
#[tokio::test]
async fn sql_reads_the_other_tables() {
    let (_dir, db, _) = damaged(&deep());
    let rows = db.query("SELECT count(*) AS n FROM plain").await.unwrap();
    assert_eq!(rows.to_json(), [json!({ "n": 1 })]);
    assert_unusable(db.query("SELECT * FROM articles").await);
    let joined = "SELECT plain.size FROM plain JOIN articles ON true";
    assert_unusable(db.query(joined).await);
}

#[test]
fn a_read_only_handle_opens_the_other_tables() {
    let (dir, db, _) = damaged(&deep());
    drop(db);
    let storage = crate::storage::StorageOptions::new().read_only(true);
    let options = DatabaseOptions::new().storage(storage);
    let db = Database::open_with(dir.path(), options).unwrap();
    assert_unusable(db.schema("articles"));
    assert_eq!(db.count("plain").unwrap(), 1);
}
