//! Arrow data as entities.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, DurationNanosecondArray, FixedSizeListArray, Float64Array,
    Int64Array, IntervalYearMonthArray, RecordBatch, StringArray, StructArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{Field, Float32Type};
use datafusion::arrow::error::ArrowError;
use serde_json::{Value, json};

use super::*;
use crate::database::ImportOptions;
use crate::embeddings::OfflineEmbeddings;
use crate::storage::ScanRange;
use crate::storage::column_families::EMBEDDINGS;
use crate::{DatabaseOptions, Vectors};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

fn insert(
    db: &Database,
    batch: RecordBatch,
    options: &ImportOptions,
) -> Result<crate::ImportReport, Error> {
    db.insert_arrow("t", &batch.schema(), [Ok(batch)], options)
}

fn database(properties: &Value) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    db.register_schema("t", &json!({ "properties": properties }))
        .unwrap();
    (dir, db)
}

#[test]
fn times_and_durations_are_text_of_iso_8601() {
    let (_dir, db) = database(&json!({ "at": {}, "length": {} }));
    let times = [0, 1, 1_000, -1, 1_500_000_000];
    let zoned = TimestampNanosecondArray::from(times.to_vec()).with_timezone("+05:30");
    let spans = [0, 1, -1_500_000_000, 90_061_000_000_000, 86_400_000_000_000];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..5))),
        (
            "at",
            Arc::new(TimestampNanosecondArray::from(times.to_vec())),
        ),
        ("zoned", Arc::new(zoned)),
        (
            "length",
            Arc::new(DurationNanosecondArray::from(spans.to_vec())),
        ),
    ];
    insert(&db, batch(columns), &ImportOptions::new()).unwrap();
    let mut rows: Vec<Value> = db
        .list("t", None, 10)
        .unwrap()
        .into_iter()
        .map(|entity| entity.data)
        .collect();
    rows.sort_by_key(|row| row["n"].as_i64());
    let texts = |field: &str| -> Vec<String> {
        let texts = rows
            .iter()
            .map(|row| row[field].as_str().unwrap().to_owned());
        texts.collect()
    };
    assert_eq!(
        texts("at"),
        [
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.000000001",
            "1970-01-01T00:00:00.000001",
            "1969-12-31T23:59:59.999999999",
            "1970-01-01T00:00:01.500000",
        ]
    );
    assert_eq!(texts("zoned")[4], "1970-01-01T05:30:01.500000+05:30");
    assert_eq!(
        texts("length"),
        ["PT0S", "PT0.000000001S", "-PT1.5S", "P1DT1H1M1S", "P1D"]
    );
}

#[test]
fn text_of_a_field_that_cannot_be_text_is_json() {
    let (_dir, db) = database(&json!({
        "object": { "type": ["object", "null"] }, "text": { "type": "string" }, "any": {},
    }));
    let text = || Arc::new(StringArray::from(vec!["{\"a\": [1]}"])) as ArrayRef;
    let columns = vec![("object", text()), ("text", text()), ("any", text())];
    insert(&db, batch(columns), &ImportOptions::new()).unwrap();
    let data = db.list("t", None, 1).unwrap().remove(0).data;
    assert_eq!(
        data,
        json!({ "object": { "a": [1] }, "text": "{\"a\": [1]}", "any": "{\"a\": [1]}" })
    );
}

