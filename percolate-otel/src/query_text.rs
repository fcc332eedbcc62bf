//! Query text without its data: [`sanitize`] for `db.query.text`, [`summarize`] for
//! `db.query.summary`.
//! Both work on tokens, so quotes in comments and keywords in strings are read correctly. They follow
//! the OpenTelemetry conventions for database spans, with one difference: text with placeholders is
//! sanitised as well, because it can also contain literals.

use std::iter::Peekable;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// The dialect of query text. The database parses queries with the same dialect, so both agree on
/// what is a literal. Double quotes are for names.
#[doc(hidden)]
pub static DIALECT: GenericDialect = GenericDialect {};

/// The maximum length of a summary in characters, as the conventions require.
pub const MAX_SUMMARY: usize = 255;

/// Returns the query with `?` for every literal: strings, numbers, dates, booleans, intervals, binary
/// and hexadecimal.
///
/// Comments are removed, white space is collapsed, and a list of literals after `IN` becomes `(?)`. If
/// the text cannot be tokenised, for example after an unterminated string, the rest becomes one `?`.
///
/// # Examples
/// ```
/// use percolate_otel::query_text::sanitize;
///
/// let sql = "SELECT title FROM articles WHERE author = 'x' AND year IN (1999, 2001) -- secret";
/// assert_eq!(sanitize(sql), "SELECT title FROM articles WHERE author = ? AND year IN (?)");
/// ```
pub fn sanitize(query: &str) -> String {
    let mut tokens = Vec::new();
    let is_whole = Tokenizer::new(&DIALECT, query)
        .tokenize_with_location_into_buf(&mut tokens)
        .is_ok();
    let mut text = String::with_capacity(query.len());
    let mut needs_space = false;
    let mut tokens = tokens.into_iter().map(|token| token.token).peekable();
    while let Some(token) = tokens.next() {
        if matches!(token, Token::Whitespace(_)) {
            needs_space = !text.is_empty();
            continue;
        }
        if std::mem::take(&mut needs_space) {
            text.push(' ');
        }
        if is_literal(&token) {
            text.push('?');
            continue;
        }
        let opens_list = is_keyword(&token, "IN");
        push(&mut text, &token);
        if opens_list {
            needs_space = push_list(&mut text, &mut tokens);
        }
    }
    if !is_whole {
        text.push_str(if text.is_empty() { "?" } else { " ?" });
    }
    text
}

/// Writes `(?)` for a list of literals after `IN`, or as much of it as was read. Returns whether
/// white space follows.
fn push_list(text: &mut String, tokens: &mut Peekable<impl Iterator<Item = Token>>) -> bool {
    let mut spaced = skip_whitespace(tokens);
    if tokens.peek() != Some(&Token::LParen) {
        return spaced;
    }
    if std::mem::take(&mut spaced) {
        text.push(' ');
    }
    text.push('(');
    tokens.next();
    let mut written = false;
    loop {
        skip_whitespace(tokens);
        match tokens.peek() {
            Some(token) if is_literal(token) || matches!(token, Token::Minus | Token::Plus) => {
                if !std::mem::replace(&mut written, true) {
                    text.push('?');
                }
                tokens.next();
            }
            Some(Token::Comma) if written => _ = tokens.next(),
            Some(Token::RParen) => {
                text.push(')');
                tokens.next();
                return false;
            }
            // Not a list of literals: the rest is handled like any other text.
            _ => {
                if written {
                    text.push(',');
                }
                return written;
            }
        }
    }
}

fn skip_whitespace(tokens: &mut Peekable<impl Iterator<Item = Token>>) -> bool {
    let mut any = false;
    while tokens
        .next_if(|token| matches!(token, Token::Whitespace(_)))
        .is_some()
    {
        any = true;
    }
    any
}

fn push(text: &mut String, token: &Token) {
    use std::fmt::Write as _;
    // Writing to a string does not fail.
    _ = write!(text, "{token}");
}

#[doc(hidden)]
pub fn is_keyword(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(keyword))
}

#[doc(hidden)]
pub fn is_literal(token: &Token) -> bool {
    match token {
        Token::Word(_) => is_keyword(token, "TRUE") || is_keyword(token, "FALSE"),
        // Numbers and all kinds of quoted strings, but not placeholders.
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => true,
        _ => false,
    }
}

