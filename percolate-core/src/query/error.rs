//! The errors of queries, and their translation from DataFusion's.
//!
//! A message may name what the query names: tables, columns, functions and keywords. It never
//! contains a constant of the query or a value of the data; both are removed from DataFusion's
//! messages.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use datafusion::common::SchemaError as ColumnError;
use datafusion::error::DataFusionError;

use super::budget::FunctionTooLarge;
use crate::otel::ErrorType;

/// The error of a query that was rejected or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query was not run in a tokio runtime.
    #[error("a query needs a tokio runtime; call it from async code that runs on tokio")]
    NoRuntime,
    /// The text contains no statement.
    #[error("the query is empty; write a SELECT")]
    Empty,
    /// The text contains several statements.
    #[error("the query contains {count} statements; run them one by one")]
    SeveralStatements {
        /// The number of statements.
        count: usize,
    },
    /// The text is not valid SQL.
    #[error("syntax error{}: {reason}", Place(place))]
    Syntax {
        /// Line and column, both starting at 1, if known.
        place: Option<(u64, u64)>,
        /// What was expected.
        reason: String,
    },
    /// The query is too long or nested too deeply.
    #[error("the query is too large: {reason}")]
    TooLarge {
        /// What exceeds a limit.
        reason: String,
    },
    /// The statement does not only read tables.
    #[error("{statement} is not allowed: queries are read-only. {instead}")]
    Refused {
        /// The statement's keyword, or a description of it.
        statement: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// The column does not exist.
    #[error("column `{column}` does not exist; {}", Columns { column, known })]
    UnknownColumn {
        /// The name of the missing column.
        column: String,
        /// The columns that exist.
        known: Vec<String>,
    },
    /// The parameters do not match the placeholders.
    #[error("parameter ${position}: {reason}")]
    Parameter {
        /// The position of the parameter, starting at 1.
        position: usize,
        /// The problem with it.
        reason: &'static str,
    },
    /// A placeholder has a name instead of a position.
    #[error("placeholder `{placeholder}` is not supported; write `$1`, `$2` and so on")]
    Placeholder {
        /// The placeholder.
        placeholder: String,
    },
    /// The query cannot be planned, for example because of mismatched types or unknown functions.
    #[error("invalid query: {reason}")]
    Invalid {
        /// DataFusion's message, without values.
        reason: String,
    },
    /// The query uses a feature that is not supported.
    #[error("the query uses an unsupported feature: {reason}")]
    Unsupported {
        /// DataFusion's message, without values.
        reason: String,
    },
    /// The query failed during execution, for example because of a division by zero.
    #[error("the query failed: {reason}")]
    Failed {
        /// DataFusion's message, without values.
        reason: String,
    },
    /// The query exceeded the memory limit.
    #[error(
        "the query needs more memory than the limit of {limit} bytes for all queries; select fewer rows or columns, \
         or raise `query_memory_limit`"
    )]
    Memory {
        /// The limit in bytes.
        limit: usize,
    },
    /// The result of a function would exceed the memory limit.
    #[error(
        "the result of `{function}` needs more memory than the limit of {limit} bytes for all queries; make it \
         smaller, or raise `query_memory_limit`"
    )]
    FunctionMemory {
        /// The name of the function or of the operator.
        function: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The query panicked, which is an error in DataFusion or in percolate.
    #[error(
        "the query failed with a panic, which is a bug of percolate or of DataFusion; please report it with the \
         backtrace on standard error"
    )]
    Panicked,
}

impl ErrorType for QueryError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoRuntime => "QueryNoRuntime",
            Self::Empty => "QueryEmpty",
            Self::SeveralStatements { .. } => "QuerySeveralStatements",
            Self::Syntax { .. } => "QuerySyntax",
            Self::TooLarge { .. } => "QueryTooLarge",
            Self::Refused { .. } => "QueryRefused",
            Self::UnknownColumn { .. } => "QueryUnknownColumn",
            Self::Parameter { .. } | Self::Placeholder { .. } => "QueryParameter",
            Self::Invalid { .. } => "QueryInvalid",
            Self::Unsupported { .. } => "QueryUnsupported",
            Self::Failed { .. } => "QueryFailed",
            Self::Memory { .. } => "QueryMemory",
            Self::FunctionMemory { .. } => "QueryFunctionMemory",
            Self::Panicked => "QueryPanicked",
        })
    }
}

/// Prints the position in the text.
struct Place<'a>(&'a Option<(u64, u64)>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(formatter, " at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

/// Prints the columns that exist, or the hint that a name needs double quotes.
struct Columns<'a> {
    column: &'a str,
    known: &'a [String],
}

