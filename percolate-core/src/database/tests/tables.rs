//! Removing tables, and the report of a schema change.

use super::*;

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// All keys of the store, by column family.
fn all_keys(db: &Database) -> Vec<(String, Vec<u8>)> {
    let families = db.storage().column_families();
    let keys = families.iter().flat_map(|family| {
        let entries = db.storage().scan(family, ScanRange::all()).unwrap();
        entries.map(move |entry| (family.clone(), entry.unwrap().0.into_vec()))
    });
    keys.collect()
}

#[test]
fn a_dropped_table_leaves_nothing_and_no_other_table_changes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    // The name begins with the name of the dropped table.
    db.register_schema("articles_of_others", &json!({ "key_field": "slug" }))
        .unwrap();
    db.insert("articles_of_others", &json!({ "slug": "a" }))
        .unwrap();
    let other = db.for_tenant("other");
    register(&other);
    other.insert("articles", &json!({ "slug": "a" })).unwrap();
    let before = all_keys(&db);

    register(&db);
    for slug in ["a", "b", "c"] {
        let data = json!({ "slug": slug, "year": 1957, "body": format!("about {slug}") });
        db.insert("articles", &data).unwrap();
    }
    wait(db.generate_embeddings("articles")).unwrap();
    db.save_index("articles").unwrap();
    db.insert("articles", &json!({ "slug": "d", "body": "pending" }))
        .unwrap();
    db.drop_table("articles").unwrap();
    assert_eq!(all_keys(&db), before);
    assert_eq!(db.tables(), ["articles_of_others"]);
    let files = dir.path().join("vectors").read_dir().unwrap();
    assert_eq!(files.count(), 0);
    for error in [
        db.count("articles").map(drop).unwrap_err(),
        db.drop_table("articles").unwrap_err(),
    ] {
        assert!(matches!(error, Error::UnknownTable { .. }), "{error:?}");
    }
    // A new table of the same name is empty, also after the database is opened again.
    register(&db);
    assert_eq!(db.count("articles").unwrap(), 0);
    assert!(
        wait(db.search("articles", "about", 3, None))
            .unwrap()
            .is_empty()
    );
    drop((db, other));
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.lookup("articles", "a").unwrap(), None);
    assert!(db.indexes().verify().unwrap().is_clean());
    assert_eq!(db.for_tenant("other").count("articles").unwrap(), 1);
}

#[test]
fn a_table_whose_schema_cannot_be_read_can_be_dropped() {
    let (dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "a", "year": 1 }))
        .unwrap();
    let key = keys::schema_key(Table::new(db.tenant(), "articles"));
    db.storage().put(SCHEMAS, key, b"no JSON").unwrap();
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(db.unusable_tables().len(), 1);
    db.drop_table("articles").unwrap();
    assert_eq!(db.tables(), [""; 0]);
    assert_eq!(stored(&db, ENTITIES) + stored(&db, FIELD_INDEX), 0);
}

#[test]
fn a_schema_change_reports_what_does_not_match() {
    let (_dir, db) = temporary();
    for year in 0..150 {
        let slug = format!("article {year}");
        db.insert("articles", &json!({ "slug": slug, "year": year }))
            .unwrap();
    }
    let stricter = json!({
        "properties": { "slug": { "type": "string" }, "year": { "type": "integer", "maximum": 29 } },
        "key_field": "slug",
        "indexed_fields": ["year"],
    });
    let change = db.register_schema("articles", &stricter).unwrap();
    assert_eq!((change.checked, change.mismatched), (150, 120));
    assert_eq!(change.examples.len(), SchemaChange::EXAMPLES);
    for example in &change.examples {
        let entity = db.get("articles", example.id).unwrap().unwrap();
        assert!(entity.data["year"].as_u64() > Some(29));
        assert_eq!(example.key.as_deref(), entity.data["slug"].as_str());
        assert!(example.reason.contains("/year"), "{}", example.reason);
    }
    // The same schema again has no new rules.
    let again = db.register_schema("articles", &stricter).unwrap();
    assert_eq!(again, SchemaChange::default());
    // They stay readable, and the next write must match.
    assert_eq!(db.count("articles").unwrap(), 150);
    let unfit = "article 99";
    assert!(
        db.update("articles", unfit, &json!({ "slug": unfit }))
            .is_err()
    );
    db.update("articles", unfit, &json!({ "year": 9 })).unwrap();
    assert!(db.delete("articles", "article 98").unwrap());
}