#[test]
fn what_json_cannot_hold_is_refused_without_its_value() {
    let (_dir, db) = database(&json!({ "a": {} }));
    let numbers = Float64Array::from(vec![Some(1.0), Some(f64::NAN), Some(f64::INFINITY), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![("a", Arc::new(numbers))];
    let error = insert(&db, batch(columns), &ImportOptions::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot import into `t`: 2 of 4 rows were refused, and nothing was written: line 2: `a` is not a finite number; \
         line 3: `a` is not a finite number"
    );
    let months: Vec<(&str, ArrayRef)> =
        vec![("a", Arc::new(IntervalYearMonthArray::from(vec![1])))];
    let error = insert(&db, batch(months), &ImportOptions::new()).unwrap_err();
    assert!(
        error.to_string().ends_with("which JSON cannot hold"),
        "{error}"
    );
    assert_eq!(db.count("t").unwrap(), 0);
}

#[test]
fn an_export_has_the_rows_of_a_query_and_can_be_inserted() {
    let (_dir, db) = library();
    let mut batches = Vec::new();
    let options = crate::ExportOptions::new();
    let written = db.export_arrow("articles", &options, |batch| {
        batches.push(batch);
        Ok(())
    });
    assert_eq!(written.unwrap(), 100);
    let queried = wait(db.query("SELECT * FROM articles ORDER BY _id")).unwrap();
    let schema = batches[0].schema();
    let exported = datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap();
    let queried =
        datafusion::arrow::compute::concat_batches(queried.schema(), queried.batches()).unwrap();
    assert_eq!(exported.columns(), queried.columns());
    let before: Vec<_> = db.scan("articles").unwrap().map(Result::unwrap).collect();
    for entity in &before {
        db.purge("articles", entity.id).unwrap();
    }
    db.insert_arrow(
        "articles",
        &schema,
        batches.into_iter().map(Ok),
        &ImportOptions::new(),
    )
    .unwrap();
    let after: Vec<_> = db.scan("articles").unwrap().map(Result::unwrap).collect();
    for (after, before) in after.iter().zip(&before) {
        assert_eq!((after.id, after.updated_at), (before.id, before.updated_at));
        for field in ["year", "author", "score", "open", "tags", "extra", "day"] {
            assert_eq!(after.data[field], before.data[field], "{field}");
        }
    }
}

#[test]
fn an_error_of_the_batches_and_another_schema_end_the_import() {
    let (_dir, db) = database(&json!({ "a": {} }));
    let column = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let (one, two) = (
        batch(vec![("a", column())]),
        batch(vec![("a", column()), ("b", column())]),
    );
    let failed = || Err(ArrowError::ComputeError("the source is gone".to_owned()));
    for second in [Ok(two), failed()] {
        let batches = [Ok(one.clone()), second];
        let error = db
            .insert_arrow("t", &one.schema(), batches, &ImportOptions::new())
            .unwrap_err();
        assert!(matches!(error, Error::Import { .. }), "{error:?}");
    }
    assert_eq!(db.count("t").unwrap(), 0);
}

/// A database whose table `t` has two embedded fields, and a provider of vectors of three numbers.
fn embedded() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let provider = Arc::new(OfflineEmbeddings::with_dimensions(3));
    let options = DatabaseOptions::new().provider(provider);
    let db = Database::open_with(dir.path(), options).unwrap();
    let text = json!({ "type": "string" });
    let schema = json!({
        "properties": { "slug": text, "body": text, "title": text },
        "key_field": "slug",
        "embedding_fields": ["body", "title"],
    });
    db.register_schema("t", &schema).unwrap();
    (dir, db)
}

fn batches_of(db: &Database) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let options = crate::ExportOptions::new().vectors(true);
    let written = db.export_arrow("t", &options, |batch| {
        batches.push(batch);
        Ok(())
    });
    written.unwrap();
    batches
}

fn stored_vectors(db: &Database) -> Vec<crate::storage::Entry> {
    let entries = db.storage().scan(EMBEDDINGS, ScanRange::all()).unwrap();
    entries.map(Result::unwrap).collect()
}

