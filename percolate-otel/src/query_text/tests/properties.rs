//! What holds for any text.

use proptest::prelude::*;

use crate::query_text::tokens::{Kind, Tokens};
use crate::query_text::{Dialect, MAX_SUMMARY, MAX_TEXT};

const DIALECTS: [Dialect; 7] = [
    Dialect::Any,
    Dialect::Ansi,
    Dialect::MySql,
    Dialect::Postgres,
    Dialect::SqlServer,
    Dialect::Oracle,
    Dialect::Command,
];

/// Literals with data in them that can be read in any of the dialects.
const LITERALS: &[&str] = &[
    "'secret'",
    "'a''secret'",
    "'secret''b'",
    "N'secret'",
    "E'secret'",
    "X'secret'",
    "_utf8'secret'",
    "U&'secret'",
    "'/* secret */'",
    "'-- secret'",
    "'[secret]'",
    "'$$ secret'",
    "'q secret'",
    "'it\"s secret'",
    "' # secret'",
    "q'[secret]'",
    "/* secret */",
    "-- secret\n",
    "0xsecret",
    "1secret",
    "$$secret$$",
];

/// Literals of one dialect, which is the one that the text is in.
const OF: &[(Dialect, &[&str])] = &[
    (
        Dialect::MySql,
        &[
            r"'a\'secret'",
            r#""secret""#,
            r#""a\"secret""#,
            r#""it's secret""#,
            "# it's secret\n",
            r"'\\\'secret'",
            r#"'"secret'"#,
            r"_utf8'a\'secret'",
            "-- secret's\n",
        ],
    ),
    (
        Dialect::Postgres,
        &[
            r"E'a\'secret'",
            r"'a\' /* secret' */",
            "$t$it's secret$t$",
            "/* /* ' */ secret */",
            "$$ $t$ secret's $$",
            "B'secret'",
        ],
    ),
    (
        Dialect::SqlServer,
        &[
            "[it's] + 'secret'",
            r"'a\' + 'secret'",
            "/* /* ' */ secret */",
            "'a]' + 'secret'",
        ],
    ),
    (
        Dialect::Oracle,
        &[
            "q'[it's secret]'",
            "nq'{it's secret}'",
            "Q'!'secret!'",
            "q''a'secret''",
        ],
    ),
    (
        Dialect::Ansi,
        &[
            r"'a\' || 'secret'",
            r#""it's" || 'secret'"#,
            r#""""" || 'secret'"#,
        ],
    ),
];

/// Text between literals.
const PIECES: &[&str] = &[
    " ",
    " ",
    "\n",
    ", ",
    " = ",
    "(",
    ")",
    " IN (",
    "SELECT ",
    " FROM ",
    " t",
    " WHERE ",
    " a",
    "-",
    "--",
    "#",
    "/",
    "*",
    "[",
    "]",
    "$",
    "$1",
    "?",
    ":",
    "@",
    "`b`",
    "'",
    "\"",
    "\\",
    "''",
    ";",
    "x",
    "E",
    "q",
    "_",
    "5",
    ".",
    "é",
    "IDENTIFIED BY ",
    "EXEC ",
    "COPY ",
    "STDIN",
    "INSERT ",
    "FORMAT ",
    "CSV",
    "REPLACE ",
    "=",
    "CREATE USER ",
    "PASSWORD ",
    "{",
    "}",
];

/// Text that is clear in most dialects.
const CLEAR_PIECES: &[&str] = &[
    " ",
    "\n",
    ", ",
    " = ",
    "( ",
    ") ",
    " IN (",
    "SELECT ",
    " FROM ",
    " a ",
    "- ",
    "] ",
    "[b] ",
    "$1 ",
    "? ",
    ": ",
    "@",
    "`b c` ",
    "'x' ",
    "\"y\" ",
    "; ",
    "é ",
    "5 ",
    ". ",
    "-- \n",
    "/* c */",
    "EXEC p a ",
    "IN (1,2) ",
    "IN (1, ",
    "true ",
    "long_name_of_a_column ",
];