/// Returns the operations of a query and their targets, in order. The result has a low cardinality and
/// at most [`MAX_SUMMARY`] characters.
///
/// # Examples
/// ```
/// use percolate_otel::query_text::summarize;
///
/// assert_eq!(summarize("SELECT a.title FROM articles a JOIN authors ON a.by = authors.id"), "SELECT articles authors");
/// assert_eq!(summarize("insert into log select * from events"), "INSERT log SELECT events");
/// ```
pub fn summarize(query: &str) -> String {
    let mut tokens = Vec::new();
    // The text before a syntax error is summarised.
    _ = Tokenizer::new(&DIALECT, query).tokenize_with_location_into_buf(&mut tokens);
    let mut tokens = tokens
        .into_iter()
        .map(|token| token.token)
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .peekable();
    let mut summary = Summary::default();
    while let Some(token) = tokens.next() {
        let Token::Word(Word {
            value,
            quote_style: None,
            ..
        }) = &token
        else {
            continue;
        };
        let keyword = value.to_ascii_uppercase();
        match keyword.as_str() {
            "SELECT" | "INSERT" | "DELETE" | "MERGE" | "REPLACE" | "TRUNCATE" | "EXPLAIN"
            | "SHOW" => {
                summary.push(&keyword);
            }
            "UPDATE" | "CALL" | "EXEC" | "EXECUTE" => {
                summary.push(&keyword);
                summary.push_names(&mut tokens);
            }
            "CREATE" | "DROP" | "ALTER" => {
                summary.push(&keyword);
                if let Some(Token::Word(kind)) =
                    tokens.next_if(|token| matches!(token, Token::Word(_)))
                {
                    summary.push(&kind.value.to_ascii_uppercase());
                }
                while tokens
                    .next_if(|token| {
                        ["IF", "NOT", "EXISTS"]
                            .iter()
                            .any(|word| is_keyword(token, word))
                    })
                    .is_some()
                {}
                summary.push_names(&mut tokens);
            }
            "FROM" | "JOIN" | "INTO" | "USING" => summary.push_names(&mut tokens),
            _ => {}
        }
        if summary.is_full {
            break;
        }
    }
    summary.text
}

#[derive(Default)]
struct Summary {
    text: String,
    is_full: bool,
}

impl Summary {
    fn push(&mut self, part: &str) {
        let space = usize::from(!self.text.is_empty());
        if self.is_full || self.text.chars().count() + space + part.chars().count() > MAX_SUMMARY {
            self.is_full = true;
            return;
        }
        if space == 1 {
            self.text.push(' ');
        }
        self.text.push_str(part);
    }

    /// Reads the names of tables after `FROM` and similar words: dotted names in a list, with or without
    /// aliases.
    fn push_names(&mut self, tokens: &mut Peekable<impl Iterator<Item = Token>>) {
        loop {
            let Some(Token::Word(first)) = tokens.next_if(|token| matches!(token, Token::Word(_)))
            else {
                return;
            };
            let mut name = first.to_string();
            while tokens.next_if_eq(&Token::Period).is_some() {
                let Some(Token::Word(next)) =
                    tokens.next_if(|token| matches!(token, Token::Word(_)))
                else {
                    break;
                };
                name.push('.');
                name.push_str(&next.to_string());
            }
            self.push(&name);
            // An alias, possibly followed by another table.
            tokens.next_if(|token| is_keyword(token, "AS"));
            if matches!(tokens.peek(), Some(Token::Word(_))) {
                let mut ahead = AliasThenComma(tokens);
                if !ahead.skip() {
                    return;
                }
            } else if tokens.next_if_eq(&Token::Comma).is_none() {
                return;
            }
        }
    }
}

/// In `FROM a x, b y`, the word after a table is its alias unless it is a keyword that continues the
/// query.
struct AliasThenComma<'a, I: Iterator<Item = Token>>(&'a mut Peekable<I>);