impl fmt::Display for Columns<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |column: &str| column.rsplit('.').next().unwrap_or_default().to_owned();
        let wanted = name(self.column);
        let is_same = |known: &String| *known != wanted && known.to_lowercase() == wanted;
        if let Some(same) = self.known.iter().map(|known| name(known)).find(is_same) {
            return write!(
                formatter,
                "write `\"{same}\"`: names with capital letters need double quotes"
            );
        }
        match self.known {
            [] => formatter.write_str("there are no columns"),
            known => write!(formatter, "the columns are `{}`", known.join("`, `")),
        }
    }
}

/// The words of a query, in lower case: those that its errors may quote, and those that they may
/// not.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Names and keywords.
    pub(super) names: HashSet<String>,
    /// Words in literals and parameters.
    pub(super) values: HashSet<String>,
}

impl Words {
    pub(super) fn add_value(&mut self, text: &str) {
        self.values.extend(
            text.split(|part: char| !part.is_alphanumeric())
                .map(str::to_lowercase),
        );
    }

    /// Returns whether text in quotes is a name of the query, such as `articles.year`.
    fn is_name(&self, text: &str) -> bool {
        let mut parts = text.split('.');
        parts.all(|part| self.names.contains(&part.to_lowercase()))
    }

    /// Returns whether a word or a number is a value of the query.
    fn is_value(&self, word: &str) -> bool {
        let mut parts = word.split('.').map(str::to_lowercase);
        parts.any(|part| self.values.contains(&part) && !self.names.contains(&part))
    }
}

/// Translates DataFusion's errors.
pub(super) struct Translator<'a> {
    pub(super) words: &'a Words,
    pub(super) memory_limit: usize,
}

impl Translator<'_> {
    pub(super) fn error(&self, error: DataFusionError) -> QueryError {
        if let DataFusionError::External(inner) = error.find_root()
            && let Some(FunctionTooLarge { function }) = inner.downcast_ref()
        {
            return QueryError::FunctionMemory {
                function: function.clone(),
                limit: self.memory_limit,
            };
        }
        match error {
            DataFusionError::ResourcesExhausted(_) => self.memory(),
            DataFusionError::SchemaError(error, _) => self.column_error(&error),
            DataFusionError::Plan(reason) => QueryError::Invalid {
                reason: without_literals(&reason, self.words),
            },
            DataFusionError::NotImplemented(reason) => self.unsupported(&reason),
            DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => {
                self.error(*error)
            }
            DataFusionError::Shared(error) => self.shared(&error),
            DataFusionError::Execution(reason) => self.failed(&reason),
            DataFusionError::ArrowError(error, _) => self.failed(&error.to_string()),
            DataFusionError::External(error) => self.failed(&error.to_string()),
            error => self.failed(&error.to_string()),
        }
    }

    /// Translates an error that several parts of a plan share. Its source cannot be moved out.
    fn shared(&self, error: &DataFusionError) -> QueryError {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => self.memory(),
            error => self.failed(&error.to_string()),
        }
    }

    fn column_error(&self, error: &ColumnError) -> QueryError {
        match error {
            ColumnError::FieldNotFound {
                field,
                valid_fields,
            } => QueryError::UnknownColumn {
                column: field.flat_name(),
                // The name of a computed column contains the literals of its expression.
                known: valid_fields
                    .iter()
                    .filter(|known| !known.name().contains('('))
                    .map(datafusion::common::Column::flat_name)
                    .collect(),
            },
            error => QueryError::Invalid {
                reason: without_literals(&error.to_string(), self.words),
            },
        }
    }

    fn unsupported(&self, reason: &str) -> QueryError {
        const EXPRESSION: &str = "Physical plan does not support logical expression ";
        // The rest is the expression in DataFusion's own notation.
        let reason = match reason.strip_prefix(EXPRESSION) {
            Some(rest) if rest.starts_with("InSubquery") || rest.starts_with("Exists") => {
                "`IN` or `EXISTS` with a subquery in this place; use it in WHERE, or a join"
                    .to_owned()
            }
            Some(_) => "an expression in this place".to_owned(),
            None => without_literals(reason, self.words),
        };
        QueryError::Unsupported { reason }
    }

    fn memory(&self) -> QueryError {
        QueryError::Memory {
            limit: self.memory_limit,
        }
    }

    fn failed(&self, reason: &str) -> QueryError {
        QueryError::Failed {
            reason: without_values(reason, self.words),
        }
    }
}

/// Returns the first line of a message about the text of a query. Replaces by `?` every literal of
/// the query, and everything in quotes that is not a name of the query.
pub(super) fn without_literals(text: &str, words: &Words) -> String {
    masked(text, |token| match token {
        Token::Quoted(inside) => words.is_name(inside),
        Token::Number(word) | Token::Word(word) => !words.is_value(word),
    })
}

