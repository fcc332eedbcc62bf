//! Imports and exports: restored entities, refused rows, existing entities, batches, and ends in the
//! middle.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Write};
use std::ops::ControlFlow;
use std::sync::Mutex;

use super::*;

const OPTIONS: fn() -> ImportOptions = ImportOptions::new;

fn exported(db: &Database, table: &str) -> String {
    let mut lines = Vec::new();
    let written = db.export_jsonl(table, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), written);
    lines
}

/// Lines with the slugs `0`, `1` and so on.
fn numbered(count: usize) -> String {
    let line =
        |number: usize| json!({ "slug": number.to_string(), "year": number }).to_string() + "\n";
    (0..count).map(line).collect()
}

fn reasons(report: &ImportReport) -> Vec<(usize, &str)> {
    let errors = report.errors.iter();
    errors
        .map(|error| (error.line, error.reason.as_str()))
        .collect()
}

fn refused(result: Result<ImportReport, Error>) -> ImportReport {
    match result.unwrap_err() {
        Error::RowsRefused { report, .. } => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_import_of_an_export_restores_the_entities() {
    let (_dir, db) = temporary();
    db.register_schema("notes", &json!({})).unwrap();
    for number in 0..5 {
        let slug = format!("slug {number}");
        let article = json!({ "slug": slug, "more": { "inside": [number, null, 1.5, "é\n"] } });
        db.insert("articles", &article).unwrap();
        db.insert("notes", &json!({ "number": number })).unwrap();
    }
    db.update("articles", "slug 1", &json!({ "year": 1957 }))
        .unwrap();
    db.delete("articles", "slug 2").unwrap();
    let (_other_dir, other) = temporary();
    other.register_schema("notes", &json!({})).unwrap();
    for (table, count) in [("articles", 4), ("notes", 5)] {
        let lines = exported(&db, table);
        let report = other
            .import_jsonl(table, lines.as_bytes(), &OPTIONS())
            .unwrap();
        assert_eq!((report.rows, report.written), (count, count));
        assert_eq!(exported(&other, table), lines);
        let all = |db: &Database| db.list(table, None, 10).unwrap();
        assert_eq!(all(&other), all(&db));
    }
    assert_eq!(
        other.find("articles", "year", 1957..=1957).unwrap().len(),
        1
    );
    assert!(other.lookup("articles", "slug 3").unwrap().is_some());
    assert!(other.indexes().verify().unwrap().is_clean());
}

#[test]
fn rows_of_another_table_have_the_ids_of_their_keys_there() {
    let (_dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let lines = exported(&db, "articles");
    let tenant = db.for_tenant("other");
    register(&tenant);
    tenant
        .import_jsonl("articles", lines.as_bytes(), &OPTIONS())
        .unwrap();
    let (here, there) = (
        db.get("articles", "a").unwrap().unwrap(),
        tenant.get("articles", "a").unwrap().unwrap(),
    );
    assert_ne!(here.id, there.id);
    assert_eq!((here.updated_at, here.data), (there.updated_at, there.data));
}

#[test]
fn each_refused_line_is_reported_and_the_others_are_written() {
    let (_dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "taken" })).unwrap();
    let lines = [
        b"{\"slug\": \"good\"}\n".as_slice(),
        b"{\"slug\": \"secret\n",
        b"{\"slug\": \"\xff\"}\n",
        b"\n",
        b"{\"slug\": 7}\n",
        b"{\"year\": 1957}\n",
        b"[1]\n",
        b"{\"slug\": \"taken\"}\n",
        b"{\"slug\": \"good\"}\n",
        b"{\"slug\": \"b\", \"_created_at\": \"secret\"}\n",
        b"{\"slug\": \"c\", \"_id\": \"secret\"}\n",
        b"{\"slug\": \"d\", \"year\": 100000000000000000000}\n",
        b"{\"slug\": \"far too long to be read\", \"body\": \"secret\"}\n",
        b"{\"slug\": \"also good\"}",
    ]
    .concat();
    let options = OPTIONS().on_error(OnError::Skip).max_line_length(50);
    for batch_size in [1, 3, 1000] {
        let options = options.clone().batch_size(batch_size);
        let report = db.import_jsonl("articles", &lines[..], &options).unwrap();
        assert_eq!((report.rows, report.written, report.refused), (13, 2, 11));
        let id = |slug| db.get("articles", slug).unwrap().unwrap().id;
        let exists = |slug| format!("entity {}, with the same key or `_id`, exists", id(slug));
        let (taken, good) = (exists("taken"), exists("good"));
        assert_eq!(
            reasons(&report),
            [
                (2, "invalid JSON at column 16: EOF while parsing a string"),
                (3, "invalid UTF-8 at byte 11"),
                (
                    5,
                    "the entity does not fit the schema of `articles`: at `/slug`: value is not of type \"string\""
                ),
                (
                    6,
                    "the entity does not fit the schema of `articles`: at `/`: \"slug\" is a required property"
                ),
                (7, "an entity of `articles` must be a JSON object"),
                (8, &taken),
                (9, &good),
                (
                    10,
                    "`_created_at` of an entity of `articles` must be a time in RFC 3339, before the year 9999"
                ),
                (
                    11,
                    "`_id` of an entity of `articles` must be a UUID. Give an id of your own another name"
                ),
                (12, "the integer at column 23 does not fit into 64 bits"),
                (13, "the line is longer than 50 bytes"),
            ]
        );
        for slug in ["good", "also good"] {
            assert!(db.purge("articles", slug).unwrap());
        }
        assert_eq!(db.count("articles").unwrap(), 1);
    }
}

#[test]
fn an_import_that_aborts_writes_nothing_and_reports_every_row() {
    let (dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "3" })).unwrap();
    let lines = numbered(10) + "{}\n" + &numbered(2) + "{\"slug\": 1}\n";
    let path = dir.path().join("lines");
    std::fs::write(&path, &lines).unwrap();
    for batch_size in [1, 4, 1000] {
        let options = OPTIONS().batch_size(batch_size);
        let from_reader = db.import_jsonl("articles", lines.as_bytes(), &options);
        let from_file = db.import_jsonl_file("articles", &path, &options);
        for result in [from_reader, from_file] {
            let text = result.as_ref().unwrap_err().to_string();
            assert!(
                text.starts_with(
                    "cannot import into `articles`: 5 of 14 rows were refused, and nothing was written: line "
                ) && text.ends_with("; and 2 more"),
                "{text}"
            );
            assert_eq!(result.as_ref().unwrap_err().error_type(), "RowsRefused");
            let report = refused(result);
            assert_eq!((report.rows, report.written, report.refused), (14, 0, 5));
            let lines: Vec<_> = report.errors.iter().map(|error| error.line).collect();
            assert_eq!(lines, [4, 11, 12, 13, 14]);
        }
        assert_eq!(db.count("articles").unwrap(), 1);
    }
    db.purge("articles", "3").unwrap();
    std::fs::write(&path, numbered(10)).unwrap();
    let options = OPTIONS().batch_size(3);
    let report = db.import_jsonl_file("articles", &path, &options).unwrap();
    assert_eq!((report.rows, report.written), (10, 10));
    assert_eq!(db.count("articles").unwrap(), 10);
}

