//! The text and the summary of statements without their data.

use std::time::{Duration, Instant};

use percolate_core::otel::query_text::{Dialect, MAX_SUMMARY, MAX_TEXT};

use crate::input::Input;

const DIALECTS: [Dialect; 7] = [
    Dialect::Any,
    Dialect::Ansi,
    Dialect::MySql,
    Dialect::Postgres,
    Dialect::SqlServer,
    Dialect::Oracle,
    Dialect::Command,
];

/// The data in generated statements, as a word and as digits.
const WORD: &str = "canary";
const DIGITS: &str = "739184620";

const CODE: [&str; 64] = [
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "(",
    ")",
    ",",
    "=",
    "<",
    ">=",
    "<>",
    "+",
    "-",
    "*",
    "/",
    "||",
    ".",
    "AS",
    "articles",
    "a",
    "title",
    "\n",
    "\t",
    "INSERT INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "JOIN",
    "ON",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "LIKE",
    "BETWEEN",
    "IS",
    "NULL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "INTERVAL",
    "DATE",
    "TIMESTAMP",
    "WITH",
    "UNION",
    "ALL",
    "DISTINCT",
    "HAVING",
    "CREATE TABLE",
    "DROP TABLE",
    "CALL",
    "count(*)",
    "lower(",
    "?",
    "year",
    "EXISTS",
    ";",
];

/// Replaces the data in any text, and in statements that are generated.
///
/// Any text: nothing panics, the limits of lengths hold, replacing again changes nothing, and the time
/// is about linear. Generated statements: no data is left.
pub fn statements(data: &[u8]) {
    let mut input = Input::new(data);
    let dialect = input.pick(&DIALECTS);
    match input.byte() % 4 {
        0 | 1 => any_text(dialect, &String::from_utf8_lossy(input.rest())),
        2 => long_text(dialect, &String::from_utf8_lossy(input.rest())),
        _ => generated(dialect, input),
    }
}

fn any_text(dialect: Dialect, text: &str) {
    let replaced = dialect.sanitize(text);
    assert!(replaced.len() <= MAX_TEXT);
    assert_eq!(dialect.sanitize(&replaced), replaced, "of {text:?}");
    assert!(dialect.summarize(text).chars().count() <= MAX_SUMMARY);
}

fn long_text(dialect: Dialect, text: &str) {
    const LENGTH: usize = 64 << 10;
    const LIMIT: Duration = Duration::from_secs(10);
    if text.is_empty() {
        return;
    }
    let long = text.repeat(LENGTH.div_ceil(text.len()));
    let started = Instant::now();
    any_text(dialect, &long);
    assert!(
        started.elapsed() < LIMIT,
        "{:?} for {} bytes, repeated from {text:?}",
        started.elapsed(),
        long.len()
    );
}

fn generated(dialect: Dialect, mut input: Input<'_>) {
    let mut text = String::new();
    while !input.is_empty() && text.len() < MAX_TEXT {
        if input.one_in(4) {
            literal(dialect, &mut input, &mut text);
        } else {
            text.push_str(input.pick(&CODE));
        }
        text.push(' ');
    }
    for reader in [dialect, Dialect::Any] {
        // In any dialect, text in double quotes is a name in a summary where only tables are possible.
        let summary = match (reader, dialect) {
            (Dialect::Any, Dialect::MySql) => String::new(),
            _ => reader.summarize(&text),
        };
        for shown in [reader.sanitize(&text), summary] {
            assert!(
                !shown.contains(WORD) && !shown.contains(DIGITS),
                "{reader:?} shows data: {shown:?} of {text:?}"
            );
        }
    }
}

/// Appends a literal or a comment of the dialect.
fn literal(dialect: Dialect, input: &mut Input<'_>, text: &mut String) {
    // `@` stands for a word and `~` for digits.
    const FORMS: [&str; 12] = [
        "'@'", "'a''@'", "'''@'", "'@;--'", "~", "-~", "~.5e-~", "0.~", "N'@'", "X'~'", "/* @ */",
        "-- @\n",
    ];
    let of_dialect: &[&str] = match dialect {
        Dialect::MySql => &["\"@\"", "'\\'@'", "\"a\\\"@\"", "# @\n", "0x~", "_utf8'@'"],
        Dialect::Postgres => &[
            "E'\\'@'",
            "$$@$$",
            "$t$ ' @ $t$",
            "U&'@'",
            "B'@'",
            "/* /* @ */ @ */",
        ],
        Dialect::SqlServer => &["$~.50", "0x~", "N'it''s @'"],
        Dialect::Oracle => &["q'[@]'", "q'[@']'", "q'{it's @}'", "nq'!@!'", "DATE '@'"],
        _ => &["'@ (@)'"],
    };
    let form = if input.one_in(3) {
        input.pick(of_dialect)
    } else {
        input.pick(&FORMS)
    };
    text.push_str(&form.replace('@', WORD).replace('~', DIGITS));
}
