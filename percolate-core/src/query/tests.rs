//! Tests of queries: their results, the rows that they read, and what is rejected.

use std::sync::Arc;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::DatabaseOptions;
#[cfg(feature = "testing")]
use crate::otel::testing::{Capture, CapturedSpan};
use crate::storage::column_families::META;
use crate::storage::keys::{self, Table};

fn temporary() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    (dir, db)
}

/// Creates a hundred articles of the years 2000 to 2009 by four authors. Every tenth has no year.
fn library() -> (tempfile::TempDir, Database) {
    let (dir, db) = temporary();
    let articles = json!({
        "properties": {
            "slug": { "type": "string" },
            "year": { "type": ["integer", "null"] },
            "author": { "type": "string" },
            "score": { "type": "number" },
            "open": { "type": "boolean" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "extra": { "type": "object" },
            "seen": { "type": "string", "format": "date-time" },
            "day": { "type": "string", "format": "date" },
        },
        "key_field": "slug",
        "indexed_fields": ["year", "author", "score", "open", "seen", "day"],
    });
    db.register_schema("articles", &articles).unwrap();
    let authors = json!({ "properties": { "name": { "type": "string" }, "born": { "type": "integer" } }, "key_field": "name" });
    db.register_schema("authors", &authors).unwrap();
    let article = |n: i64| {
        json!({
            "slug": format!("article-{n:02}"),
            "year": (n % 10 != 9).then_some(2000 + n % 10),
            "author": (["ada", "bob", "cyd", "dee"][usize::try_from(n % 4).unwrap()]),
            "score": f64::from(i32::try_from(n).unwrap()) / 4.0,
            "open": n % 2 == 0,
            "tags": [format!("t{}", n % 3), "all"],
            "extra": { "n": n },
            "seen": format!("2026-01-{:02}T12:00:00Z", 1 + n % 28),
            "day": format!("2026-01-{:02}", 1 + n % 28),
        })
    };
    db.insert_batch("articles", &(0..100).map(article).collect::<Vec<_>>())
        .unwrap();
    let people = [("ada", 1950), ("bob", 1960), ("cyd", 1970)];
    db.insert_batch(
        "authors",
        &people.map(|(name, born)| json!({ "name": name, "born": born })),
    )
    .unwrap();
    (dir, db)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn rows(db: &Database, sql: &str) -> Vec<Vec<Value>> {
    wait(db.query(sql))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .rows()
        .collect()
}

fn refusal(db: &Database, sql: &str) -> Error {
    match wait(db.query(sql)) {
        Ok(result) => panic!("{sql} gave {:?}", result.to_json()),
        Err(error) => error,
    }
}

/// Returns the reads of a query: the name and the returned rows of each operation on the store.
#[cfg(feature = "testing")]
fn reads(db: &Database, sql: &str) -> Vec<(String, i64)> {
    let capture = Capture::new();
    capture.run(|| rows(db, sql));
    let spans = capture.spans();
    let store = spans.iter().filter(|span| {
        ["entities", "field_index", "key_index"]
            .iter()
            .any(|cf| span.name().ends_with(cf))
    });
    store
        .map(|span| (span.name().to_owned(), returned(span)))
        .collect()
}

#[cfg(feature = "testing")]
fn returned(span: &CapturedSpan) -> i64 {
    match span.attribute("db.response.returned_rows") {
        Some(opentelemetry::Value::I64(rows)) => *rows,
        other => panic!("{} returned {other:?}", span.name()),
    }
}

#[test]
fn a_query_gives_typed_columns() {
    let (_dir, db) = library();
    let result = wait(db.query("SELECT * FROM articles WHERE slug = 'article-07'")).unwrap();
    assert_eq!(
        result.columns(),
        [
            "_id",
            "author",
            "day",
            "extra",
            "open",
            "score",
            "seen",
            "slug",
            "tags",
            "year",
            "_created_at",
            "_updated_at"
        ]
    );
    let row = &result.to_json()[0];
    assert_eq!(row["year"], 2007);
    assert_eq!(row["score"], 1.75);
    assert_eq!(row["open"], false);
    assert_eq!(row["tags"], json!(["t1", "all"]));
    assert_eq!(row["extra"], "{\"n\":7}");
    assert_eq!(row["seen"], "2026-01-08T12:00:00Z");
    assert_eq!(row["day"], "2026-01-08");
    let entity = db.lookup("articles", "article-07").unwrap().unwrap();
    assert_eq!(row["_id"], entity.id.to_string());
    assert_eq!(row["_created_at"], entity.created_at.to_string());
}

#[test]
fn a_query_that_only_computes_can_be_dropped() {
    let (_dir, db) = temporary();
    db.register_schema(
        "numbers",
        &json!({ "properties": { "n": { "type": "integer" } } }),
    )
    .unwrap();
    db.insert_batch(
        "numbers",
        &(0..1500).map(|n| json!({ "n": n })).collect::<Vec<_>>(),
    )
    .unwrap();
    let started = std::time::Instant::now();
    let sql = "SELECT sum(a.n * b.n + c.n) FROM numbers a, numbers b, numbers c WHERE a.n + b.n + c.n < 4000";
    let ended = wait(async {
        tokio::time::timeout(std::time::Duration::from_millis(200), db.query(sql)).await
    });
    assert!(ended.is_err(), "a billion rows in a moment");
    assert!(
        started.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
#[cfg(feature = "testing")]
fn a_query_reads_only_the_rows_that_an_index_finds() {
    let (_dir, db) = library();
    let id = db.lookup("articles", "article-07").unwrap().unwrap().id;
    let other = db.lookup("articles", "article-08").unwrap().unwrap().id;
    // First the index scans, then the entities; a single entity is read with a get.
    let through = |index: &[i64], entities: &[i64]| {
        let entity = |rows| {
            (if rows == 1 {
                "get entities"
            } else {
                "multi_get entities"
            })
            .to_owned()
        };
        let scans = index
            .iter()
            .map(|rows| ("scan field_index".to_owned(), *rows));
        scans
            .chain(entities.iter().map(|rows| (entity(*rows), *rows)))
            .collect::<Vec<_>>()
    };
    let scan = |index: i64, entities: &[i64]| through(&[index], entities);
    let one = |name: &str, rows| (name.to_owned(), rows);
    let quarters = |count: i32| {
        (0..count)
            .map(|n| (f64::from(n) / 4.0).to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let cases = [
        // Everything.
        ("SELECT count(*) FROM articles".to_owned(), vec![one("scan entities", 100)]),
        ("SELECT slug FROM articles WHERE author LIKE '%a'".to_owned(), vec![one("scan entities", 100)]),
        ("SELECT slug FROM articles WHERE year IS NOT NULL".to_owned(), vec![one("scan entities", 100)]),
        // By id.
        (format!("SELECT slug FROM articles WHERE _id = '{id}'"), vec![one("get entities", 1)]),
        (format!("SELECT slug FROM articles WHERE _id IN ('{id}', '{other}', 'x')"), vec![one("multi_get entities", 2)]),
        (format!("SELECT slug FROM articles WHERE _id = '{}'", id.to_string().to_uppercase()), vec![]),
        (format!("SELECT slug FROM articles WHERE _id >= '{id}' AND _id <= '{id}'"), vec![one("get entities", 1)]),
        // A page after an id.
        ("SELECT slug FROM articles ORDER BY _id LIMIT 5".to_owned(), vec![one("scan entities", 5)]),
        (
            "SELECT slug FROM articles WHERE _id > '80000000-0000-5000-8000-000000000000' ORDER BY _id LIMIT 5"
                .to_owned(),
            vec![one("scan entities", 5)],
        ),
        // By key.
        (
            "SELECT year FROM articles WHERE slug = 'article-07'".to_owned(),
            vec![one("get key_index", 1), one("get entities", 1)],
        ),
        (
            "SELECT year FROM articles WHERE slug IN ('article-07', 'article-08', 'none')".to_owned(),
            vec![one("multi_get key_index", 2), one("multi_get entities", 2)],
        ),
        // Through an index.
        ("SELECT slug FROM articles WHERE year = 2003".to_owned(), scan(10, &[10])),
        ("SELECT slug FROM articles WHERE 2006 < year".to_owned(), scan(20, &[20])),
        ("SELECT slug FROM articles WHERE year >= 2003 AND year < 2005".to_owned(), scan(20, &[20])),
        ("SELECT slug FROM articles WHERE year BETWEEN 2003 AND 2004".to_owned(), scan(20, &[20])),
        (
            "SELECT slug FROM articles WHERE year IN (2003, 2005)".to_owned(),
            vec![one("scan field_index", 10), one("scan field_index", 10), one("multi_get entities", 20)],
        ),
        (
            "SELECT slug FROM articles WHERE year = 2003 OR year = 2005".to_owned(),
            vec![one("scan field_index", 10), one("scan field_index", 10), one("multi_get entities", 20)],
        ),
        ("SELECT slug FROM articles WHERE author = 'ada' AND year > 2003".to_owned(), scan(25, &[25])),
        (format!("SELECT slug FROM articles WHERE score IN ({})", quarters(70)), scan(70, &[64, 6])),
        ("SELECT slug FROM articles WHERE year IS NULL".to_owned(), through(&[10, 0, 0], &[10])),
        ("SELECT slug FROM articles WHERE year IS NULL OR year = 2003".to_owned(), through(&[10, 0, 10, 0], &[20])),
        ("SELECT slug FROM articles WHERE author IS NULL".to_owned(), scan(0, &[])),
        ("SELECT slug FROM articles WHERE seen IS NULL".to_owned(), vec![one("scan entities", 100)]),
        ("SELECT slug FROM articles WHERE score = 1.75".to_owned(), scan(1, &[1])),
        ("SELECT slug FROM articles WHERE score BETWEEN 1 AND 2".to_owned(), scan(5, &[5])),
        ("SELECT slug FROM articles WHERE day = '2026-01-28'".to_owned(), scan(3, &[3])),
        ("SELECT slug FROM articles WHERE year > 2003 AND year < 2003".to_owned(), vec![]),
        // Through an index, and only as many rows as requested.
        ("SELECT slug FROM articles WHERE year = 2003 LIMIT 2".to_owned(), scan(2, &[2])),
        ("SELECT slug FROM articles WHERE author = 'bob' LIMIT 3".to_owned(), scan(3, &[3])),
        ("SELECT slug FROM articles LIMIT 7".to_owned(), vec![one("scan entities", 7)]),
        ("SELECT slug FROM articles LIMIT 3 OFFSET 4".to_owned(), vec![one("scan entities", 7)]),
    ];
    for (sql, mut expected) in cases {
        let mut read = reads(&db, &sql);
        // In the order of what they read from, scans first.
        read.sort_by(|left, right| right.0.cmp(&left.0));
        expected.sort_by(|left, right| right.0.cmp(&left.0));
        assert_eq!(read, expected, "{sql}");
    }
}

#[test]
fn everything_else_is_left_to_datafusion_and_works() {
    let (_dir, db) = library();
    let cases = [
        (
            "SELECT count(*), min(year), max(score) FROM articles",
            json!([[100, 2000, 24.75]]),
        ),
        (
            "SELECT author, count(*) AS n FROM articles GROUP BY author HAVING count(*) > 1 ORDER BY author DESC LIMIT 2",
            json!([["dee", 25], ["cyd", 25]]),
        ),
        (
            "SELECT a.slug, p.born FROM articles a JOIN authors p ON p.name = a.author WHERE a.year = 2001 \
             ORDER BY a.slug LIMIT 2",
            json!([["article-01", 1960], ["article-21", 1960]]),
        ),
        (
            "SELECT count(*) FROM articles a LEFT JOIN authors p ON p.name = a.author WHERE p.name IS NULL",
            json!([[25]]),
        ),
        (
            "SELECT slug FROM articles ORDER BY score DESC LIMIT 1 OFFSET 1",
            json!([["article-98"]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE slug LIKE '%-1_'",
            json!([[10]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE year NOT BETWEEN 2001 AND 2008",
            json!([[10]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE year NOT IN (2001, 2002)",
            json!([[70]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE year IS NULL",
            json!([[10]]),
        ),
        ("SELECT count(*) FROM articles WHERE open", json!([[50]])),
        (
            "SELECT count(*) FROM articles WHERE NOT open AND year <> 2001",
            json!([[30]]),
        ),
        (
            "WITH late AS (SELECT * FROM articles WHERE year >= 2007) SELECT count(*), count(DISTINCT year) FROM late",
            json!([[20, 2]]),
        ),
        (
            "SELECT name FROM authors WHERE name NOT IN (SELECT author FROM articles WHERE year = 2001) ORDER BY 1",
            json!([["ada"], ["cyd"]]),
        ),
        (
            "SELECT (SELECT max(born) FROM authors) - born AS d FROM authors ORDER BY d",
            json!([[0], [10], [20]]),
        ),
        (
            "SELECT name, rank() OVER (ORDER BY born DESC) AS place FROM authors ORDER BY place",
            json!([["cyd", 1], ["bob", 2], ["ada", 3]]),
        ),
        (
            "SELECT name FROM authors UNION SELECT author FROM articles ORDER BY 1",
            json!([["ada"], ["bob"], ["cyd"], ["dee"]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE array_has(tags, 't1')",
            json!([[33]]),
        ),
        (
            "SELECT upper(name) || '!' FROM authors WHERE born / 10 = 195",
            json!([["ADA!"]]),
        ),
        (
            "SELECT date_trunc('month', seen), count(*) FROM articles GROUP BY 1",
            json!([["2026-01-01T00:00:00Z", 100]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE seen >= '2026-01-20T13:00:00+01:00' AND seen < '2026-01-22'",
            json!([[6]]),
        ),
        (
            "SELECT day + INTERVAL '1' DAY FROM articles WHERE slug = 'article-00'",
            json!([["2026-01-02"]]),
        ),
        (
            "SELECT count(*) FROM articles WHERE _created_at <= now() AND _updated_at >= _created_at",
            json!([[100]]),
        ),
        (
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) FROM n",
            json!([[10]]),
        ),
        ("VALUES (1, 'a')", json!([[1, "a"]])),
        (
            "SELECT trim(BOTH 'x' FROM 'xax'), substring('abc' FROM 2)",
            json!([["a", "bc"]]),
        ),
        (
            "SELECT count(*) FROM public.articles, percolate.public.authors",
            json!([[300]]),
        ),
        (
            "SELECT 1 AS a, NULL AS b, 2.5 AS c, DATE '2026-01-02' AS d",
            json!([[1, null, 2.5, "2026-01-02"]]),
        ),
        (
            "SELECT named_struct('a', 1, 'b', [1.5, 2])",
            json!([[{ "a": 1, "b": [1.5, 2.0] }]]),
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(json!(rows(&db, sql)), expected, "{sql}");
    }
}

#[test]
fn tables_and_columns_can_be_listed_and_plans_explained() {
    let (_dir, db) = library();
    let tables =
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    assert_eq!(json!(rows(&db, tables)), json!([["articles"], ["authors"]]));
    let shown = rows(&db, "SHOW TABLES");
    assert!(
        shown.iter().any(|row| row.contains(&json!("articles"))),
        "{shown:?}"
    );
    assert_eq!(rows(&db, "SHOW COLUMNS FROM authors").len(), 5);
    assert_eq!(
        rows(&db, "DESCRIBE authors")[1],
        [json!("born"), json!("Int64"), json!("YES")]
    );
    let plan = json!(rows(
        &db,
        "EXPLAIN SELECT slug FROM articles WHERE year = 2003 LIMIT 2"
    ))
    .to_string();
    assert!(
        plan.contains("EntityScan: articles, index of year, 1 range, limit 2"),
        "{plan}"
    );
}

#[test]
fn what_does_more_than_read_is_refused() {
    let (dir, db) = library();
    let file = dir.path().join("x.csv");
    std::fs::write(&file, "a,b\n1,2\n").unwrap();
    let file = file.display();
    let refused = [
        "INSERT INTO articles (slug) VALUES ('x')".to_owned(),
        "UPDATE articles SET year = 1".to_owned(),
        "DELETE FROM articles".to_owned(),
        "TRUNCATE TABLE articles".to_owned(),
        "CREATE TABLE t AS SELECT * FROM articles".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "CREATE DATABASE d".to_owned(),
        "DROP TABLE articles".to_owned(),
        "ALTER TABLE articles ADD COLUMN x INT".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{file}'"),
        format!("COPY (SELECT * FROM articles) TO '{file}.out'"),
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM authors JOIN '{file}' ON 1 = 1"),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "SHOW ALL".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXECUTE p".to_owned(),
        "BEGIN".to_owned(),
        "COMMIT".to_owned(),
        "USE percolate".to_owned(),
        "GRANT SELECT ON articles TO bob".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO articles (slug) VALUES ('x')".to_owned(),
        "EXPLAIN EXPLAIN DELETE FROM articles".to_owned(),
        "WITH x AS (SELECT 1) INSERT INTO articles (slug) SELECT 'x'".to_owned(),
        "SELECT * INTO t FROM articles".to_owned(),
        "(INSERT INTO articles (slug) VALUES ('x'))".to_owned(),
        "SELECT * FROM articles FOR UPDATE".to_owned(),
    ];
    for sql in refused {
        let error = refusal(&db, &sql);
        assert!(
            matches!(error, Error::Query(QueryError::Refused { .. })),
            "{sql}: {error:?}"
        );
        assert!(error.to_string().contains("is not allowed"), "{error}");
    }
    let text = refusal(&db, "INSERT INTO articles (slug) VALUES ('x')").to_string();
    assert_eq!(
        text,
        "INSERT is not allowed: queries are read-only. Use `insert`, `upsert` or `batch` of the database"
    );
    assert_eq!(rows(&db, "SELECT count(*) FROM articles"), [[json!(100)]]);
    // A quoted file name is not a table either.
    let error = refusal(&db, &format!("SELECT * FROM \"{file}\""));
    assert!(matches!(error, Error::UnknownTable { .. }), "{error:?}");
}

#[test]
fn times_and_dates_of_any_year_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let schema = json!({
        "properties": {
            "name": { "type": "string" },
            "until": { "type": "string", "format": "date-time" },
            "day": { "type": "string", "format": "date" },
        },
        "key_field": "name",
        "indexed_fields": ["until", "day"],
    });
    db.register_schema("leases", &schema).unwrap();
    for (name, until, day) in [
        ("old", "0001-01-01T00:00:00Z", "0001-01-01"),
        ("past", "2020-01-01T00:00:00Z", "2020-01-01"),
        ("never", "9999-12-31T23:59:59Z", "9999-12-31"),
    ] {
        let lease = json!({ "name": name, "until": until, "day": day });
        db.insert("leases", &lease).unwrap();
    }
    let names = |condition: &str| {
        let sql = format!("SELECT name FROM leases WHERE {condition} ORDER BY name");
        let rows = rows(&db, &sql);
        rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("until IS NULL"), [""; 0]);
    for column in ["until", "day"] {
        assert_eq!(names(&format!("{column} > now()")), ["never"], "{column}");
        assert_eq!(
            names(&format!("{column} < now()")),
            ["old", "past"],
            "{column}"
        );
        let at = format!("{column} >= TIMESTAMP '2020-01-01T00:00:00Z'");
        assert_eq!(names(&at), ["never", "past"], "{column}");
        let year = format!("date_part('year', {column}) = 9999");
        assert_eq!(names(&year), ["never"], "{column}");
        let compared = format!("{column} = '9999-12-31T23:59:59Z' OR {column} = '0001-01-01'");
        assert!(names(&compared).contains(&json!("old")), "{column}");
    }
    assert_eq!(names("until > day"), ["never"]);
    assert_eq!(names("day = DATE '9999-12-31'"), ["never"]);
    assert_eq!(
        rows(&db, "SELECT max(until), min(day) FROM leases"),
        [[json!("9999-12-31T23:59:59Z"), json!("0001-01-01")]]
    );
}

#[test]
fn is_distinct_from_compares_two_values_and_no_more() {
    let (_dir, db) = library();
    let count = |condition: &str| {
        rows(
            &db,
            &format!("SELECT count(*) FROM articles WHERE {condition}"),
        )[0][0]
            .clone()
    };
    let both = count("(year <> 2003 OR year IS NULL) AND slug <> 'a1'");
    assert_eq!(
        count("(year IS DISTINCT FROM 2003) AND (slug IS DISTINCT FROM 'a1')"),
        both
    );
    assert_eq!(
        count("slug IS NOT DISTINCT FROM 'a1'"),
        count("slug = 'a1'")
    );
    for condition in [
        "year IS DISTINCT FROM 2003 AND slug <> 'a1'",
        "slug <> 'a1' AND year IS NOT DISTINCT FROM 2003 OR year = 1",
        "CASE WHEN year IS DISTINCT FROM 2003 AND true THEN true ELSE false END",
    ] {
        for explain in ["", "EXPLAIN "] {
            let sql = format!("{explain}SELECT count(*) FROM articles WHERE {condition}");
            let error = refusal(&db, &sql);
            assert!(
                matches!(error, Error::Query(QueryError::Unsupported { .. })),
                "{sql}: {error:?}"
            );
            assert!(error.to_string().contains("brackets"), "{error}");
        }
    }
}

/// Returns the value of `value IN (values)`, `None` for null.
fn is_member(value: Option<i64>, values: &[Option<i64>]) -> Option<bool> {
    let equal: Vec<Option<bool>> = values
        .iter()
        .map(|other| Some(value? == (*other)?))
        .collect();
    if equal.contains(&Some(true)) {
        Some(true)
    } else if equal.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn not(value: Option<bool>) -> Option<bool> {
    value.map(|value| !value)
}

#[test]
fn membership_in_a_subquery_heeds_nulls() {
    type Condition = fn(i64, Option<i64>, &[Option<i64>]) -> Option<bool>;
    let (_dir, db) = temporary();
    let schema = json!({ "properties": { "n": { "type": "integer" }, "x": { "type": ["integer", "null"] } } });
    let fill = |table: &str, values: &[Option<i64>]| {
        db.register_schema(table, &schema).unwrap();
        let rows = values.iter().enumerate();
        let rows: Vec<_> = rows.map(|(n, x)| json!({ "n": n, "x": x })).collect();
        db.insert_batch(table, &rows).unwrap();
    };
    let outer = [Some(1), Some(2), None, Some(4)];
    fill("t", &outer);
    let conditions: [(&str, Condition); 16] = [
        ("x IN (SELECT x FROM s)", |_, x, s| is_member(x, s)),
        ("x NOT IN (SELECT x FROM s)", |_, x, s| not(is_member(x, s))),
        ("x IN (SELECT x FROM s) OR n = 0", |n, x, s| {
            or(is_member(x, s), Some(n == 0))
        }),
        ("x NOT IN (SELECT x FROM s) OR n = 0", |n, x, s| {
            or(not(is_member(x, s)), Some(n == 0))
        }),
        ("NOT (x IN (SELECT x FROM s)) OR n = 0", |n, x, s| {
            or(not(is_member(x, s)), Some(n == 0))
        }),
        ("NOT (x IN (SELECT x FROM s) AND n < 9)", |_, x, s| {
            not(is_member(x, s))
        }),
        ("NOT (x NOT IN (SELECT x FROM s) OR n = 0)", |n, x, s| {
            not(or(not(is_member(x, s)), Some(n == 0)))
        }),
        ("9 NOT IN (SELECT x FROM s)", |_, _, s| {
            not(is_member(Some(9), s))
        }),
        ("NULL NOT IN (SELECT x FROM s)", |_, _, s| {
            not(is_member(None, s))
        }),
        ("x + 0 NOT IN (SELECT x FROM s)", |_, x, s| {
            not(is_member(x, s))
        }),
        ("x NOT IN (SELECT x FROM s WHERE s.n <= t.n)", |n, x, s| {
            let visible = &s[..s.len().min(usize::try_from(n).unwrap() + 1)];
            not(is_member(x, visible))
        }),
        (
            "x NOT IN (SELECT x FROM s WHERE s.n <= t.n) OR n = 0",
            |n, x, s| {
                let visible = &s[..s.len().min(usize::try_from(n).unwrap() + 1)];
                or(not(is_member(x, visible)), Some(n == 0))
            },
        ),
        ("(x IN (SELECT x FROM s)) IS NULL", |_, x, s| {
            Some(is_member(x, s).is_none())
        }),
        ("(x NOT IN (SELECT x FROM s)) IS NOT TRUE", |_, x, s| {
            Some(is_member(x, s) != Some(false))
        }),
        (
            "CASE WHEN x NOT IN (SELECT x FROM s) THEN true ELSE n = 2 END",
            |n, x, s| Some(is_member(x, s) == Some(false) || n == 2),
        ),
        (
            "x NOT IN (SELECT x FROM s GROUP BY x ORDER BY x LIMIT 9) AND n < 9",
            |_, x, s| not(is_member(x, s)),
        ),
    ];
    let inner = [&[Some(1), None][..], &[Some(1), Some(7)], &[None], &[]];
    let tables = ["s0", "s1", "s2", "s3"];
    for (table, values) in tables.iter().zip(inner) {
        fill(table, values);
    }
    for (table, inner) in tables.iter().zip(inner).chain([(&"t", &outer[..])]) {
        for (condition, expected) in &conditions {
            let condition = condition.replace("FROM s", &format!("FROM {table} AS s"));
            let sql = format!("SELECT n FROM t WHERE {condition} ORDER BY n");
            let found: Vec<i64> = rows(&db, &sql)
                .iter()
                .map(|row| row[0].as_i64().unwrap())
                .collect();
            let matching = (0..)
                .zip(outer)
                .filter(|(n, x)| expected(*n, *x, inner) == Some(true));
            let expected: Vec<i64> = matching.map(|(n, _)| n).collect();
            assert_eq!(found, expected, "{sql} with {inner:?}");
        }
    }
    let joined = "SELECT t.n FROM t JOIN s1 ON s1.n = 0 AND t.n >= 0 AND (t.x NOT IN (SELECT x FROM t AS u) OR t.n = 3)";
    assert_eq!(rows(&db, joined), [[json!(3)]]);
    let never = "SELECT t.n FROM t JOIN s1 ON NULL NOT IN (SELECT x FROM t AS u WHERE u.n <> t.n)";
    assert!(rows(&db, never).is_empty());
    let outer = "SELECT t.n FROM t LEFT JOIN s1 ON t.x NOT IN (SELECT x FROM s0)";
    let error = refusal(&db, outer);
    assert!(
        matches!(&error, Error::Query(QueryError::Unsupported { reason }) if reason.contains("outer join")),
        "{error}"
    );
    let grouped = "SELECT x, count(*) FROM t GROUP BY x HAVING x NOT IN (SELECT x FROM t AS u) OR count(*) > 5";
    assert!(rows(&db, grouped).is_empty());
}

#[test]
fn arithmetic_of_integers_does_not_wrap_around() {
    let (_dir, db) = library();
    let largest = "9223372036854775807";
    let wide = format!("(VALUES ({largest}), (1), (1), (NULL)) AS v(x)");
    for sql in [
        format!("SELECT {largest} + 1"),
        format!("SELECT -{largest} - 2"),
        format!("SELECT {largest} * 2"),
        format!("SELECT year + {largest} FROM articles"),
        format!("SELECT slug FROM articles WHERE year * {largest} > 0"),
        format!("SELECT count(*) FROM articles GROUP BY year + {largest}"),
        format!("SELECT slug FROM articles ORDER BY year + {largest}"),
        format!("SELECT sum(x) FROM {wide}"),
        format!("SELECT sum(DISTINCT x) FROM {wide}"),
        format!("SELECT sum(x) OVER () FROM {wide}"),
        format!("SELECT sum(x) FROM {wide} GROUP BY 1 < 2"),
        format!(
            "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {wide}"
        ),
        format!(
            "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) FROM {wide}"
        ),
        format!("SELECT -x FROM (VALUES (-{largest} - 1), (1)) AS v(x)"),
        format!("SELECT sum(x), sum(DISTINCT x), avg(DISTINCT x) FROM {wide}"),
    ] {
        let error = refusal(&db, &sql);
        assert!(
            matches!(&error, Error::Query(QueryError::Failed { reason }) if reason.contains("exceeds the range of its integer type")),
            "{sql}: {error}"
        );
        assert!(!error.to_string().contains("922337"), "{error}");
    }
    for (sql, expected) in [
        ("SELECT 9223372036854775806 + 1", json!(i64::MAX)),
        ("SELECT -9223372036854775807 - 1", json!(i64::MIN)),
        (
            "SELECT CAST(9223372036854775807 AS DOUBLE) * 2",
            json!(1.844_674_407_370_955_2e19),
        ),
        ("SELECT 1 + NULL", json!(null)),
        (
            "SELECT -x FROM (VALUES (9223372036854775807), (1)) AS v(x)",
            json!(-i64::MAX),
        ),
        (
            "SELECT sum(x) FROM (VALUES (9223372036854775807), (-1), (NULL)) AS v(x)",
            json!(i64::MAX - 1),
        ),
        (
            "SELECT sum(DISTINCT x) FROM (VALUES (2), (2), (3), (NULL)) AS v(x)",
            json!(5),
        ),
        (
            "SELECT sum(x) FROM (VALUES (1)) AS v(x) WHERE x > 1",
            json!(null),
        ),
        ("SELECT sum(year) FROM articles", json!(180_360)),
        ("SELECT sum(year + 1) - sum(year) FROM articles", json!(90)),
        ("SELECT sum(score) FROM articles", json!(1237.5)),
        (
            "SELECT count(*) FROM articles WHERE year + 1 = 2001",
            json!(10),
        ),
    ] {
        assert_eq!(rows(&db, sql)[0][0], expected, "{sql}");
    }
    // The frame moves, so values leave the sum.
    let moving = "SELECT sum(x) OVER (ORDER BY n ROWS 1 PRECEDING) AS s, sum(DISTINCT x) OVER (ORDER BY n ROWS 1 PRECEDING) AS d \
                  FROM (VALUES (1, 9223372036854775807), (2, 0), (3, 5), (4, 5), (5, NULL), (6, NULL)) AS v(n, x) ORDER BY n";
    let sums: Vec<_> = rows(&db, moving)
        .iter()
        .map(|row| (row[0].as_i64(), row[1].as_i64()))
        .collect();
    let max = Some(i64::MAX);
    assert_eq!(
        sums,
        [
            (max, max),
            (max, max),
            (Some(5), Some(5)),
            (Some(10), Some(5)),
            (Some(5), Some(5)),
            (None, None)
        ]
    );
    // The columns are named as the query names them.
    assert_eq!(
        wait(db.query("SELECT year + 1, sum(year) FROM articles GROUP BY year + 1"))
            .unwrap()
            .columns(),
        ["articles.year + Int64(1)", "sum(articles.year)"]
    );
}

#[test]
fn errors_contain_the_remedy() {
    let (_dir, db) = library();
    db.register_schema(
        "People",
        &json!({ "properties": { "firstName": { "type": "string" } } }),
    )
    .unwrap();
    let cases = [
        ("", "the query is empty; write a SELECT"),
        (" ; -- nothing", "the query is empty; write a SELECT"),
        (
            "SELECT 1; SELECT 2",
            "the query contains 2 statements; run them one by one",
        ),
        (
            "SELECT * FROM artcles",
            "table `artcles` does not exist; the tables are `People`, `articles`, `authors`. Register its schema with \
             `register_schema` first",
        ),
        (
            "SELECT * FROM other.articles",
            "table `other.articles` does not exist; the tables are `People`, `articles`, `authors`. Register its schema with \
             `register_schema` first",
        ),
        (
            "SELECT nam FROM authors",
            "column `nam` does not exist; the columns are `authors._id`, `authors.born`, `authors.name`, `authors._created_at`, \
             `authors._updated_at`",
        ),
        (
            "SELECT firstName FROM \"People\"",
            "column `firstname` does not exist; write `\"firstName\"`: names with capital letters need double quotes",
        ),
        (
            "SELECT \"People\"._id FROM \"People\" p",
            "column `People._id` does not exist; the columns are `p._id`, `p.firstName`, `p._created_at`, `p._updated_at`",
        ),
        (
            "SELECT * FROM authors TABLESAMPLE (10)",
            "the query uses an unsupported feature: TABLESAMPLE; use `ORDER BY random() LIMIT`",
        ),
        (
            "DESCRIBE artcles",
            "table `artcles` does not exist; the tables are `People`, `articles`, `authors`. Register its schema with \
             `register_schema` first",
        ),
        (
            "SELECT FROM\n authors WHERE",
            "syntax error: expected an expression, found the end",
        ),
        (
            "SELECT * FROM authors\n WHERE name == == 1",
            "syntax error at line 2, column 16: expected an expression, found `==`",
        ),
        (
            "SELECT * FROM authors WHERE a b 'secret'",
            "syntax error at line 1, column 31: expected end of statement, found `b`",
        ),
        (
            "SELECT * FROM authors LIMIT 1 'secret'",
            "syntax error at line 1, column 31: expected end of statement, found a literal",
        ),
        (
            "SELECT 'secret",
            "syntax error at line 1, column 8: Unterminated string literal",
        ),
        (
            "'secret'",
            "syntax error at line 1, column 1: expected a statement",
        ),
        (
            "SELECT $2 FROM authors WHERE name = $1",
            "parameter $1: the query uses it, but no value was given",
        ),
        (
            "SELECT $1, $year FROM authors WHERE name = $name",
            "placeholder `$name` is not supported; write `$1`, `$2` and so on",
        ),
        (
            "SELECT ? FROM authors",
            "placeholder `?` is not supported; write `$1`, `$2` and so on",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(refusal(&db, sql).to_string(), expected, "{sql}");
    }
    let invalid = [
        "SELECT nonsense(1)",
        "SELECT name FROM authors GROUP BY born",
        "SELECT sum(name) FROM authors",
        "SELECT born FROM authors WHERE born = 'secret'",
        "SELECT _id FROM articles, authors",
    ];
    for sql in invalid {
        let error = refusal(&db, sql);
        assert!(
            matches!(
                error,
                Error::Query(QueryError::Invalid { .. } | QueryError::Failed { .. })
            ),
            "{sql}: {error:?}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn an_error_tells_no_value_of_the_data_or_the_query() {
    let (_dir, db) = library();
    db.insert("authors", &json!({ "name": "secret 12345", "born": 98765 }))
        .unwrap();
    let failing = [
        "SELECT CAST(name AS BIGINT) FROM authors",
        "SELECT CAST(name AS DATE) FROM authors",
        "SELECT CAST(born AS TINYINT) FROM authors",
        "SELECT born / (born - 98765) FROM authors",
        "SELECT * FROM authors WHERE _created_at > 'secret 12345'",
        "SELECT arrow_cast(name, 'secret 12345') FROM authors",
        "SELECT to_timestamp(name) FROM authors",
        "SELECT substr('secret 12345', 'secret 12345')",
        "SELECT * FROM authors WHERE name 'secret 12345'",
        "SELECT * FROM authors ORDER BY 98765",
        "SELECT * FROM generate_series('secret 12345')",
        "SELECT E'secret 12345\\",
        "SELECT 1 q'[secret 12345]'",
        "SELECT q'[secret 12345]'",
        "SELECT nq'{secret 12345}' FROM authors",
        "SELECT nothing FROM (SELECT 'secret 12345', 98765 FROM authors)",
        "SELECT nothing FROM (SELECT 'secret 12345' || name FROM authors) AS x",
        "SELECT x.nothing FROM (SELECT upper('secret 12345') FROM authors) AS x",
        "SELECT name, 'secret 12345' IN (SELECT name FROM authors) FROM authors",
        "SELECT name FROM authors LIMIT -98765",
        "SELECT name FROM authors OFFSET -98765",
        "SELECT CAST(concat('it', chr(39), name, chr(39), '98765') AS BIGINT) FROM authors",
        "SELECT U&'secret 12345\\zz'",
        "SELECT sum('secret 12345', 98765) FROM authors",
        "SELECT INTERVAL 'secret 12345' day",
        "SELECT born + INTERVAL '98765 secret' FROM authors",
        "SELECT name FROM authors WHERE name LIKE 'secret 12345' ESCAPE 'secret'",
    ];
    for sql in failing {
        let error = refusal(&db, sql);
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("secret") && !text.contains("12345") && !text.contains("98765"),
            "{sql}: {text}"
        );
    }
    let readable = [
        (
            "SELECT name FROM authors LIMIT -98765",
            "invalid query: LIMIT must be >= 0, ? was provided",
        ),
        (
            "SELECT substr(name, 7, 7, 7) FROM authors",
            "invalid query: Internal error: Function 'substr' failed to match any signature, errors: Error during \
             planning: Function 'substr' expects 2 arguments but received 4,Error during planning: Function 'substr' \
             expects 3 arguments but received 4.",
        ),
        (
            "SELECT CAST(born AS TINYINT) FROM authors",
            "the query failed: Cast error: Can't cast value ? to type Int8",
        ),
        (
            "SELECT name, name IN (SELECT name FROM authors) FROM authors",
            "the query uses an unsupported feature: `IN` or `EXISTS` with a subquery in this place; use it in WHERE, or \
             a join",
        ),
        (
            "SELECT nothing FROM (SELECT name, 'secret' FROM authors)",
            "column `nothing` does not exist; the columns are `authors.name`",
        ),
    ];
    for (sql, expected) in readable {
        assert_eq!(refusal(&db, sql).to_string(), expected, "{sql}");
    }
}

#[test]
fn parameters_are_values_and_never_text_of_the_query() {
    let (_dir, db) = library();
    let ask = |sql: &str, values: &[Value]| {
        wait(db.query_with(sql, values)).map(|result| json!(result.rows().collect::<Vec<_>>()))
    };
    let sql = "SELECT slug FROM articles WHERE year = $1 AND author = $2 AND score > $3 AND open = $4 AND seen < $5 ORDER BY 1";
    let values = [
        json!(2001),
        json!("bob"),
        json!(10),
        json!(false),
        json!("2026-02-01"),
    ];
    assert_eq!(
        ask(sql, &values).unwrap(),
        json!([["article-41"], ["article-61"], ["article-81"]])
    );
    let injection = [json!("' OR '1' = '1")];
    assert_eq!(
        ask("SELECT count(*) FROM authors WHERE name = $1", &injection).unwrap(),
        json!([[0]])
    );
    assert_eq!(
        ask("SELECT $1 IS NULL, $1 + 1", &[json!(1)]).unwrap(),
        json!([[false, 2]])
    );
    let position = |values: &[Value]| match ask("SELECT $1, $2", values).unwrap_err() {
        Error::Query(QueryError::Parameter { position, .. }) => position,
        other => panic!("{other:?}"),
    };
    assert_eq!(position(&[json!(1)]), 2);
    assert_eq!(position(&[json!(1), json!(2), json!(3)]), 3);
    assert_eq!(position(&[json!(1), json!([2])]), 2);
}

#[test]
#[cfg(feature = "testing")]
fn parameters_find_their_index_too() {
    let (_dir, db) = library();
    let capture = Capture::new();
    let sql = "SELECT slug FROM articles WHERE year = $1";
    capture
        .run(|| wait(db.query_with(sql, &[json!(2003)])))
        .unwrap();
    assert_eq!(returned(capture.spans().span("scan field_index")), 10);
}

#[test]
fn a_value_that_does_not_fit_its_column_is_null_there_and_its_row_stays() {
    let (_dir, db) = temporary();
    db.register_schema("t", &json!({ "indexed_fields": ["a", "n"] }))
        .unwrap();
    for (n, a) in [
        json!(1),
        json!(2.0),
        json!(2.5),
        json!("three"),
        json!([4]),
        json!(u64::MAX),
    ]
    .iter()
    .enumerate()
    {
        db.insert("t", &json!({ "n": n, "a": a })).unwrap();
    }
    let typed = json!({
        "properties": { "a": { "type": "integer" }, "n": { "type": "integer" } },
        "indexed_fields": ["a", "n"],
    });
    assert_eq!(
        json!(rows(&db, "SELECT a, data FROM t WHERE a = '2.5'")),
        json!([["2.5", "{\"a\":2.5,\"n\":2}"]])
    );
    db.register_schema("t", &typed).unwrap();
    let all = json!(rows(&db, "SELECT n, a FROM t ORDER BY n"));
    assert_eq!(
        all,
        json!([[0, 1], [1, 2], [2, null], [3, null], [4, null], [5, null]])
    );
    assert_eq!(
        json!(rows(&db, "SELECT n FROM t WHERE a IS NULL ORDER BY n")),
        json!([[2], [3], [4], [5]])
    );
    assert_eq!(
        json!(rows(&db, "SELECT n FROM t WHERE a = 2")),
        json!([[1]])
    );
    assert_eq!(
        json!(rows(&db, "SELECT n FROM t WHERE a >= 2")),
        json!([[1]])
    );
}

#[test]
fn null_finds_absent_fields_and_values_of_another_type() {
    let (_dir, db) = temporary();
    let schema = |rules: &Value| json!({ "properties": { "a": rules }, "indexed_fields": ["a"] });
    db.register_schema("t", &schema(&json!({ "type": ["integer", "null"] })))
        .unwrap();
    for a in [
        json!(null),
        json!(1),
        json!(u64::MAX),
        json!(-1e300),
        json!(1e300),
        json!(i64::MIN),
        json!(i64::MAX),
    ] {
        db.insert("t", &json!({ "a": a })).unwrap();
    }
    db.insert("t", &json!({})).unwrap();
    let nulls = || {
        json!(rows(
            &db,
            "SELECT count(*), count(a) FROM t WHERE a IS NULL"
        ))
    };
    let plan = || json!(rows(&db, "EXPLAIN SELECT * FROM t WHERE a IS NULL")).to_string();
    assert_eq!(nulls(), json!([[5, 0]]));
    assert!(plan().contains("index of a, 3 ranges"), "{}", plan());
    // The old rules may have allowed lists, which are in no index.
    db.register_schema("t", &schema(&json!({}))).unwrap();
    db.insert("t", &json!({ "a": [1] })).unwrap();
    db.register_schema("t", &schema(&json!({ "type": ["integer", "null"] })))
        .unwrap();
    assert_eq!(nulls(), json!([[6, 0]]));
}

#[test]
fn a_table_without_properties_has_the_fields_it_names_and_its_data() {
    let (_dir, db) = temporary();
    db.register_schema(
        "notes",
        &json!({ "key_field": "name", "indexed_fields": ["size"] }),
    )
    .unwrap();
    for (name, size) in [
        ("a", json!(1)),
        ("b", json!("1")),
        ("c", json!(null)),
        ("d", json!([1])),
        ("e", json!({})),
    ] {
        db.insert("notes", &json!({ "name": name, "size": size }))
            .unwrap();
    }
    let result = wait(db.query("SELECT * FROM notes WHERE name = 'a'")).unwrap();
    assert_eq!(
        result.columns(),
        ["_id", "name", "size", "data", "_created_at", "_updated_at"]
    );
    assert_eq!(result.to_json()[0]["data"], "{\"name\":\"a\",\"size\":1}");
    let names = |condition: &str| {
        json!(rows(
            &db,
            &format!("SELECT name FROM notes WHERE {condition} ORDER BY 1")
        ))
    };
    assert_eq!(names("size = '1'"), json!([["a"], ["b"]]));
    assert_eq!(names("size = '[1]'"), json!([["d"]]));
    assert_eq!(names("size IS NULL"), json!([["c"]]));
    assert_eq!(names("size > '1'"), json!([["d"], ["e"]]));
}

#[test]
#[cfg(feature = "testing")]
fn null_is_found_in_the_index_of_a_field_of_any_type() {
    let (_dir, db) = temporary();
    db.register_schema("notes", &json!({ "indexed_fields": ["size"] }))
        .unwrap();
    for size in [json!(1), json!(null), json!([1])] {
        db.insert("notes", &json!({ "size": size })).unwrap();
    }
    let read = reads(&db, "SELECT size FROM notes WHERE size IS NULL");
    assert_eq!(
        read,
        [
            ("scan field_index".to_owned(), 1),
            ("get entities".to_owned(), 1)
        ]
    );
}

#[test]
fn a_property_can_have_the_name_of_a_system_column_without_its_underscore() {
    let (_dir, db) = temporary();
    let schema = json!({ "properties": { "id": { "type": "integer" } }, "key_field": "id" });
    db.register_schema("t", &schema).unwrap();
    let id = db.insert("t", &json!({ "id": 7 })).unwrap();
    assert_eq!(
        json!(rows(&db, "SELECT id, _id FROM t WHERE id = 7")),
        json!([[7, id.to_string()]])
    );
    assert_eq!(
        json!(rows(&db, &format!("SELECT id FROM t WHERE _id = '{id}'"))),
        json!([[7]])
    );
}

#[test]
fn a_key_of_any_type_is_found() {
    let (_dir, db) = temporary();
    let cases = [
        (json!({ "type": "string" }), json!("7"), "'7'"),
        (json!({ "type": "integer" }), json!(7), "7"),
        (json!({ "type": "number" }), json!(7), "7"),
        (
            json!({ "type": "string", "format": "date" }),
            json!("2026-01-07"),
            "'2026-01-07'",
        ),
        (
            json!({ "type": "string", "format": "date-time" }),
            json!("2026-01-07T00:00:00Z"),
            "'2026-01-07T01:00:00+01:00'",
        ),
        (json!({}), json!(7), "'7'"),
        (json!({}), json!("7"), "'7'"),
    ];
    for (n, (rules, key, constant)) in cases.into_iter().enumerate() {
        let table = format!("t{n}");
        db.register_schema(
            &table,
            &json!({ "properties": { "k": rules }, "key_field": "k" }),
        )
        .unwrap();
        db.insert(&table, &json!({ "k": key })).unwrap();
        let sql = format!("SELECT count(*) FROM {table} WHERE k = {constant}");
        assert_eq!(json!(rows(&db, &sql)), json!([[1]]), "{rules}");
    }
}

#[test]
fn tenants_see_their_own_tables_only() {
    let (_dir, db) = library();
    let other = db.for_tenant("other");
    assert!(
        matches!(refusal(&other, "SELECT * FROM articles"), Error::UnknownTable { known, .. } if known.is_empty())
    );
    other
        .register_schema(
            "articles",
            &json!({ "properties": { "x": { "type": "integer" } } }),
        )
        .unwrap();
    other.insert("articles", &json!({ "x": 1 })).unwrap();
    assert_eq!(json!(rows(&other, "SELECT x FROM articles")), json!([[1]]));
    assert_eq!(
        json!(rows(&db, "SELECT count(*) FROM articles")),
        json!([[100]])
    );
}

#[test]
fn an_incomplete_index_is_not_used() {
    let (_dir, db) = library();
    let year = |db: &Database| json!(rows(db, "SELECT count(*) FROM articles WHERE year = 2001"));
    // The state that a reader finds during a schema change.
    let entries = db
        .storage()
        .scan("field_index", crate::storage::ScanRange::all())
        .unwrap();
    let entries: Vec<_> = entries.map(|entry| entry.unwrap().0).collect();
    let mut batch = db.storage().batch();
    batch
        .put(
            META,
            keys::unfinished_key(Table::new("default", "articles")),
            [0],
        )
        .unwrap();
    for key in entries {
        batch.delete("field_index", key).unwrap();
    }
    batch.commit().unwrap();
    assert_eq!(year(&db), json!([[10]]));
    db.storage()
        .delete(
            META,
            keys::unfinished_key(Table::new("default", "articles")),
        )
        .unwrap();
    assert_eq!(year(&db), json!([[0]]), "and is trusted afterwards");
}

#[test]
fn a_query_sees_each_batch_as_a_whole() {
    let (_dir, db) = temporary();
    db.register_schema(
        "t",
        &json!({ "properties": { "n": { "type": "integer" } }, "indexed_fields": ["n"] }),
    )
    .unwrap();
    std::thread::scope(|threads| {
        let write = |n: i64| drop(db.insert_batch("t", &vec![json!({ "n": n }); 10]).unwrap());
        let writer = threads.spawn(move || (0..60).for_each(write));
        while !writer.is_finished() {
            // By the table and by its index, in one query: the same whole batches.
            let sql = "SELECT (SELECT count(*) FROM t) AS a, (SELECT count(*) FROM t WHERE n BETWEEN 0 AND 99) AS b";
            let row = &rows(&db, sql)[0];
            assert_eq!(row[0], row[1]);
            assert_eq!(row[0].as_i64().unwrap() % 10, 0);
        }
    });
}

#[test]
fn an_entity_that_changes_is_seen_once() {
    let (_dir, db) = temporary();
    let schema = json!({
        "properties": { "k": { "type": "string" }, "n": { "type": "integer" } },
        "key_field": "k",
        "indexed_fields": ["n"],
    });
    db.register_schema("t", &schema).unwrap();
    let write = |n: i64| {
        for k in 0..10 {
            db.upsert("t", &json!({ "k": k.to_string(), "n": n }))
                .unwrap();
        }
    };
    write(0);
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| (1..40).for_each(write));
        while !writer.is_finished() {
            // Its entry in the index moves; neither both places are seen nor none.
            let sql = "SELECT count(DISTINCT k), count(*), (SELECT sum(n) FROM t) - sum(n) FROM t WHERE n BETWEEN 0 AND 99";
            assert_eq!(json!(rows(&db, sql)), json!([[10, 10, 0]]));
        }
    });
}

#[test]
fn a_query_that_needs_too_much_memory_fails_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(
        dir.path(),
        DatabaseOptions::new().query_memory_limit(1 << 20),
    )
    .unwrap();
    for hungry in [
        "SELECT * FROM generate_series(1, 1000000)",
        "SELECT value FROM generate_series(1, 1000000) ORDER BY value DESC LIMIT 500000",
        "SELECT value, count(*) FROM generate_series(1, 1000000) GROUP BY value",
    ] {
        let error = refusal(&db, hungry);
        assert!(
            matches!(error, Error::Query(QueryError::Memory { limit: 1_048_576 })),
            "{hungry}: {error:?}"
        );
    }
    assert_eq!(
        json!(rows(
            &db,
            "SELECT sum(value) FROM generate_series(1, 1000000)"
        )),
        json!([[500_000_500_000_i64]])
    );
}

#[test]
fn a_result_counts_by_its_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open_with(
        dir.path(),
        DatabaseOptions::new().query_memory_limit(128 << 20),
    )
    .unwrap();
    // DataFusion returns the first rows as 62 slices of one batch, whose 4 MB must only count once.
    let sql = "SELECT value FROM generate_series(1, 1000000) ORDER BY value DESC LIMIT 500000";
    assert_eq!(wait(db.query(sql)).unwrap().num_rows(), 500_000);
}

#[test]
fn a_query_nested_or_chained_too_deeply_is_rejected() {
    let (_dir, db) = library();
    let nested = |levels: usize| format!("SELECT {}1{}", "(".repeat(levels), ")".repeat(levels));
    let subqueries = |levels: usize| {
        format!(
            "{}SELECT 1{}",
            "SELECT * FROM (".repeat(levels),
            ")".repeat(levels)
        )
    };
    let chain = |length: usize| {
        format!(
            "SELECT slug FROM articles WHERE {}",
            vec!["year = 1"; length].join(" OR ")
        )
    };
    let sums = |length: usize| {
        format!(
            "SELECT {}",
            vec!["born"; length].join(" + ") + " FROM authors"
        )
    };
    let unions = |length: usize| vec!["SELECT 1"; length].join(" UNION ALL ");
    let ctes = |length: usize| {
        let each = (1..length)
            .map(|n| format!(", a{n} AS (SELECT x FROM a{})", n - 1))
            .collect::<Vec<_>>()
            .concat();
        format!(
            "WITH a0 AS (SELECT 1 AS x){each} SELECT x FROM a{}",
            length - 1
        )
    };
    let joins = |length: usize| {
        let each = (1..length)
            .map(|n| format!(" JOIN authors a{n} ON a{n}._id = a0._id"))
            .collect::<Vec<_>>()
            .concat();
        format!("SELECT count(*) FROM authors a0{each}")
    };
    let tables = |length: usize| {
        let each = (0..length)
            .map(|n| format!("authors a{n}"))
            .collect::<Vec<_>>()
            .join(", ");
        format!("SELECT 1 FROM {each} LIMIT 1")
    };
    for (sql, what) in [
        (ctes(900), "queries upon each other"),
        (joins(900), "joins"),
        (tables(10_000), "tables"),
        (nested(100_000), "nested"),
        (subqueries(10_000), "subqueries"),
        (chain(100_000), "chain"),
        (sums(100_000), "sums"),
        (unions(10_000), "unions"),
        (format!("SELECT {}1", "- ".repeat(100_000)), "signs"),
        (
            format!("SELECT {}true", "NOT ".repeat(100_000)),
            "negations",
        ),
        (
            format!("SELECT {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
            "lists",
        ),
        (
            format!("SELECT {}1 END", "CASE WHEN true THEN ".repeat(100_000)),
            "cases",
        ),
        (
            format!("SELECT {}'1'", "INTERVAL ".repeat(100_000)),
            "intervals",
        ),
        (
            format!("{}SELECT 1", "EXPLAIN ".repeat(100_000)),
            "explains",
        ),
        (
            format!("{}SELECT 1", "EXPLAIN ANALYZE VERBOSE ".repeat(900)),
            "explains with options",
        ),
    ] {
        let error = refusal(&db, &sql);
        assert!(
            matches!(
                error,
                Error::Query(
                    QueryError::TooLarge { .. }
                        | QueryError::Syntax { .. }
                        | QueryError::Unsupported { .. }
                        | QueryError::Refused { .. }
                )
            ),
            "{what}: {error:?}"
        );
    }
    // Queries within the limits run on the small stack of a tokio thread.
    assert!(matches!(
        refusal(&db, &tables(65)),
        Error::Query(QueryError::TooLarge { .. })
    ));
    for sql in [
        nested(16),
        subqueries(16),
        chain(450),
        sums(900),
        unions(100),
        ctes(64),
        joins(40),
        tables(64),
    ] {
        rows(&db, &sql);
    }
    let list = (0..20_000)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        json!(rows(
            &db,
            &format!("SELECT count(*) FROM articles WHERE year IN ({list})")
        )),
        json!([[90]])
    );
}

#[test]
fn a_query_needs_a_runtime() {
    let (_dir, db) = library();
    let error = futures_executor(db.query("SELECT 1")).unwrap_err();
    assert!(
        matches!(error, Error::Query(QueryError::NoRuntime)),
        "{error:?}"
    );
}

/// Polls once. The future must be ready.
fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[test]
#[cfg(feature = "testing")]
fn a_dropped_query_ends_with_the_status_cancelled() {
    let (_dir, db) = library();
    for capture in [Capture::new(), Capture::builder().compact_records().build()] {
        capture.run(|| {
            wait(async {
                let endless = "SELECT count(*) FROM generate_series(1, 1000000000000), articles";
                let limit = std::time::Duration::from_millis(100);
                assert!(
                    tokio::time::timeout(limit, db.query(endless))
                        .await
                        .is_err()
                );
            });
        });
        let spans = capture.spans();
        let query = spans.span("SELECT generate_series articles");
        assert_eq!(query.attribute("error.type"), Some(&"cancelled".into()));
    }
}

#[test]
fn queries_run_side_by_side_on_one_thread() {
    let (_dir, db) = library();
    wait(async {
        let sql = "SELECT count(*) FROM articles a JOIN articles b ON a.year = b.year ORDER BY 1";
        let queries = (0..20).map(|_| db.query(sql));
        for result in futures_util::future::join_all(queries).await {
            assert_eq!(result.unwrap().to_json().len(), 1);
        }
    });
}

/// Generates data for a table with every column indexed and for one with none.
fn entity() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(json!(null)), "[ab]{0,2}".prop_map(|text| json!(text))];
    let integer = prop_oneof![
        Just(json!(null)),
        (-3_i64..4).prop_map(|n| json!(n)),
        Just(json!(2.0))
    ];
    let float = prop_oneof![
        Just(json!(null)),
        (-8_i32..8).prop_map(|n| json!(f64::from(n) / 2.0)),
        (-3..4).prop_map(|n| json!(n))
    ];
    let flag = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag))
    ];
    let day = prop_oneof![
        Just(json!(null)),
        Just(json!("soon")),
        (1..5).prop_map(|n| json!(format!("2026-01-0{n}")))
    ];
    let time = prop_oneof![
        Just(json!(null)),
        Just(json!("soon")),
        (1..5, 0..24, -12..13).prop_map(|(day, hour, offset)| json!(format!(
            "2026-01-0{day}T{hour:02}:00:00{offset:+03}:00"
        ))),
    ];
    let any = prop_oneof![
        Just(json!(null)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!("1")),
        Just(json!([1])),
        Just(json!("a")),
        Just(json!(true))
    ];
    (text, integer, float, flag, day, time, any).prop_map(|(text, integer, float, flag, day, time, any)| {
        json!({ "label": text, "whole": integer, "ratio": float, "flag": flag, "due": day, "seen": time, "mixed": any })
    })
}

fn condition() -> impl Strategy<Value = String> {
    let compare = || {
        prop_oneof![
            Just("="),
            Just("<>"),
            Just("<"),
            Just("<="),
            Just(">"),
            Just(">=")
        ]
    };
    let value = prop_oneof![
        "'[ab]{0,2}'".prop_map(|value| ("label", value)),
        (-4_i64..5).prop_map(|n| ("whole", n.to_string())),
        (-8_i32..8).prop_map(|n| ("ratio", format!("{:.1}", f64::from(n) / 2.0))),
        any::<bool>().prop_map(|flag| ("flag", flag.to_string())),
        (1..5).prop_map(|n| ("due", format!("DATE '2026-01-0{n}'"))),
        (1..5, 0..24).prop_map(|(day, hour)| (
            "seen",
            format!("TIMESTAMP '2026-01-0{day}T{hour:02}:00:00Z'")
        )),
        prop_oneof![
            Just("'1'"),
            Just("'1.0'"),
            Just("'a'"),
            Just("'[1]'"),
            Just("'true'")
        ]
        .prop_map(|value| ("mixed", value.to_owned())),
    ];
    let simple = (compare(), value.clone())
        .prop_map(|(op, (column, value))| format!("{column} {op} {value}"));
    let nulls = (value.clone(), any::<bool>()).prop_map(|((column, _), not)| {
        format!("{column} IS {}NULL", if not { "NOT " } else { "" })
    });
    let list = (value.clone(), value, any::<bool>()).prop_map(
        |((column, value), (other, second), null)| {
            let second = if other == column {
                second
            } else {
                value.clone()
            };
            format!(
                "{column} IN ({value}, {second}{})",
                if null { ", NULL" } else { "" }
            )
        },
    );
    let leaf = prop_oneof![4 => simple, 1 => nulls, 1 => list, 1 => Just("flag".to_owned())];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (
            inner.clone(),
            prop_oneof![Just("AND"), Just("OR")],
            inner,
            any::<bool>(),
        )
            .prop_map(|(left, op, right, not)| {
                format!("{}({left} {op} {right})", if not { "NOT " } else { "" })
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn indexes_change_no_answer(
        entities in prop::collection::vec(entity(), 0..25),
        conditions in prop::collection::vec(condition(), 10),
    ) {
        let (_dir, db) = temporary();
        let fields = ["due", "flag", "label", "mixed", "ratio", "seen", "whole"];
        let schema = |indexed: &[&str]| json!({
            "properties": {
                "label": { "type": ["string", "null"] },
                "whole": { "type": ["integer", "null"] },
                "ratio": { "type": ["number", "null"] },
                "flag": { "type": ["boolean", "null"] },
                "due": { "type": ["string", "null"], "format": "date" },
                "seen": { "type": ["string", "null"], "format": "date-time" },
                "mixed": {},
                "n": { "type": "integer" },
            },
            "indexed_fields": indexed,
        });
        db.register_schema("indexed", &schema(&fields)).unwrap();
        db.register_schema("plain", &schema(&[])).unwrap();
        for (n, mut entity) in entities.into_iter().enumerate() {
            entity["n"] = json!(n);
            db.insert("indexed", &entity).unwrap();
            db.insert("plain", &entity).unwrap();
        }
        // DataFusion alone, over the same rows.
        let everything = wait(db.query("SELECT * FROM plain")).unwrap();
        let table = MemTable::try_new(Arc::clone(everything.schema()), vec![everything.batches().to_vec()]).unwrap();
        let reference = SessionContext::new();
        reference.register_table("t", Arc::new(table)).unwrap();
        for condition in conditions {
            let sql = |table: &str| format!("SELECT n FROM {table} WHERE {condition} ORDER BY n");
            let batches = wait(async { reference.sql(&sql("t")).await.unwrap().collect().await.unwrap() });
            let expected: Vec<_> = QueryResult::new(Arc::clone(everything.schema()), batches).rows().collect();
            prop_assert_eq!(&rows(&db, &sql("indexed")), &expected, "with indexes: {}", condition);
            prop_assert_eq!(&rows(&db, &sql("plain")), &expected, "without: {}", condition);
        }
    }
}

#[test]
fn json_is_read_by_path_and_lists_by_what_they_contain() {
    let (_dir, db) = temporary();
    db.register_schema(
        "events",
        &json!({ "properties": {
            "n": { "type": "integer" },
            "body": { "type": "object" },
            "tags": { "type": "array", "items": { "type": "string" } },
        } }),
    )
    .unwrap();
    let bodies = [
        json!({ "n": 1, "body": { "user": { "name": "ada", "age": 36, "ok": true }, "list": [1, "b", null] }, "tags": ["x", "y"] }),
        json!({ "n": 2, "body": { "user": { "name": null, "age": 1.5 } }, "tags": ["x"] }),
        json!({ "n": 3, "tags": [] }),
    ];
    db.insert_batch("events", &bodies).unwrap();
    let column = |expression: &str| -> Vec<Value> {
        let sql = format!("SELECT {expression} AS v FROM events ORDER BY n");
        rows(&db, &sql)
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect()
    };
    let long_path = format!("body{}", " -> 'user'".repeat(900));
    for (expression, expected) in [
        ("body -> 'user' ->> 'name'", json!(["ada", null, null])),
        ("body -> 'user' -> 'name'", json!(["\"ada\"", "null", null])),
        ("body -> 'user' ->> 'age'", json!(["36", "1.5", null])),
        ("body -> 'list' -> 0", json!(["1", null, null])),
        ("body -> 'list' ->> -2", json!(["b", null, null])),
        ("body -> 'list' -> 3", json!([null, null, null])),
        ("json_get_int(body, 'user', 'age')", json!([36, null, null])),
        (
            "json_get_float(body, 'user', 'age')",
            json!([36.0, 1.5, null]),
        ),
        (
            "json_get_bool(body, 'user', 'ok')",
            json!([true, null, null]),
        ),
        (
            "json_get_str(body, 'user', 'name')",
            json!(["ada", null, null]),
        ),
        (
            "json_get_str(body, 'user', 'age')",
            json!([null, null, null]),
        ),
        ("json_get(body, 'user', 'age')", json!(["36", "1.5", null])),
        (
            "json_as_text(body, 'list')",
            json!(["[1,\"b\",null]", null, null]),
        ),
        ("json_length(body, 'list')", json!([3, null, null])),
        ("json_length(body)", json!([2, 1, null])),
        // A chain is one call, so its length does not matter.
        (&long_path, json!([null, null, null])),
        ("json_contains(body, 'list')", json!([true, false, null])),
        (
            "CAST(body -> 'user' ->> 'age' AS DOUBLE) + 1",
            json!([37.0, 2.5, null]),
        ),
        ("json_get_int('{\"a\": 5}', 'a')", json!([5, 5, 5])),
        (
            "upper(body -> 'user' ->> 'name')",
            json!(["ADA", null, null]),
        ),
        (
            "coalesce(body -> 'user' ->> 'name', 'none')",
            json!(["ada", "none", "none"]),
        ),
        ("json_get('no json', 'a')", json!([null, null, null])),
    ] {
        assert_eq!(Value::from(column(expression)), expected, "{expression}");
    }
    let numbers = |condition: &str| -> Vec<i64> {
        let sql = format!("SELECT n FROM events WHERE {condition} ORDER BY n");
        rows(&db, &sql)
            .iter()
            .map(|row| row[0].as_i64().unwrap())
            .collect()
    };
    for (condition, expected) in [
        ("body -> 'user' ->> 'name' = 'ada'", vec![1]),
        ("'ada' = body -> 'user' ->> 'name'", vec![1]),
        ("body -> 'user' ->> 'name' IS NULL AND n < 3", vec![2]),
        ("body -> 'user' ->> 'name' LIKE 'a%'", vec![1]),
        ("json_get_int(body, 'user', 'age') > 30", vec![1]),
        ("tags @> ['x']", vec![1, 2]),
        ("tags @> ['x', 'y']", vec![1]),
        ("array_has(tags, 'y') OR n = 3", vec![1, 3]),
        ("array_has_any(tags, ['y', 'z'])", vec![1]),
    ] {
        assert_eq!(numbers(condition), expected, "{condition}");
    }
    for sql in [
        "SELECT json_get() FROM events",
        "SELECT json_get(n, 'a') FROM events",
        "SELECT body -> 1.5 FROM events",
    ] {
        let error = refusal(&db, sql);
        assert!(
            matches!(error, Error::Query(QueryError::Invalid { .. })),
            "{sql}: {error}"
        );
    }
}
mod functions;
mod insert;
mod search;
mod writes;