#[test]
fn the_list_of_refused_rows_is_bounded() {
    let (_dir, db) = temporary();
    let report = refused(db.import_jsonl("articles", "{}\n".repeat(250).as_bytes(), &OPTIONS()));
    assert_eq!((report.refused, report.errors.len()), (250, 100));
}

#[test]
fn existing_entities_are_refused_replaced_or_left() {
    let lines = "{\"slug\": \"old\", \"year\": 2}\n{\"slug\": \"new\", \"year\": 2}\n\
                 {\"slug\": \"new\", \"year\": 3}\n{\"slug\": \"same\", \"year\": 1}\n";
    let run = |existing, batch_size| {
        let (dir, db) = temporary();
        for slug in ["old", "same"] {
            db.insert("articles", &json!({ "slug": slug, "year": 1 }))
                .unwrap();
        }
        let before = db.get("articles", "old").unwrap().unwrap();
        let options = OPTIONS().existing(existing).batch_size(batch_size);
        let result = db.import_jsonl("articles", lines.as_bytes(), &options);
        assert!(db.indexes().verify().unwrap().is_clean());
        drop(dir);
        let year = |slug| {
            let entity = db.get("articles", slug).unwrap();
            entity.map_or(0, |entity| entity.data["year"].as_i64().unwrap())
        };
        let years = ["old", "new", "same"].map(year);
        let after = db.get("articles", "old").unwrap().unwrap();
        (result, years, before, after)
    };
    for batch_size in [1, 10] {
        let (result, years, ..) = run(Existing::Error, batch_size);
        let report = refused(result);
        assert_eq!(years, [1, 0, 1]);
        let lines: Vec<_> = reasons(&report).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4]);

        let (result, years, before, after) = run(Existing::Replace, batch_size);
        let report = result.unwrap();
        assert_eq!(years, [2, 3, 1]);
        assert_eq!((report.rows, report.written, report.unchanged), (4, 3, 1));
        assert_eq!(after.created_at, before.created_at);
        assert!(after.updated_at > before.updated_at);

        let (result, years, before, after) = run(Existing::Skip, batch_size);
        let report = result.unwrap();
        assert_eq!(years, [1, 2, 1]);
        assert_eq!((report.rows, report.written, report.unchanged), (4, 1, 3));
        assert_eq!(after, before);
    }
}

