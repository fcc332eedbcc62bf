//! Queries, from a grammar and from any text.

use std::sync::LazyLock;
use std::time::Duration;

use percolate_core::query::QueryError;
use percolate_core::{Database, DatabaseOptions, Error};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::input::Input;

/// What all constants of generated queries contain, as a word and as digits.
const WORD: &str = "canary";
const DIGITS: &str = "739184620";

const TIME: Duration = Duration::from_secs(20);

const COLUMNS: [&str; 10] = [
    "year",
    "title",
    "price",
    "open",
    "tags",
    "size",
    "_id",
    "_created_at",
    "a.year",
    "missing",
];
const SCALARS: [&str; 60] = [
    "abs",
    "ceil",
    "round",
    "sqrt",
    "power",
    "log",
    "ln",
    "exp",
    "gcd",
    "lcm",
    "factorial",
    "trunc",
    "signum",
    "lower",
    "upper",
    "length",
    "octet_length",
    "trim",
    "btrim",
    "lpad",
    "rpad",
    "repeat",
    "replace",
    "reverse",
    "left",
    "right",
    "substr",
    "split_part",
    "strpos",
    "translate",
    "initcap",
    "ascii",
    "chr",
    "concat",
    "concat_ws",
    "to_hex",
    "starts_with",
    "levenshtein",
    "overlay",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "regexp_replace",
    "regexp_match",
    "regexp_like",
    "date_part",
    "date_trunc",
    "date_bin",
    "to_timestamp",
    "from_unixtime",
    "md5",
    "sha256",
    "encode",
    "decode",
    "make_array",
    "array_length",
    "array_repeat",
    "range",
    "arrow_typeof",
];
const AGGREGATES: [&str; 14] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "stddev",
    "var_pop",
    "array_agg",
    "string_agg",
    "bool_and",
    "bit_xor",
    "first_value",
    "approx_distinct",
];
const OPERATORS: [&str; 20] = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "AND",
    "OR",
    "||",
    "LIKE",
    "ILIKE",
    "~",
    "IS DISTINCT FROM",
    "&",
    "<<",
];
const TYPES: [&str; 10] = [
    "BIGINT",
    "INT",
    "DOUBLE",
    "VARCHAR",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "DECIMAL(10, 2)",
    "INTERVAL",
    "TINYINT",
];

struct Tables {
    db: Database,
    runtime: Runtime,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory can be created");
    let options = DatabaseOptions::new().query_memory_limit(8 << 20);
    let db = Database::open_with(directory.path(), options).expect("a database can be created");
    let schema = json!({
        "properties": {
            "title": { "type": "string" },
            "year": { "type": "integer" },
            "price": { "type": "number" },
            "open": { "type": "boolean" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "size": { "type": "object" },
        },
        "key_field": "title",
        "indexed_fields": ["year", "open"],
    });
    for table in ["articles", "authors"] {
        db.register_schema(table, &schema)
            .expect("the schema is valid");
        for number in 0..7_i32 {
            let article = json!({
                "title": format!("article {number}"),
                "year": if number == 3 { i64::MAX } else { 1990 + i64::from(number) },
                "price": f64::from(number) / 4.0,
                "open": number % 2 == 0,
                "tags": ["a", "b"],
                "size": { "pages": number },
            });
            db.insert(table, &article).expect("the article is valid");
        }
    }
    // The entities are in memory. Without the directory, nothing is left behind.
    drop(directory);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be created");
    Tables { db, runtime }
});

/// Runs a query. It has a result or a typed error in time, nothing panics, and the error shows no
/// constant of a generated query.
pub fn sql(data: &[u8]) {
    let mut input = Input::new(data);
    let generated = !input.one_in(8);
    let text = if generated {
        let mut text = String::new();
        query(&mut input, &mut text, 3);
        text
    } else {
        String::from_utf8_lossy(input.rest()).into_owned()
    };
    let Tables { db, runtime } = &*TABLES;
    let result = runtime.block_on(async { tokio::time::timeout(TIME, db.query(&text)).await });
    let Ok(result) = result else {
        panic!("no result in {TIME:?}: {text}");
    };
    let Err(error) = result else {
        return;
    };
    assert!(
        matches!(&error, Error::Query(error) if *error != QueryError::Panicked)
            || matches!(error, Error::UnknownTable { .. }),
        "{error:?} of {text}"
    );
    let shown = format!("{error} {error:?}");
    assert!(
        !generated || (!shown.contains(WORD) && !shown.contains(DIGITS)),
        "{shown} of {text}"
    );
}

