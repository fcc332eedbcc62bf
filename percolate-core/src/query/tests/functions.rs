//! The memory of functions is bounded, and computing does not delay the caller.
//!
//! Before, with the default limit: `length(repeat('x', 800000000))` took 3.2 GB, `replace` and
//! `regexp_replace` 4 GB, `range(0, 100000000)` 0.9 GB, `arrow_cast(NULL, 'FixedSizeList(…)')` ended
//! the process, and `repeat` over the rows of a table panicked in the task of the caller.

use std::time::{Duration, Instant};

use super::*;
use crate::query::budget::Budget;

/// A database with the hundred articles of [`library`] and this memory limit.
fn limited(memory_limit: usize) -> (tempfile::TempDir, Database) {
    let (dir, db) = library();
    drop(db);
    let options = DatabaseOptions::new().query_memory_limit(memory_limit);
    let db = Database::open_with(dir.path(), options).unwrap();
    (dir, db)
}

/// Returns the function that exceeded the limit.
fn too_large(db: &Database, sql: &str) -> String {
    match refusal(db, sql) {
        Error::Query(QueryError::FunctionMemory { function, limit }) => {
            assert_eq!(limit, LIMIT, "{sql}");
            function
        }
        other => panic!("{sql}: {other:?}"),
    }
}

const LIMIT: usize = 16 << 20;

#[test]
fn a_function_does_not_produce_more_than_the_memory_limit() {
    let (_dir, db) = limited(LIMIT);
    let started = Instant::now();
    for (sql, function) in [
        ("SELECT length(repeat('x', 2000000000))", "repeat"),
        (
            "SELECT length(repeat(slug, 2000000000)) FROM articles",
            "repeat",
        ),
        (
            "SELECT length(repeat(slug, 100000)) FROM articles",
            "repeat",
        ),
        ("SELECT length(lpad(slug, 20000000)) FROM articles", "lpad"),
        (
            "SELECT length(rpad(slug, 20000000, 'ä')) FROM articles",
            "rpad",
        ),
        ("SELECT array_length(range(0, 300000000))", "range"),
        (
            "SELECT array_length(range(0, year * 100000)) FROM articles",
            "range",
        ),
        (
            "SELECT array_length(generate_series(300000000, 0, -1))",
            "generate_series",
        ),
        (
            "SELECT array_length(generate_series(DATE '1900-01-01', DATE '2100-01-01', INTERVAL '1 second'))",
            "generate_series",
        ),
        (
            "SELECT array_length(range(TIMESTAMP '2000-01-01', TIMESTAMP '2020-01-01', INTERVAL '1 minute'))",
            "range",
        ),
        (
            "SELECT array_length(array_repeat(year, 10000000)) FROM articles",
            "array_repeat",
        ),
        (
            "SELECT array_length(array_repeat(tags, 100000)) FROM articles",
            "array_repeat",
        ),
        (
            "SELECT array_length(array_resize([1], 100000000, 0))",
            "array_resize",
        ),
        (
            "SELECT array_length(array_resize(tags, 1000000, slug)) FROM articles",
            "array_resize",
        ),
        (
            "SELECT length(replace(repeat('x', 100000), 'x', repeat('y', 10000)))",
            "replace",
        ),
        (
            "SELECT length(replace(repeat('x', 100000), '', repeat('y', 10000)))",
            "replace",
        ),
        (
            "SELECT length(regexp_replace(repeat('x', 100000), 'x', repeat('y', 10000), 'g'))",
            "regexp_replace",
        ),
        (
            "SELECT length(regexp_replace(repeat('x', 100000), '(.*)', repeat('\\1', 10000)))",
            "regexp_replace",
        ),
        (
            "SELECT length(array_to_string(range(0, 100000), repeat('x', 10000)))",
            "array_to_string",
        ),
        (
            "SELECT array_length(array_replace_all(array_repeat('x', 100000), 'x', repeat('y', 10000)))",
            "array_replace_all",
        ),
        (
            "WITH a AS (SELECT repeat(slug, 1000) AS x FROM articles), \
                  b AS (SELECT concat(x, x, x) AS x FROM a), \
                  c AS (SELECT concat(x, x, x) AS x FROM b) \
             SELECT length(concat(x, x, x)) FROM c",
            "concat",
        ),
        (
            "WITH a AS (SELECT repeat(slug, 1000) AS x FROM articles), \
                  b AS (SELECT x || x || x AS x FROM a), c AS (SELECT x || x || x AS x FROM b) \
             SELECT length(x || x || x) FROM c",
            "||",
        ),
        // Each result fits, and all of them together do not.
        (
            "SELECT repeat(slug, 9000), repeat(slug, 9001), repeat(slug, 9002) FROM articles",
            "repeat",
        ),
        (
            "SELECT repeat('x', 6000000), repeat('y', 6000000), repeat('z', 6000000)",
            "repeat",
        ),
    ] {
        assert_eq!(too_large(&db, sql), function, "{sql}");
    }
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_mins(1), "{elapsed:?}");
    assert_eq!(
        json!(rows(&db, "SELECT length(repeat('x', 5000000))")),
        json!([[5_000_000]]),
        "nothing is left of the refused queries"
    );
    assert_eq!(db.core.engine().memory_pool().reserved(), 0);
}

