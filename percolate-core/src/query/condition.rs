//! [`Condition`], the text after WHERE that selects the entities of a write or a search, and
//! [`Selection`], the query for them.

use std::borrow::Cow;

use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use super::error::QueryError;
use super::tokens::DIALECT;
use crate::database::error::Error;

/// A text that is one condition when it is put in brackets, if it is valid SQL.
pub(super) struct Condition<'a>(Cow<'a, str>);

/// A query for the entities of a table that match a condition.
pub(super) struct Selection {
    pub(super) sql: String,
    /// The number of characters before the condition.
    before: usize,
}

impl<'a> Condition<'a> {
    /// Checks the text of a condition. Refuses an empty one, and one that would end the brackets.
    pub(super) fn new(condition: &'a str) -> Result<Self, QueryError> {
        let mut tokens = Vec::new();
        // The query reports what cannot be read.
        _ = Tokenizer::new(&DIALECT, condition).tokenize_with_location_into_buf(&mut tokens);
        let has_comment = tokens.iter().any(|token| {
            matches!(
                token.token,
                Token::Whitespace(Whitespace::SingleLineComment { .. })
            )
        });
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        let refused = |place, reason: &str| {
            Err(QueryError::Syntax {
                place,
                reason: reason.to_owned(),
            })
        };
        if tokens.is_empty() {
            return refused(None, "the condition is empty; `true` matches all entities");
        }
        let mut open = 0_usize;
        for token in &tokens {
            match token.token {
                Token::LParen => open += 1,
                Token::RParen if open == 0 => {
                    let start = token.span.start;
                    return refused(
                        Some((start.line, start.column)),
                        "the condition has a closing bracket without an opening one",
                    );
                }
                Token::RParen => open -= 1,
                _ => {}
            }
        }
        Ok(Self(if has_comment {
            // The comment may be at the end, and ends with its line.
            Cow::Owned(format!("{condition}\n"))
        } else {
            Cow::Borrowed(condition)
        }))
    }

    /// Returns the query for `columns` of the entities of `table` that match.
    pub(super) fn select(&self, columns: &str, table: &str) -> Selection {
        let before = format!("SELECT {columns} FROM {} WHERE (", quoted(table));
        Selection {
            before: before.chars().count(),
            sql: format!("{before}{})", self.0),
        }
    }
}

impl Selection {
    /// Returns an error of the query with its place in the condition.
    pub(super) fn error(&self, error: Error) -> Error {
        match error {
            Error::Query(QueryError::Syntax {
                place: Some((1, column)),
                reason,
            }) => Error::Query(QueryError::Syntax {
                place: Some((1, column.saturating_sub(self.before as u64))),
                reason,
            }),
            error => error,
        }
    }
}

/// Returns the query for the ids of the entities of a table that match a condition, the text after
/// WHERE, as [`Database::search_where`](crate::Database::search_where) runs it. ORDER BY and LIMIT can
/// be appended.
///
/// ```
/// use percolate_core::query::select_ids;
///
/// let sql = select_ids("articles", "year < $1").unwrap();
/// assert_eq!(sql, "SELECT _id FROM articles WHERE (year < $1)");
/// assert!(select_ids("articles", "true) OR (true").is_err());
/// ```
///
/// # Errors
///
/// [`QueryError::Syntax`] if the condition is empty or closes a bracket that it does not open.
pub fn select_ids(table: &str, condition: &str) -> Result<String, QueryError> {
    Ok(Condition::new(condition)?.select("_id", table).sql)
}

/// Returns the name of a table as it is written in a query.
fn quoted(table: &str) -> Cow<'_, str> {
    let is_plain = table.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && table
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let is_keyword = || ALL_KEYWORDS.contains(&&*table.to_ascii_uppercase());
    if is_plain && !is_keyword() {
        Cow::Borrowed(table)
    } else {
        Cow::Owned(format!("\"{}\"", table.replace('"', "\"\"")))
    }
}