fn text_of(
    pieces: &'static [&'static str],
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(pieces);
    proptest::collection::vec(piece, count).prop_map(|pieces| pieces.concat())
}

/// Text of complete literals and names in one dialect, separated by code that cannot join them.
fn well_formed() -> impl Strategy<Value = (Dialect, String)> {
    const BETWEEN: &[&str] = &[
        " , ",
        " = ",
        " AND a IN (",
        ") ",
        " FROM t WHERE b < ",
        " + c . d ",
        "; SELECT ",
    ];
    proptest::sample::select(OF).prop_flat_map(|(dialect, own)| {
        let literal = prop_oneof![
            proptest::sample::select(own),
            proptest::sample::select(LITERALS)
        ];
        let part = (literal, proptest::sample::select(BETWEEN))
            .prop_map(|(literal, between)| format!("{literal}{between}"));
        proptest::collection::vec(part, 1..12)
            .prop_map(move |parts| (dialect, format!("SELECT {}", parts.concat())))
    })
}

fn check_any(query: &str) {
    for dialect in DIALECTS {
        let text = dialect.sanitize(query);
        assert!(text.len() <= MAX_TEXT);
        assert_eq!(dialect.sanitize(&text), text, "{dialect:?}: {query:?}");
        assert!(dialect.summarize(query).chars().count() <= MAX_SUMMARY);
        let tokens: String = Tokens::new(query, dialect)
            .map(|token| token.text)
            .collect();
        assert_eq!(tokens, query);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_and_sanitised_text_stays(query in "\\PC{0,60}") {
        check_any(&query);
    }

    #[test]
    fn any_bytes_are_read(query in any::<String>()) {
        check_any(&query);
    }

    #[test]
    fn text_of_quotes_and_comments_is_read_and_stays(query in text_of(PIECES, 0..24)) {
        check_any(&query);
    }

    #[test]
    fn data_in_a_literal_never_appears((dialect, query) in well_formed()) {
        for dialect in [dialect, Dialect::Any] {
            let (text, summary) = (dialect.sanitize(&query), dialect.summarize(&query));
            prop_assert!(!text.contains("secret"), "{dialect:?}: {query:?} -> {text:?}");
            prop_assert!(!summary.contains("secret"), "{dialect:?}: {query:?} -> {summary:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn text_that_was_cut_stays(query in text_of(CLEAR_PIECES, 2000..2500)) {
        check_any(&query);
    }
}

#[test]
fn a_long_hostile_text_is_read_once() {
    for piece in [
        "'",
        "\"",
        "`",
        "[",
        "$",
        "$$",
        "$a",
        "#",
        "-",
        "--",
        "/*",
        "*/",
        "//",
        "\\",
        "''",
        "q'[",
        "E'\\",
        "(",
        "IN (",
        "IN (1,",
        "1.",
        "1e+",
        "DELETE a ",
        "a.",
        ", ",
        "[a",
        "``",
        "$1$a$",
        "SELECT (",
        "WITH ",
        "UNION ",
        "IDENTIFIED BY PASSWORD ",
        "?",
        "{",
        "/*/",
        "a-",
    ] {
        for dialect in DIALECTS {
            let length = if dialect == Dialect::Any {
                1_000_000
            } else {
                50_000
            };
            let query = piece.repeat(length / piece.len());
            // Each byte belongs to one token, and a token without an end is the last one.
            let (mut read, mut ended) = (0, false);
            for token in Tokens::new(&query, dialect) {
                assert!(!ended && !token.text.is_empty());
                read += token.text.len();
                ended = token.kind == Kind::Unclear;
            }
            assert_eq!(read, query.len());
            assert!(dialect.sanitize(&query).len() <= MAX_TEXT);
            assert!(dialect.summarize(&query).len() <= MAX_SUMMARY);
        }
    }
}