#[test]
fn a_second_import_of_an_export_changes_nothing() {
    let (_dir, db) = temporary();
    db.import_jsonl("articles", numbered(20).as_bytes(), &OPTIONS())
        .unwrap();
    let lines = exported(&db, "articles");
    let options = OPTIONS().existing(Existing::Replace);
    let report = db
        .import_jsonl("articles", lines.as_bytes(), &options)
        .unwrap();
    assert_eq!((report.written, report.unchanged), (0, 20));
    assert_eq!(exported(&db, "articles"), lines);
}

#[test]
fn times_of_rows_are_kept_and_those_of_writes_increase() {
    let (_dir, db) = temporary();
    let early = "2001-02-03T04:05:06.000007Z";
    let options = OPTIONS().existing(Existing::Replace);
    let import = |row: Value| {
        let line = row.to_string();
        db.import_jsonl("articles", line.as_bytes(), &options)
            .unwrap();
        db.get("articles", "a").unwrap().unwrap()
    };
    let first = import(json!({ "slug": "a", "_updated_at": early }));
    assert_eq!(first.updated_at.to_string(), early);
    assert_eq!(first.created_at, first.updated_at);
    let second = import(
        json!({ "slug": "a", "year": 1, "_created_at": "2000-01-01T00:00:00+01:00", "_updated_at": early }),
    );
    assert_eq!(second.created_at.to_string(), "1999-12-31T23:00:00.000000Z");
    assert_eq!(second.updated_at.to_string(), "2001-02-03T04:05:06.000008Z");
    let third = import(json!({ "slug": "a", "year": 2, "_created_at": null, "_updated_at": null }));
    assert_eq!(third.created_at, second.created_at);
    assert!(Timestamp::now() >= third.updated_at && third.updated_at > second.updated_at);
}

#[test]
fn the_total_of_an_import_is_known_once_the_rows_were_checked() {
    let (_dir, db) = temporary();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let options = OPTIONS().batch_size(4).on_progress(move |progress| {
        kept.lock().unwrap().push((progress.done, progress.total));
        ControlFlow::Continue(())
    });
    db.import_jsonl("articles", numbered(6).as_bytes(), &options)
        .unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [(4, None), (6, None), (4, Some(6)), (6, Some(6))]
    );
}