impl<I: Iterator<Item = Token>> AliasThenComma<'_, I> {
    fn skip(&mut self) -> bool {
        const GOES_ON: [&str; 22] = [
            "WHERE",
            "JOIN",
            "INNER",
            "LEFT",
            "RIGHT",
            "FULL",
            "CROSS",
            "NATURAL",
            "ON",
            "USING",
            "GROUP",
            "ORDER",
            "HAVING",
            "LIMIT",
            "OFFSET",
            "UNION",
            "EXCEPT",
            "INTERSECT",
            "SELECT",
            "SET",
            "VALUES",
            "WHEN",
        ];
        if self
            .0
            .peek()
            .is_some_and(|token| GOES_ON.iter().any(|word| is_keyword(token, word)))
        {
            return false;
        }
        self.0.next();
        self.0.next_if_eq(&Token::Comma).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_of_any_form_is_left() {
        let cases = [
            (
                "SELECT 1, -2.5, 1e9, 0xFF, 'a', N'b', X'0a', E'c\\n'",
                "SELECT ?, -?, ?, ?, ?, ?, ?, ?",
            ),
            ("SELECT $$secret$$, $tag$secret$tag$", "SELECT ?, ?"),
            (
                "SELECT DATE '2020-01-01', INTERVAL '1' DAY",
                "SELECT DATE ?, INTERVAL ? DAY",
            ),
            (
                "SELECT * FROM t WHERE ok = TRUE OR ok = false",
                "SELECT * FROM t WHERE ok = ? OR ok = ?",
            ),
            ("SELECT 'it''s' FROM t", "SELECT ? FROM t"),
            ("SELECT /* secret */ a -- secret\nFROM t", "SELECT a FROM t"),
            (
                "SELECT \"a column\" FROM \"a 'table'\"",
                "SELECT \"a column\" FROM \"a 'table'\"",
            ),
            (
                "SELECT * FROM t WHERE a = $1 AND b = ?",
                "SELECT * FROM t WHERE a = $1 AND b = ?",
            ),
            (
                "a IN ( 1 , 'b',-3 )  AND c NOT IN(4)",
                "a IN (?) AND c NOT IN(?)",
            ),
            (
                "a IN (SELECT b FROM c WHERE d = 5)",
                "a IN (SELECT b FROM c WHERE d = ?)",
            ),
            ("a IN (1, b, 2)", "a IN (?, b, ?)"),
            ("SELECT 'unfinished secret", "SELECT ?"),
            ("", ""),
        ];
        for (query, expected) in cases {
            assert_eq!(sanitize(query).replace("  ", " "), expected, "{query}");
        }
    }

    #[test]
    fn a_summary_names_operations_and_targets_in_order() {
        let cases = [
            ("select * from articles where a = 1", "SELECT articles"),
            (
                "SELECT * FROM a x, b AS y, c WHERE x.i = y.i",
                "SELECT a b c",
            ),
            (
                "SELECT * FROM db.articles LEFT JOIN authors ON 1 = 1",
                "SELECT db.articles authors",
            ),
            (
                "SELECT * FROM (SELECT * FROM inner_table) t",
                "SELECT SELECT inner_table",
            ),
            ("UPDATE t SET a = 1", "UPDATE t"),
            ("DELETE FROM t WHERE a = 'from x'", "DELETE t"),
            ("CREATE TABLE IF NOT EXISTS t (a INT)", "CREATE TABLE t"),
            ("SELECT * FROM \"song list\"", "SELECT \"song list\""),
            (
                "WITH r AS (SELECT * FROM a) SELECT * FROM r",
                "SELECT a SELECT r",
            ),
            ("nonsense", ""),
        ];
        for (query, expected) in cases {
            assert_eq!(summarize(query), expected, "{query}");
        }
    }

    #[test]
    fn a_long_summary_is_cut_between_names() {
        let tables: Vec<_> = (0..100).map(|n| format!("table_{n}")).collect();
        let summary = summarize(&format!("SELECT * FROM {}", tables.join(", ")));
        assert!(
            summary.len() <= MAX_SUMMARY && summary.len() > 240,
            "{}",
            summary.len()
        );
        assert!(
            tables
                .iter()
                .any(|table| summary.ends_with(&format!(" {table}")))
        );
    }

    proptest::proptest! {
        #[test]
        fn anything_is_answered_and_quoted_data_never_appears(prefix in "\\PC{0,40}", suffix in "\\PC{0,40}") {
            _ = summarize(&prefix);
            _ = sanitize(&format!("{prefix}{suffix}"));
            assert!(!sanitize(&format!("SELECT 'topsecret' {suffix}")).contains("topsecret"));
        }
    }
}
