//! Vectors in imports, in exports and in the data of writes.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::recorder::{Library, library, recorder, wait};
use super::*;
use crate::storage::Entry;

impl Library {
    /// Embeds what is marked, and returns the texts that the provider received, sorted.
    fn embedded_sorted(&self) -> Vec<String> {
        wait(self.db.generate_embeddings("articles")).unwrap();
        let mut texts = self.provider.take();
        texts.sort();
        texts
    }

    fn import(&self, lines: &str, options: &ImportOptions) -> Result<ImportReport, Error> {
        self.db.import_jsonl("articles", lines.as_bytes(), options)
    }
}

fn exported(db: &Database, options: &ExportOptions) -> String {
    let mut lines = Vec::new();
    db.export_jsonl_with("articles", &mut lines, options)
        .unwrap();
    String::from_utf8(lines).unwrap()
}

fn with_vectors() -> ExportOptions {
    ExportOptions::new().vectors(true)
}

/// The stored vectors: their keys, and their bytes with the mark of supplied ones.
fn vectors(db: &Database) -> Vec<Entry> {
    let entries = db.storage().scan(EMBEDDINGS, ScanRange::all()).unwrap();
    entries.map(Result::unwrap).collect()
}

fn insert(db: &Database, data: &Value, vectors: &[(&str, [f32; 3])]) {
    let set = |all: Vectors, (field, vector): &(&str, [f32; 3])| all.set(*field, *vector);
    let vectors = vectors.iter().fold(Vectors::new(), set);
    db.insert_with_vectors("articles", data, &vectors).unwrap();
}

/// Entities with supplied and embedded vectors, with one of them, and with none.
fn filled() -> Library {
    let library = library();
    let db = &library.db;
    insert(
        db,
        &json!({ "slug": "a", "body": "mine" }),
        &[("body", [1.0, 0.1, -0.0])],
    );
    insert(db, &json!({ "slug": "b", "body": "theirs" }), &[]);
    insert(
        db,
        &json!({ "slug": "c" }),
        &[("title", [1e-7, 0.0, 12345.678])],
    );
    insert(
        db,
        &json!({ "slug": "d", "body": "mine too", "title": "their title" }),
        &[("body", [0.3, 0.2, 0.1])],
    );
    insert(db, &json!({ "slug": "e" }), &[]);
    assert_eq!(library.embedded_sorted(), ["their title", "theirs"]);
    insert(db, &json!({ "slug": "f", "body": "waiting" }), &[]);
    insert(
        db,
        &json!({ "slug": "g", "body": "gone" }),
        &[("body", [1.0; 3])],
    );
    db.delete("articles", "g").unwrap();
    library
}

#[test]
fn an_import_of_an_export_restores_the_vectors() {
    let library = filled();
    let lines = exported(&library.db, &with_vectors());
    let stored = vectors(&library.db);
    assert_eq!(stored.len(), 5);
    let rows = |lines: &str| -> Vec<_> {
        let parsed = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        parsed.map(|row| Ok(ImportRow::Data(row))).collect()
    };
    for way in 0..3 {
        let copy = self::library();
        let options = ImportOptions::new().batch_size(2);
        match way {
            0 => copy.import(&lines, &options),
            1 => copy.db.import_rows("articles", rows(&lines), &options),
            _ => copy.import(&lines, &options.on_error(OnError::Skip)),
        }
        .unwrap();
        assert_eq!(vectors(&copy.db), stored);
        assert_eq!(exported(&copy.db, &with_vectors()), lines);
        let nearest = copy.db.search_vector("articles", &[1.0, 0.1, 0.0], 1, None);
        assert_eq!(nearest.unwrap()[0].entity.data["slug"], "a");
        assert!(copy.db.indexes().verify().unwrap().is_clean());
        assert_eq!(copy.embedded_sorted(), ["waiting"]);
        // Those of the provider are its own.
        copy.db.mark_for_embedding("articles").unwrap();
        assert_eq!(copy.embedded_sorted(), ["their title", "theirs", "waiting"]);
        assert!(copy.db.indexes().verify().unwrap().is_clean());
    }
}