#[test]
fn an_export_with_vectors_restores_them() {
    let (_dir, db) = embedded();
    let empty = batches_of(&db);
    assert_eq!(empty[0].num_rows(), 0);
    let mine = Vectors::new().set("body", [0.1, 0.2, -0.3]);
    for (slug, text) in [("a", "mine"), ("b", "mine too")] {
        let data = json!({ "slug": slug, "body": text });
        db.insert_with_vectors("t", &data, &mine).unwrap();
    }
    db.insert("t", &json!({ "slug": "c", "body": "x", "title": "y" }))
        .unwrap();
    wait(db.generate_embeddings("t")).unwrap();
    db.insert("t", &json!({ "slug": "d", "body": "waiting" }))
        .unwrap();
    let batches = batches_of(&db);
    let schema = batches[0].schema();
    assert_eq!(schema, empty[0].schema());
    let names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(
        names,
        [
            "_id",
            "body",
            "slug",
            "title",
            "_created_at",
            "_updated_at",
            "_embedded_by",
            "_vectors"
        ]
    );
    let vectors = batches[0].column_by_name("_vectors").unwrap().as_struct();
    let body = vectors.column_by_name("body").unwrap().as_fixed_size_list();
    assert_eq!((body.value_length(), body.null_count()), (3, 1));
    let (_other_dir, other) = embedded();
    let rows = batches.iter().cloned().map(Ok);
    let report = other.insert_arrow("t", &schema, rows, &ImportOptions::new());
    assert_eq!(report.unwrap().written, 4);
    assert_eq!(stored_vectors(&other), stored_vectors(&db));
    assert_eq!(stored_vectors(&db).len(), 4);
    assert_eq!(other.embedding_status("t").unwrap().waiting, 1);
    assert_eq!(batches_of(&other), batches);
    // Without embedded fields there are no columns.
    db.register_schema(
        "t",
        &json!({ "properties": { "slug": {} }, "key_field": "slug" }),
    )
    .unwrap();
    assert_eq!(batches_of(&db)[0].num_columns(), 4);
}

#[test]
fn vectors_of_columns_are_checked_and_can_be_ignored() {
    let (_dir, db) = embedded();
    let vectors = |rows: Vec<[Option<f32>; 3]>| -> ArrayRef {
        let lists = rows.into_iter().map(Some);
        let lists = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, 3);
        let field = Field::new("body", lists.data_type().clone(), true);
        Arc::new(StructArray::from(vec![(
            Arc::new(field),
            Arc::new(lists) as ArrayRef,
        )]))
    };
    let slugs = StringArray::from(vec!["a", "b", "c"]);
    let rows = batch(vec![
        ("slug", Arc::new(slugs)),
        (
            "_vectors",
            vectors(vec![
                [Some(1.0), Some(0.0), Some(f32::NAN)],
                [Some(0.0); 3],
                [Some(1.0), None, Some(0.0)],
            ]),
        ),
    ]);
    let error = insert(&db, rows.clone(), &ImportOptions::new()).unwrap_err();
    let Error::RowsRefused { report, .. } = error else {
        panic!("{error:?}");
    };
    let reasons: Vec<_> = report
        .errors
        .iter()
        .map(|error| error.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "`_vectors` `body` is not a finite number",
            "cannot store a vector for `body` that is all zeros, or contains NaN or an infinity: it has no direction",
            "`_vectors` of an entity of `t` must be an object that maps embedded fields to arrays of numbers",
        ]
    );
    assert_eq!(db.count("t").unwrap(), 0);
    let ignore = ImportOptions::new().ignore_vectors(true);
    assert_eq!(insert(&db, rows, &ignore).unwrap().written, 3);
    assert!(stored_vectors(&db).is_empty());
    // Text is JSON, as in other columns that cannot be text.
    let text = StringArray::from(vec![r#"{"body": [1, 0, 0]}"#]);
    let slugs = StringArray::from(vec!["d"]);
    let rows = batch(vec![
        ("slug", Arc::new(slugs)),
        ("_vectors", Arc::new(text)),
    ]);
    insert(&db, rows, &ImportOptions::new()).unwrap();
    assert_eq!(stored_vectors(&db).len(), 1);
}