#[test]
fn the_progress_function_is_called_after_each_batch_and_ends_the_import() {
    let lines = numbered(10);
    let run = |on_error, last| {
        let (_dir, db) = temporary();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let options = OPTIONS()
            .on_error(on_error)
            .batch_size(4)
            .on_progress(move |progress| {
                let mut seen = kept.lock().unwrap();
                seen.push(progress.done);
                if seen.len() == last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        let report = db
            .import_jsonl("articles", lines.as_bytes(), &options)
            .unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(db.count("articles").unwrap(), report.written);
        (seen, report.written, report.cancelled)
    };
    assert_eq!(run(OnError::Skip, 9), (vec![4, 8, 10], 10, false));
    assert_eq!(run(OnError::Skip, 2), (vec![4, 8], 8, true));
    assert_eq!(
        run(OnError::Abort, 9),
        (vec![4, 8, 10, 4, 8, 10], 10, false)
    );
    assert_eq!(run(OnError::Abort, 2), (vec![4, 8], 0, true));
    assert_eq!(run(OnError::Abort, 4), (vec![4, 8, 10, 4], 4, true));
}

#[test]
fn an_entity_that_appears_after_the_check_ends_an_import_that_aborts() {
    let (_dir, db) = temporary();
    let other = db.clone();
    let options = OPTIONS().batch_size(4).on_progress(move |progress| {
        if progress.done == 10 {
            _ = other.upsert("articles", &json!({ "slug": "5" })).unwrap();
        }
        ControlFlow::Continue(())
    });
    let result = db.import_jsonl("articles", numbered(10).as_bytes(), &options);
    let text = result.as_ref().unwrap_err().to_string();
    assert!(
        text.contains("1 of 8 rows were refused, and 4 were written before: line 6: entity"),
        "{text}"
    );
    assert_eq!(refused(result).written, 4);
    assert_eq!(db.count("articles").unwrap(), 5);
}

/// A source that fails after its bytes.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.0.read(bytes)? {
            0 => Err(io::Error::other("the network is gone")),
            read => Ok(read),
        }
    }
}

#[test]
fn an_error_of_the_source_ends_the_import_with_the_number_of_written_rows() {
    let (_dir, db) = temporary();
    let lines = numbered(10);
    let read = |options: &ImportOptions| {
        let source = io::BufReader::with_capacity(16, Failing(lines.as_bytes()));
        db.import_jsonl("articles", source, options).unwrap_err()
    };
    let error = read(&OPTIONS());
    assert_eq!(error.error_type(), "Import");
    assert_eq!(db.count("articles").unwrap(), 0);
    let error = read(&OPTIONS().on_error(OnError::Skip).batch_size(4));
    assert_eq!(
        error.to_string(),
        "the import into `articles` stopped after 8 rows were written: cannot read the rows to import into `articles`: \
         the network is gone"
    );
    assert_eq!(error.error_type(), "Import");
    assert_eq!(db.count("articles").unwrap(), 8);
    let missing = db.import_jsonl_file("articles", "/no/such/file", &OPTIONS());
    assert!(matches!(missing, Err(Error::Import { .. })), "{missing:?}");
    let unknown = db.import_jsonl("nothing", lines.as_bytes(), &OPTIONS());
    assert!(matches!(unknown, Err(Error::UnknownTable { .. })));
}

/// A source without an end. It counts the bytes that were read.
struct Endless<'a>(&'a Cell<usize>);

impl Read for Endless<'_> {
    fn read(&mut self, _bytes: &mut [u8]) -> io::Result<usize> {
        unreachable!("only `fill_buf` is used")
    }
}

impl BufRead for Endless<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(b"{}\n")
    }

    fn consume(&mut self, amount: usize) {
        self.0.set(self.0.get() + amount);
    }
}

#[test]
fn a_source_is_read_batch_by_batch() {
    let (_dir, db) = temporary();
    db.register_schema("notes", &json!({})).unwrap();
    let read = Cell::new(0);
    let options = OPTIONS()
        .on_error(OnError::Skip)
        .batch_size(7)
        .on_progress(|_| ControlFlow::Break(()));
    let report = db.import_jsonl("notes", Endless(&read), &options).unwrap();
    assert_eq!((report.written, read.get()), (7, 21));
    // A batch of long lines ends before it has its number of rows.
    let line = format!("{{\"a\": \"{}\"}}\n", "x".repeat(3 << 20));
    let options = OPTIONS()
        .on_error(OnError::Skip)
        .on_progress(|_| ControlFlow::Break(()));
    let report = db
        .import_jsonl("notes", line.repeat(5).as_bytes(), &options)
        .unwrap();
    assert_eq!(report.rows, 3);
}