#[test]
fn the_lines_of_an_export_have_the_vectors_only_on_request() {
    let library = filled();
    let without = exported(&library.db, &ExportOptions::new());
    assert!(!without.contains("_vectors") && !without.contains("_embedded_by"));
    let with = exported(&library.db, &with_vectors());
    for (field, ends) in [
        ("\"a\"", r#""slug":"a","_vectors":{"body":[1.0,0.1,-0.0]}}"#),
        (
            "\"d\"",
            r#","_embedded_by":{"title":"recorder"},"_vectors":{"body":[0.3,0.2,0.1],"title":[0.0,0.0,1.0]}}"#,
        ),
        ("\"e\"", r#""slug":"e"}"#),
        ("\"f\"", r#""slug":"f"}"#),
    ] {
        let slug = format!("\"slug\":{field}");
        let line = with.lines().find(|line| line.contains(&slug)).unwrap();
        assert!(line.ends_with(ends), "{line}");
    }
    let data = |lines: &str| -> Vec<Value> {
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|mut line: Value| {
                let fields = line.as_object_mut().unwrap();
                fields.retain(|name, _| name != "_vectors" && name != "_embedded_by");
                line
            })
            .collect()
    };
    assert_eq!(data(&with), data(&without));
}

#[test]
fn rows_whose_vectors_do_not_fit_are_refused_before_the_first_write() {
    let library = library();
    let row = |slug: usize, fields: &str| {
        format!("{{\"slug\": \"{slug}\", \"body\": \"text\", {fields}}}\n")
    };
    let numbers = "7395182.5, 7395182.5";
    let rows = [
        (
            format!(r#""_vectors": {{"body": [{numbers}]}}"#),
            "cannot store a vector of 2 numbers for `body`: the embedding provider has 3 dimensions",
        ),
        (
            format!(r#""_vectors": {{"slug": [{numbers}, 1]}}"#),
            "cannot store a vector for `slug` of `articles`: the field is not among the `embedding_fields` of the \
             schema, which are: `body`, `title`",
        ),
        (
            r#""_vectors": {"body": [0, 0.0, -0.0]}"#.to_owned(),
            "cannot store a vector for `body` that is all zeros, or contains NaN or an infinity: it has no direction",
        ),
        (
            format!(r#""_vectors": {{"body": [{numbers}, 1e39]}}"#),
            "cannot store a vector for `body` that is all zeros, or contains NaN or an infinity: it has no direction",
        ),
        (
            format!(
                r#""_embedded_by": {{"body": "recorder"}}, "_vectors": {{"body": [{numbers}, 1e39]}}"#
            ),
            "cannot store a vector for `body` that is all zeros, or contains NaN or an infinity: it has no direction",
        ),
        (
            format!(r#""_vectors": {{"body": [{numbers}, "7395182.5"]}}"#),
            "`_vectors` of an entity of `articles` must be an object that maps embedded fields to arrays of numbers",
        ),
        (
            format!(r#""_vectors": [{numbers}, 1]"#),
            "`_vectors` of an entity of `articles` must be an object that maps embedded fields to arrays of numbers",
        ),
        (
            r#""_embedded_by": {"body": 7395182.5}"#.to_owned(),
            "`_embedded_by` of an entity of `articles` must be an object that maps embedded fields to names of providers",
        ),
        (
            format!(
                r#""_embedded_by": {{"body": "7395182.5"}}, "_vectors": {{"body": [{numbers}, 1]}}"#
            ),
            "cannot store the vector of `body`: `_embedded_by` names another embedding provider than that of the \
             database, `recorder`. Vectors of different providers cannot be compared; leave the vectors out, so that \
             the texts are embedded again",
        ),
        (
            format!(r#""_vectors": {{"body": [{numbers}, NaN]}}"#),
            "invalid JSON at column 75: expected value",
        ),
    ];
    let mut lines = row(99, r#""_vectors": {"body": [1, 2, 3]}"#);
    lines.extend(
        rows.iter()
            .enumerate()
            .map(|(slug, (fields, _))| row(slug, fields)),
    );
    let error = library.import(&lines, &ImportOptions::new()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("7395182"));
    let Error::RowsRefused { report, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!((report.rows, report.written, report.refused), (11, 0, 10));
    for ((line, (_, reason)), refused) in (2..).zip(&rows).zip(&report.errors) {
        assert_eq!((refused.line, refused.reason.as_str()), (line, *reason));
    }
    assert_eq!(library.db.count("articles").unwrap(), 0);
    assert!(vectors(&library.db).is_empty());
    let skip = ImportOptions::new().on_error(OnError::Skip);
    assert_eq!(library.import(&lines, &skip).unwrap().written, 1);
    assert_eq!(vectors(&library.db).len(), 1);
    // All but the last one, which is not JSON.
    let ignore = skip.ignore_vectors(true).existing(Existing::Skip);
    let report = library.import(&lines, &ignore).unwrap();
    assert_eq!((report.written, report.refused), (9, 1));
    assert_eq!(vectors(&library.db).len(), 1);
    assert_eq!(library.embedded_sorted().len(), 9);
}

#[test]
fn zeros_of_the_provider_are_restored() {
    let library = library();
    let line = r#"{"slug": "a", "body": "...", "_embedded_by": {"body": "recorder"}, "_vectors": {"body": [0, 0, 0]}}"#;
    library.import(line, &ImportOptions::new()).unwrap();
    let copy = self::library();
    let lines = exported(&library.db, &with_vectors());
    copy.import(&lines, &ImportOptions::new()).unwrap();
    assert_eq!(vectors(&copy.db), vectors(&library.db));
    assert!(copy.embedded_sorted().is_empty());
    assert!(copy.db.indexes().verify().unwrap().is_clean());
}

#[test]
fn a_vector_without_a_text_was_supplied_whoever_is_named() {
    let library = library();
    let line =
        r#"{"slug": "a", "_embedded_by": {"body": "recorder"}, "_vectors": {"body": [1, 0, 0]}}"#;
    library.import(line, &ImportOptions::new()).unwrap();
    let lines = exported(&library.db, &with_vectors());
    assert!(!lines.contains("_embedded_by"), "{lines}");
    library.db.mark_for_embedding("articles").unwrap();
    assert!(library.embedded_sorted().is_empty());
    assert_eq!(vectors(&library.db).len(), 1);
    assert!(library.db.indexes().verify().unwrap().is_clean());
    let replace = ImportOptions::new().existing(Existing::Replace);
    assert_eq!(library.import(line, &replace).unwrap().unchanged, 1);
}

#[test]
fn an_entity_is_replaced_if_its_vectors_differ() {
    let line = |vector: &str| {
        format!("{{\"slug\": \"a\", \"body\": \"text\", \"_vectors\": {{\"body\": {vector}}}}}\n")
    };
    let (first, second) = (line("[1, 0, 0]"), line("[0, 1, 0]"));
    let embedded = first.replace(
        "_vectors",
        "_embedded_by\": {\"body\": \"recorder\"}, \"_vectors",
    );
    let without = line("null");
    for batch_size in [1, 10] {
        let run = |lines: &[&str]| {
            let library = library();
            library.import(&first, &ImportOptions::new()).unwrap();
            let options = ImportOptions::new();
            let options = options.existing(Existing::Replace).batch_size(batch_size);
            let report = library.import(&lines.concat(), &options).unwrap();
            assert!(library.db.indexes().verify().unwrap().is_clean());
            let lines = exported(&library.db, &with_vectors());
            let line: Value = serde_json::from_str(&lines).unwrap();
            let numbers = line["_vectors"]["body"].as_array().cloned();
            let numbers =
                numbers.map(|it| it.iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>());
            (
                report.written,
                report.unchanged,
                numbers,
                line["_embedded_by"].is_null(),
            )
        };
        let (x, y) = (Some(vec![1.0, 0.0, 0.0]), Some(vec![0.0, 1.0, 0.0]));
        assert_eq!(run(&[&first, &without, &first]), (0, 3, x.clone(), true));
        assert_eq!(run(&[&second, &second]), (1, 1, y.clone(), true));
        assert_eq!(run(&[&second, &first]), (2, 0, x.clone(), true));
        assert_eq!(run(&[&embedded, &embedded]), (1, 1, x.clone(), false));
        let other = first.replace("text", "other");
        assert_eq!(run(&[&other, &other]), (1, 1, x.clone(), true));
        // A text that changes and comes back.
        let other = without.replace("text", "other");
        assert_eq!(run(&[&other, &without, &first]).2, x);
    }
}

#[test]
fn an_export_has_the_vectors_of_its_snapshot() {
    let library = library();
    let db = &library.db;
    let article = |number: u16| {
        let data = json!({ "slug": number.to_string(), "body": "before" });
        (data, Vectors::new().set("body", [1.0, number.into(), 0.0]))
    };
    let articles: Vec<_> = (0..1200).map(article).collect();
    db.insert_batch_with_vectors("articles", &articles).unwrap();
    let before = exported(db, &with_vectors());
    let (writer, is_changed) = (db.clone(), Arc::new(AtomicBool::new(false)));
    let changed = Arc::clone(&is_changed);
    let options = with_vectors().on_progress(move |_| {
        if !changed.swap(true, Ordering::Relaxed) {
            let mut batch = writer.batch();
            for number in 0..1200 {
                let slug = number.to_string();
                let slug = slug.as_str();
                let mine = Vectors::new().set("body", [9.0; 3]);
                let change = json!({ "body": "after" });
                match number % 3 {
                    0 => batch.delete("articles", slug),
                    1 => batch.update("articles", slug, &change),
                    _ => batch.update_with_vectors("articles", slug, &json!({}), mine, None),
                }
                .unwrap();
            }
            batch.commit().unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(exported(db, &options), before);
    assert!(is_changed.load(Ordering::Relaxed));
    assert_ne!(exported(db, &with_vectors()), before);
}

#[test]
fn vectors_of_another_length_are_not_exported() {
    let library = filled();
    let Library { dir, db, .. } = library;
    drop(db);
    let db = Database::open_with(dir.path(), recorder(4).1).unwrap();
    let mut lines = Vec::new();
    let error = db
        .export_jsonl_with("articles", &mut lines, &with_vectors())
        .unwrap_err();
    assert_eq!(error.error_type(), "VectorExportDimensions");
    assert!(
        error.to_string().starts_with(
            "cannot export a vector of 3 numbers of `body`: the embedding provider has 4 dimensions. "
        ),
        "{error}"
    );
    assert_eq!(exported(&db, &ExportOptions::new()).lines().count(), 6);
}

#[test]
fn an_import_with_vectors_into_a_table_that_embeds_on_write_embeds_the_others() {
    let lines = exported(&filled().db, &with_vectors());
    let copy = library();
    let schema =
        json!({ "key_field": "slug", "embedding_fields": ["body", "title"], "embed": "on_write" });
    copy.db.register_schema("articles", &schema).unwrap();
    copy.import(&lines, &ImportOptions::new()).unwrap();
    assert_eq!(copy.provider.take(), ["waiting"]);
    assert_eq!(vectors(&copy.db).len(), 6);
}

#[test]
fn the_data_of_a_write_can_have_the_vectors() {
    let library = library();
    let db = &library.db;
    let data = |slug: &str| json!({ "slug": slug, "body": "text", "_vectors": { "body": [1, 0, 0], "title": null } });
    let none = Vectors::new();
    db.insert("articles", &data("a")).unwrap();
    db.upsert("articles", &data("b")).unwrap();
    db.insert_batch("articles", &[data("c")]).unwrap();
    db.insert("articles", &json!({ "slug": "d", "body": "text" }))
        .unwrap();
    db.update("articles", "d", &data("d")).unwrap();
    let mut batch = db.batch();
    batch.insert("articles", &data("e")).unwrap();
    batch.upsert("articles", &data("f")).unwrap();
    batch.update("articles", "f", &data("f")).unwrap();
    batch.commit().unwrap();
    let mut embedded = data("g");
    embedded["_embedded_by"] = json!({ "body": "recorder" });
    db.insert_with_vectors("articles", &embedded, &none)
        .unwrap();
    // An argument takes precedence.
    let mine = Vectors::new().set("body", [0.0, 1.0, 0.0]);
    db.insert_with_vectors("articles", &data("h"), &mine)
        .unwrap();
    let stored = vectors(db);
    assert_eq!(stored.len(), 8);
    assert!(library.embedded_sorted().is_empty());
    assert_eq!(
        db.search_vector("articles", &[0.0, 1.0, 0.0], 1, None)
            .unwrap()[0]
            .entity
            .data["slug"],
        "h"
    );
    let lines = exported(db, &with_vectors());
    assert_eq!(lines.matches("_embedded_by").count(), 1);
    for entity in db.list("articles", None, 10).unwrap() {
        assert_eq!(entity.data.as_object().unwrap().len(), 2, "{entity:?}");
    }
    let mut batch = db.batch();
    for wrong in [
        json!([1, 0, 0]),
        json!({ "body": [1, 0] }),
        json!({ "slug": [1, 0, 0] }),
    ] {
        let new = json!({ "slug": "new", "_vectors": wrong });
        let old = json!({ "slug": "a", "_vectors": wrong });
        for refused in [
            db.insert("articles", &new).map(drop),
            db.upsert("articles", &old).map(drop),
            db.insert_batch("articles", std::slice::from_ref(&new))
                .map(drop),
            db.update("articles", "a", &old).map(drop),
            batch.insert("articles", &new).map(drop),
            batch.upsert("articles", &old).map(drop),
            batch.update("articles", "a", &old).map(drop),
        ] {
            refused.unwrap_err();
        }
    }
    assert!(batch.is_empty());
    assert_eq!(vectors(db), stored);
    for name in ["_vectors", "_embedded_by"] {
        let reserved = db.register_schema("t", &json!({ "properties": { name: {} } }));
        assert_eq!(reserved.unwrap_err().error_type(), "SchemaReservedName");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_vector_is_restored_bit_by_bit(
        entities in proptest::collection::vec(
            (any::<[f32; 3]>(), any::<bool>(), any::<[f32; 3]>(), any::<bool>()),
            1..6,
        ),
    ) {
        let library = library();
        for (slug, (body, is_embedded, title, has_title)) in entities.iter().enumerate() {
            let data = json!({ "slug": slug.to_string(), "body": "text", "title": "text" });
            let mut data = data.as_object().cloned().unwrap();
            let has_direction = |vector: &[f32; 3]| vector.iter().any(|number| *number != 0.0);
            if *is_embedded {
                data.insert("_embedded_by".to_owned(), json!({ "body": "recorder" }));
                data.insert("_vectors".to_owned(), json!({ "body": body.map(f64::from) }));
            }
            let mut vectors = Vectors::new();
            if !is_embedded && has_direction(body) {
                vectors = vectors.set("body", *body);
            }
            if *has_title && has_direction(title) {
                vectors = vectors.set("title", *title);
            }
            library.db.insert_with_vectors("articles", &Value::Object(data), &vectors).unwrap();
        }
        let lines = exported(&library.db, &with_vectors());
        let copy = self::library();
        copy.import(&lines, &ImportOptions::new()).unwrap();
        prop_assert_eq!(vectors(&copy.db), vectors(&library.db));
        let marks = |db: &Database| stored(db, PENDING_EMBEDDINGS);
        prop_assert_eq!(marks(&copy.db), marks(&library.db));
        let again = copy.import(&lines, &ImportOptions::new().existing(Existing::Replace)).unwrap();
        prop_assert_eq!(again.unchanged, entities.len());
    }
}