/// Returns the first line of a message about data. Replaces by `?` every number, every literal of
/// the query, and everything from the first quote to the last, because a value may contain quotes.
fn without_values(text: &str, words: &Words) -> String {
    let text = text.lines().next().unwrap_or_default();
    let is_apostrophe = |at: usize, quote: char| {
        let before = text[..at].chars().next_back();
        quote == '\'' && before.is_some_and(char::is_alphanumeric)
    };
    let first_quote = text
        .char_indices()
        .find(|(at, character)| is_quote(*character) && !is_apostrophe(*at, *character));
    let text = match first_quote {
        Some((first, quote)) => {
            let last = text.rfind(quote).filter(|last| *last > first);
            let rest = last.map_or("", |last| &text[last + 1..]);
            Cow::Owned(format!("{}\"\"{rest}", &text[..first]))
        }
        None => Cow::Borrowed(text),
    };
    masked(&text, |token| match token {
        Token::Quoted(_) | Token::Number(_) => false,
        Token::Word(word) => !words.is_value(word),
    })
}

/// A part of a message that may be a value.
enum Token<'a> {
    Quoted(&'a str),
    Number(&'a str),
    Word(&'a str),
}

fn is_quote(character: char) -> bool {
    matches!(character, '\'' | '"' | '`')
}

/// Returns the first line of a message with `?` in place of the tokens that are not kept.
fn masked(text: &str, is_kept: impl Fn(&Token<'_>) -> bool) -> String {
    let text = text.lines().next().unwrap_or_default();
    let is_word = |part: char| part.is_alphanumeric() || part == '_';
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (token, taken) = match next {
            quote if is_quote(quote) => {
                let inside = &rest[1..];
                // An unclosed quote extends to the end of the text, because a value may contain
                // quotes.
                let end = inside.find(quote).unwrap_or(inside.len());
                let taken = (end + 2).min(rest.len());
                (Token::Quoted(&inside[..end]), taken)
            }
            next if next.is_numeric() => {
                let is_part = |part: char| is_word(part) || part == '.';
                let end = rest.find(|part| !is_part(part)).unwrap_or(rest.len());
                // A full stop ends a sentence.
                let end = rest[..end].trim_end_matches('.').len();
                (Token::Number(&rest[..end]), end)
            }
            next if is_word(next) => {
                let end = rest.find(|part| !is_word(part)).unwrap_or(rest.len());
                // The apostrophe of `can't` is not a quote.
                let end = if rest[end..].starts_with("'t ") {
                    end + "'t".len()
                } else {
                    end
                };
                (Token::Word(&rest[..end]), end)
            }
            next => {
                masked.push(next);
                rest = &rest[next.len_utf8()..];
                continue;
            }
        };
        masked.push_str(if is_kept(&token) { &rest[..taken] } else { "?" });
        rest = &rest[taken..];
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_taken_out_of_messages_about_a_query() {
        let mut words = Words::default();
        words.names.extend(["year", "t"].map(str::to_owned));
        words.add_value("top secret, year");
        words.add_value("-1.5");
        let masked = |text| without_literals(text, &words);
        for (text, expected) in [
            (
                "LIMIT must be >= 0, -1 was provided",
                "LIMIT must be >= 0, -? was provided",
            ),
            (
                "no function 'year' for 1.5, year, 3 of t",
                "no function 'year' for ?, year, 3 of t",
            ),
            (
                "column 't.year' is not 't.other'",
                "column 't.year' is not ?",
            ),
            ("unknown token: Secret", "unknown token: ?"),
            ("Utf8(\"top \\\" secret\")", "Utf8(? ??"),
            ("an open 'x", "an open ?"),
            ("it can't match 2.", "it can't match 2."),
            ("first\nx", "first"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn values_are_taken_out_of_messages_about_data() {
        let mut words = Words::default();
        words.names.insert("year".to_owned());
        words.add_value("top secret, year");
        let masked = |text| without_values(text, &words);
        for (text, expected) in [
            (
                "Cannot cast string 'x' to value of Int64 type",
                "Cannot cast string ? to value of Int64 type",
            ),
            (
                "Cannot cast string 'it's the \"x\"' to value of Int64 type",
                "Cannot cast string ? to value of Int64 type",
            ),
            (
                "Can't cast value 300.5 to type Int8",
                "Can't cast value ? to type Int8",
            ),
            (
                "Overflow happened on: 9223372036854775807 + 1",
                "Overflow happened on: ? + ?",
            ),
            ("unknown token: Secret", "unknown token: ?"),
            ("an open 'x and y", "an open ?"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