#[test]
fn imported_texts_are_marked_for_embedding_and_outdated_vectors_removed() {
    let (_dir, db) = temporary();
    let lines = "{\"slug\": \"a\", \"body\": \"one\"}\n{\"slug\": \"b\", \"body\": \"two\"}\n";
    db.import_jsonl("articles", lines.as_bytes(), &OPTIONS())
        .unwrap();
    assert_eq!(db.embedding_status("articles").unwrap().waiting, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .unwrap()
        .block_on(db.generate_embeddings("articles"))
        .unwrap();
    assert_eq!(stored(&db, EMBEDDINGS), 2);
    let options = OPTIONS().existing(Existing::Replace);
    let changed = lines.replace("two", "three");
    db.import_jsonl("articles", changed.as_bytes(), &options)
        .unwrap();
    assert_eq!(db.embedding_status("articles").unwrap().waiting, 1);
    assert_eq!(stored(&db, EMBEDDINGS), 1);
}

#[test]
fn rows_of_an_iterator_are_imported() {
    let (_dir, db) = temporary();
    let rows = || {
        [
            Ok(ImportRow::Data(json!({ "slug": "a" }))),
            Ok(ImportRow::Line(b"{\"slug\": \"b\"}".to_vec())),
            Ok(ImportRow::Invalid("it has no form".to_owned())),
        ]
    };
    let report = refused(db.import_rows("articles", rows(), &OPTIONS()));
    assert_eq!(reasons(&report), [(3, "it has no form")]);
    let report = db
        .import_rows("articles", rows().into_iter().take(2), &OPTIONS())
        .unwrap();
    assert_eq!(report.written, 2);
    let line = |text: &str| Ok(ImportRow::Line(text.into()));
    let lines = [
        "\u{feff}{\"slug\": \"c\"}",
        "  \n",
        "{\"slug\": \"longer\"}",
    ];
    let options = OPTIONS().on_error(OnError::Skip).max_line_length(16);
    let report = db.import_rows("articles", lines.map(line), &options);
    let report = report.unwrap();
    assert_eq!((report.rows, report.written), (2, 1));
    assert_eq!(reasons(&report), [(3, "the line is longer than 16 bytes")]);
    assert!(!format!("{:?}", rows()).contains("slug"));
}

#[test]
fn a_failed_export_leaves_the_earlier_file() {
    let (dir, db) = temporary();
    db.import_jsonl("articles", numbered(10).as_bytes(), &OPTIONS())
        .unwrap();
    let path = dir.path().join("out.jsonl");
    let options = ExportOptions::new();
    assert_eq!(
        db.export_jsonl_file("articles", &path, &options).unwrap(),
        10
    );
    let complete = std::fs::read_to_string(&path).unwrap();
    assert_eq!(complete, exported(&db, "articles"));
    let ending = ExportOptions::new().on_progress(|progress| {
        assert_eq!(progress.done, 10);
        ControlFlow::Break(())
    });
    let ended = db.export_jsonl_file("articles", &path, &ending);
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), complete);
    let link = dir.path().join("link");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, &link).unwrap();
        db.export_jsonl_file("articles", &link, &options).unwrap();
        assert!(link.is_symlink());
    }
    let files = || {
        let names = std::fs::read_dir(dir.path()).unwrap();
        names.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".partial")
        })
    };
    assert_eq!(files().count(), 0);
    let nowhere = db.export_jsonl_file("articles", "/no/such/folder/file", &options);
    assert!(matches!(nowhere, Err(Error::Export { .. })), "{nowhere:?}");
}