#[test]
fn a_constant_is_repeated_for_as_many_rows_as_fit() {
    let (_dir, db) = limited(LIMIT);
    for sql in [
        "SELECT sum(length(t)) FROM (SELECT repeat('x', 1000000) || slug AS t FROM articles)",
        "SELECT sum(length(CASE WHEN open THEN repeat('x', 1000010) ELSE repeat('y', 1000010) END)) FROM articles",
        "SELECT sum(length(coalesce(CASE WHEN open THEN repeat('x', 1000010) END, repeat('y', 1000010)))) FROM articles",
    ] {
        assert_eq!(json!(rows(&db, sql)), json!([[100_001_000]]), "{sql}");
    }
    let long = "x".repeat(1_000_000);
    let sql = "SELECT sum(length(t)) FROM (SELECT CASE WHEN year IS NULL THEN slug ELSE $1 END AS t FROM articles)";
    let found = wait(db.query_with(sql, &[json!(long)])).unwrap();
    assert_eq!(
        json!(found.rows().collect::<Vec<_>>()),
        json!([[90_000_100]])
    );
    // The rows of the result do not fit.
    let error = refusal(&db, "SELECT repeat('x', 1000000) AS t FROM articles");
    assert!(
        matches!(error, Error::Query(QueryError::Memory { limit: LIMIT })),
        "{error:?}"
    );
}

#[test]
fn aggregates_and_batches_are_bounded_too() {
    let (_dir, db) = limited(LIMIT);
    for sql in [
        "SELECT length(string_agg(repeat(slug, 10000), ',')) FROM articles, generate_series(1, 10)",
        "SELECT array_length(array_agg(repeat(slug, 10000))) FROM articles, generate_series(1, 10)",
    ] {
        let error = refusal(&db, sql);
        assert!(
            matches!(
                error,
                Error::Query(QueryError::Memory { .. } | QueryError::FunctionMemory { .. })
            ),
            "{sql}: {error:?}"
        );
    }
    for sql in [
        "SELECT arrow_cast(NULL, 'FixedSizeList(100000000, Int64)') FROM articles",
        "SELECT arrow_cast(NULL, 'FixedSizeBinary(1000000000)') FROM articles",
        "SELECT arrow_try_cast(NULL, 'FixedSizeBinary(1000000000)') FROM articles",
        "SELECT arrow_cast(NULL, 'Struct(\"a\": FixedSizeBinary(1000000000))') FROM articles",
    ] {
        let error = refusal(&db, sql);
        assert!(
            matches!(error, Error::Query(QueryError::Unsupported { .. })),
            "{sql}: {error:?}"
        );
    }
}

