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
            Self::Parameter { .. } => "QueryParameter",
            Self::Invalid { .. } => "QueryInvalid",
            Self::Unsupported { .. } => "QueryUnsupported",
            Self::Failed { .. } => "QueryFailed",
            Self::Memory { .. } => "QueryMemory",
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
}

/// Translates DataFusion's errors.
pub(super) struct Translator<'a> {
    pub(super) words: &'a Words,
    pub(super) memory_limit: usize,
}

impl Translator<'_> {
    pub(super) fn error(&self, error: DataFusionError) -> QueryError {
        match error {
            DataFusionError::ResourcesExhausted(_) => self.memory(),
            DataFusionError::SchemaError(error, _) => self.column_error(&error),
            DataFusionError::Plan(reason) => QueryError::Invalid {
                reason: self.scrubbed(&reason),
            },
            DataFusionError::NotImplemented(reason) => QueryError::Unsupported {
                reason: self.scrubbed(&reason),
            },
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
                known: valid_fields
                    .iter()
                    .map(datafusion::common::Column::flat_name)
                    .collect(),
            },
            error => QueryError::Invalid {
                reason: self.scrubbed(&error.to_string()),
            },
        }
    }

    fn memory(&self) -> QueryError {
        QueryError::Memory {
            limit: self.memory_limit,
        }
    }

    fn failed(&self, reason: &str) -> QueryError {
        QueryError::Failed {
            reason: self.scrubbed(reason),
        }
    }

    fn scrubbed(&self, text: &str) -> String {
        scrub(text, self.words)
    }
}

/// Returns the first line of a message. Replaces by `?` every number, everything in quotes that is
/// not a name of the query, and every word of its values.
pub(super) fn scrub(text: &str, words: &Words) -> String {
    let text = text.lines().next().unwrap_or_default();
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '\'' | '"' | '`' => {
                let inside = &rest[1..];
                // An unclosed quote extends to the end of the text, because a value may contain
                // quotes.
                let end = inside.find(next).unwrap_or(inside.len());
                let taken = (end + 2).min(rest.len());
                let is_name = words.names.contains(&inside[..end].to_lowercase());
                scrubbed.push_str(if is_name { &rest[..taken] } else { "?" });
                taken
            }
            next if next.is_alphanumeric() || next == '_' => {
                let is_part = |part: char| {
                    part.is_alphanumeric() || part == '_' || (part == '.' && next.is_numeric())
                };
                let end = rest.find(|part| !is_part(part)).unwrap_or(rest.len());
                let word = rest[..end].to_lowercase();
                let is_value = words.values.contains(&word) && !words.names.contains(&word);
                scrubbed.push_str(if next.is_numeric() || is_value {
                    "?"
                } else {
                    &rest[..end]
                });
                end
            }
            next => {
                scrubbed.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    scrubbed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_out_of_messages_and_names_stay() {
        let mut words = Words::default();
        words.names.insert("year".to_owned());
        words.add_value("top secret, year");
        let scrub = |text| scrub(text, &words);
        assert_eq!(
            scrub("Cannot cast string 'x' to value of Int64 type"),
            "Cannot cast string ? to value of Int64 type"
        );
        assert_eq!(
            scrub("Overflow happened on: 9223372036854775807 + 1"),
            "Overflow happened on: ? + ?"
        );
        assert_eq!(
            scrub("no function 'year' for 1.5e3, year"),
            "no function 'year' for ?, year"
        );
        assert_eq!(scrub("unknown token: Secret"), "unknown token: ?");
        assert_eq!(scrub("an open 'x"), "an open ?");
        assert_eq!(scrub("first\nx"), "first");
    }
}