fn query(input: &mut Input<'_>, text: &mut String, depth: u8) {
    text.push_str("SELECT ");
    text.push_str(input.pick(&["", "", "", "DISTINCT "]));
    let aggregated = input.one_in(4);
    for item in 0..=input.below(3) {
        if item > 0 {
            text.push_str(", ");
        }
        if aggregated || input.one_in(8) {
            aggregate(input, text, depth);
        } else {
            expression(input, text, depth);
        }
    }
    if input.one_in(8) {
        return;
    }
    text.push_str(" FROM ");
    table(input, text, depth);
    text.push_str(" AS a");
    if input.one_in(8) {
        text.push_str(input.pick(&[" JOIN ", " LEFT JOIN ", " FULL JOIN "]));
        table(input, text, depth);
        text.push_str(" AS b ON a.year = b.year");
    }
    if input.one_in(2) {
        text.push_str(" WHERE ");
        expression(input, text, depth);
    }
    if aggregated && input.one_in(2) {
        text.push_str(" GROUP BY ");
        expression(input, text, 1);
        if input.one_in(2) {
            text.push_str(" HAVING ");
            expression(input, text, depth.min(1));
        }
    }
    if input.one_in(4) {
        text.push_str(" ORDER BY ");
        expression(input, text, 1);
        text.push_str(input.pick(&["", " DESC", " NULLS FIRST"]));
    }
    if input.one_in(8) {
        text.push_str(" LIMIT ");
        text.push_str(input.pick(&["0", "3", "-1", "9223372036854775807", "1 + 1"]));
    }
    if depth > 1 && input.one_in(8) {
        text.push_str(input.pick(&[" UNION ALL ", " EXCEPT ", " INTERSECT "]));
        query(input, text, depth - 1);
    }
}

fn table(input: &mut Input<'_>, text: &mut String, depth: u8) {
    if depth > 0 && input.one_in(8) {
        text.push('(');
        query(input, text, depth - 1);
        text.push(')');
    } else {
        text.push_str(input.pick(&["articles", "articles", "authors", "missing"]));
    }
}

fn literal(input: &mut Input<'_>, text: &mut String) {
    let form = input.pick(&[
        "'@'",
        "'@ '' %'",
        "#",
        "-#",
        "#.25",
        "#e300",
        "1",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "NULL",
        "TRUE",
        "''",
        "'a_%'",
        "DATE '2024-02-30'",
        "INTERVAL '1 month'",
        "TIMESTAMP '2024-01-01T00:00:00'",
        "X'00ff'",
        "'ä\u{1f600}'",
        "'('",
        "100000000",
        "['@', 'b']",
        "{'a': 1}",
    ]);
    text.push_str(&form.replace('@', WORD).replace('#', DIGITS));
}

fn expressions(input: &mut Input<'_>, text: &mut String, depth: u8, most: usize) {
    for item in 0..=input.below(most) {
        if item > 0 {
            text.push_str(", ");
        }
        expression(input, text, depth);
    }
}

fn expression(input: &mut Input<'_>, text: &mut String, depth: u8) {
    if depth == 0 {
        return match input.byte() % 2 {
            0 => text.push_str(input.pick(&COLUMNS)),
            _ => literal(input, text),
        };
    }
    let depth = depth - 1;
    match input.byte() % 16 {
        0..=2 => text.push_str(input.pick(&COLUMNS)),
        3 | 4 => literal(input, text),
        5..=7 => {
            text.push('(');
            expression(input, text, depth);
            text.push(' ');
            text.push_str(input.pick(&OPERATORS));
            text.push(' ');
            expression(input, text, depth);
            text.push(')');
        }
        8..=10 => {
            text.push_str(input.pick(&SCALARS));
            text.push('(');
            expressions(input, text, depth, 4);
            text.push(')');
        }
        11 => {
            text.push_str("CAST(");
            expression(input, text, depth);
            text.push_str(" AS ");
            text.push_str(input.pick(&TYPES));
            text.push(')');
        }
        12 => {
            text.push_str("CASE WHEN ");
            expression(input, text, depth);
            text.push_str(" THEN ");
            expression(input, text, depth);
            text.push_str(" ELSE ");
            expression(input, text, depth);
            text.push_str(" END");
        }
        13 => {
            expression(input, text, depth);
            text.push_str(input.pick(&[" IN (", " NOT IN ("]));
            expressions(input, text, depth, 4);
            text.push(')');
        }
        14 => {
            expression(input, text, depth);
            text.push_str(input.pick(&[
                " IS NULL",
                " IS NOT TRUE",
                "[1]",
                "::VARCHAR",
                " BETWEEN 1 AND 2",
            ]));
        }
        _ => {
            text.push_str(input.pick(&["(", "EXISTS (", "year IN (", "NOT EXISTS ("]));
            query(input, text, depth.min(1));
            text.push(')');
        }
    }
}

fn aggregate(input: &mut Input<'_>, text: &mut String, depth: u8) {
    text.push_str(input.pick(&AGGREGATES));
    text.push('(');
    if input.one_in(8) {
        text.push('*');
    } else {
        expressions(input, text, depth.saturating_sub(1), 2);
    }
    text.push(')');
    if input.one_in(4) {
        text.push_str(input.pick(&[
            " OVER ()",
            " OVER (PARTITION BY open ORDER BY year)",
            " OVER (ORDER BY year ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            " FILTER (WHERE year > 1991)",
        ]));
    }
}