#[test]
fn functions_that_stay_within_the_limit_return_what_they_did() {
    let (_dir, db) = limited(LIMIT);
    let plain = SessionContext::new();
    for expression in [
        "repeat('ab', 3)",
        "lpad('ab', 5, 'xy')",
        "rpad('ab', -1)",
        "range(3)",
        "range(10, 0, -3)",
        "range(1, 5, -1)",
        "generate_series(DATE '2026-01-01', DATE '2026-03-01', INTERVAL '1 month')",
        "array_repeat([1, 2], 2)",
        "array_resize([1, 2], 4, 9)",
        "replace('banana', 'an', 'AN')",
        "regexp_replace('banana', '(an)', '<\\1>', 'g')",
        "regexp_replace('Banana', 'B(a)', '$1', 'i')",
        "concat('a', NULL, 'b', 1)",
        "concat_ws('-', 'a', NULL, 'b')",
        "'a' || 'b' || 1 || 'c'",
        "'a' || NULL || 'b'",
        "[1] || [2, 3]",
        "array_to_string([1, NULL, 3], '-', '?')",
        "coalesce(NULL, 'b') || substr('abc', 2)",
        "make_array('a', 'b')",
        "named_struct('a', 1, 'b', 'x')",
        "overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4)",
    ] {
        let sql = format!("SELECT {expression} AS v");
        let expected = wait(async { plain.sql(&sql).await?.collect().await });
        let schema = expected.as_ref().ok().map(|batches| batches[0].schema());
        let expected = expected.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let expected = QueryResult::new(schema.unwrap(), expected).to_json();
        let found = wait(db.query(&sql)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(found.to_json(), expected, "{sql}");
    }
    let sql = "SELECT slug || '-' || author || '-' || year AS t FROM articles WHERE slug || author = 'article-07dee'";
    assert_eq!(json!(rows(&db, sql)), json!([["article-07-dee-2007"]]));
}

#[test]
fn the_error_of_a_function_has_no_value() {
    let (_dir, db) = limited(LIMIT);
    let error = refusal(&db, "SELECT length(repeat('secret', 2000000000))");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("repeat") && text.contains("query_memory_limit"),
        "{text}"
    );
    assert!(
        !text.contains("secret") && !text.contains("2000000000"),
        "{text}"
    );
}

#[test]
fn a_panic_is_an_error_and_the_next_query_works() {
    let (_dir, db) = library();
    let engine = db.core.clone();
    let panicking = move |stop: &budget::Stop| -> Result<(), Error> {
        let _entered = Budget::enter(&engine.engine().memory_pool(), stop.clone());
        Budget::current().unwrap().reserve(1000, "repeat").unwrap();
        panic!("a secret value");
    };
    let error = wait(threads::on_thread(&db.core.engine().threads(), panicking)).unwrap_err();
    assert!(
        matches!(error, Error::Query(QueryError::Panicked)),
        "{error:?}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(rows(&db, "SELECT slug FROM articles").len(), 100);
    assert_eq!(db.core.engine().memory_pool().reserved(), 0);
}

#[test]
fn a_time_out_takes_effect_while_a_batch_is_computed() {
    let (_dir, db) = library();
    // One call of one function, which takes seconds.
    let sql = "SELECT levenshtein(repeat('ab', 3000), repeat('ba', 3000))";
    wait(async {
        let started = Instant::now();
        let limit = Duration::from_millis(100);
        assert!(tokio::time::timeout(limit, db.query(sql)).await.is_err());
        let elapsed = started.elapsed();
        // The executor of the caller goes on.
        assert_eq!(db.query("SELECT 1").await.unwrap().num_rows(), 1);
        let started = Instant::now();
        db.query(sql).await.unwrap();
        let whole = started.elapsed();
        assert!(elapsed < whole / 2, "{elapsed:?} of {whole:?}");
    });
}

#[test]
fn closing_waits_for_dropped_queries() {
    let (dir, db) = library();
    let sql = "SELECT levenshtein(repeat('ab', 1500), repeat('ba', 1500))";
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = Duration::from_millis(50);
        assert!(tokio::time::timeout(limit, db.query(sql)).await.is_err());
    });
    db.close().unwrap();
    Database::open(dir.path()).expect("the directory should be released");
}

#[test]
fn more_queries_than_threads_do_not_block_each_other() {
    let (_dir, db) = library();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let queries = (0..10).map(|_| db.query("SELECT count(*) FROM articles a, articles b"));
        for result in futures_util::future::join_all(queries).await {
            assert_eq!(result.unwrap().to_json(), [json!({ "count(*)": 10_000 })]);
        }
    });
}