#[cfg(unix)]
#[test]
fn an_export_keeps_the_permissions_of_the_file_and_writes_through_links() {
    use std::fs::{Permissions, read_to_string, set_permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    let (dir, db) = temporary();
    db.import_jsonl("articles", numbered(3).as_bytes(), &OPTIONS())
        .unwrap();
    let at = |name: &str| dir.path().join(name);
    let export = |name: &str| db.export_jsonl_file("articles", at(name), &ExportOptions::new());
    let mode = |name: &str| at(name).metadata().unwrap().mode() & 0o7777;
    for private in [0o600, 0o640, 0o400, 0o666] {
        export("private").unwrap();
        set_permissions(at("private"), Permissions::from_mode(private)).unwrap();
        export("private").unwrap();
        assert_eq!(mode("private"), private);
    }
    export("new").unwrap();
    std::fs::File::create_new(at("ordinary")).unwrap();
    assert_eq!(mode("new"), mode("ordinary"));

    std::fs::create_dir(at("folder")).unwrap();
    symlink("second", at("first")).unwrap();
    symlink("folder/target", at("second")).unwrap();
    export("first").unwrap();
    assert!(at("first").is_symlink() && at("second").is_symlink());
    let target = read_to_string(at("folder/target")).unwrap();
    assert_eq!(target, exported(&db, "articles"));
    symlink("circle", at("circle")).unwrap();
    let circle = export("circle");
    assert!(matches!(circle, Err(Error::Export { .. })), "{circle:?}");
    assert!(at("circle").is_symlink());
}

/// A writer that is full at once.
struct Full;

impl Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_writer_fails_the_export() {
    let (_dir, db) = temporary();
    db.insert("articles", &json!({ "slug": "a" })).unwrap();
    let error = db.export_jsonl("articles", Full).unwrap_err();
    assert_eq!(error.error_type(), "Export");
    assert!(
        error
            .to_string()
            .starts_with("cannot write the export of `articles`: "),
        "{error}"
    );
}

#[test]
fn a_read_only_database_refuses_an_import_before_the_source_is_read() {
    let (dir, db) = temporary();
    db.close().unwrap();
    let storage = crate::storage::StorageOptions::new().read_only(true);
    let options = DatabaseOptions::new().storage(storage);
    let db = Database::open_with(dir.path(), options).unwrap();
    let error = db
        .import_jsonl("articles", io::BufReader::new(Failing(b"")), &OPTIONS())
        .unwrap_err();
    assert_eq!(error.error_type(), "ReadOnly");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_of_any_bytes_is_counted_once(
        parts in proptest::collection::vec(
            prop_oneof![
                any::<Vec<u8>>(),
                Just(b"\n".to_vec()),
                (0..5).prop_map(|slug| format!("\n{{\"slug\": \"{slug}\"}}\n").into_bytes()),
            ],
            0..12,
        ),
        batch_size in 1..4_usize,
    ) {
        let (_dir, db) = temporary();
        let options = OPTIONS().on_error(OnError::Skip).existing(Existing::Skip).batch_size(batch_size);
        let report = db.import_jsonl("articles", &parts.concat()[..], &options).unwrap();
        prop_assert_eq!(report.rows, report.written + report.unchanged + report.refused);
        prop_assert_eq!(db.count("articles").unwrap(), report.written);
        let lines = exported(&db, "articles");
        let again = db.import_jsonl("articles", lines.as_bytes(), &OPTIONS().existing(Existing::Replace)).unwrap();
        prop_assert_eq!(again.unchanged, report.written);
    }
}

#[test]
fn an_imported_time_leaves_room_for_later_ones() {
    let (_dir, db) = temporary();
    let line = |year: &str| json!({ "slug": "a", "_updated_at": format!("{year}-12-31T23:59:59.999999Z") });
    let import = |year: &str| {
        db.import_jsonl(
            "articles",
            line(year).to_string().as_bytes(),
            &ImportOptions::new(),
        )
    };
    let error = import("9999").unwrap_err();
    assert!(
        error.to_string().contains("before the year 9999"),
        "{error}"
    );
    import("9998").unwrap();
    db.update("articles", "a", &json!({ "year": 1 })).unwrap();
    let entity = db.lookup("articles", "a").unwrap().unwrap();
    assert_eq!(entity.updated_at.to_string(), "9999-01-01T00:00:00.000000Z");
    db.update_if_unchanged("articles", "a", &json!({ "year": 2 }), entity.updated_at)
        .unwrap();
}
