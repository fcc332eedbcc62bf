//! What can go wrong with a query. Messages may name what the query names: tables, columns, functions, its keywords.
//! They never hold a constant of the query or a value of the data; what DataFusion says is stripped of both.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use datafusion::common::SchemaError as ColumnError;
use datafusion::error::DataFusionError;

use crate::otel::ErrorType;

/// A query that was refused, or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no tokio runtime here.
    #[error("a query needs a tokio runtime; call it from async code that tokio runs")]
    NoRuntime,
    /// The text holds no statement.
    #[error("the query is empty; write a SELECT")]
    Empty,
    /// The text holds several statements.
    #[error("the query holds {count} statements; run them one by one")]
    SeveralStatements {
        /// How many.
        count: usize,
    },
    /// The text is no SQL.
    #[error("syntax error{}: {reason}", Place(place))]
    Syntax {
        /// Line and column, both from 1, where they are known.
        place: Option<(u64, u64)>,
        /// What was expected.
        reason: String,
    },
    /// The query is nested too deep, or too long.
    #[error("the query is too large: {reason}")]
    TooLarge {
        /// What there is too much of.
        reason: String,
    },
    /// The statement does more than read the tables.
    #[error("{statement} is refused: SQL only reads here. {instead}")]
    Refused {
        /// The statement's keyword, or what it wanted to do.
        statement: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// There is no such column.
    #[error("there is no column `{column}`; {}", Columns { column, known })]
    UnknownColumn {
        /// The column asked for.
        column: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// The values given do not fit the placeholders.
    #[error("parameter ${position}: {reason}")]
    Parameter {
        /// Which one, from 1.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The query cannot be planned: types that do not fit, functions that do not exist.
    #[error("the query makes no sense: {reason}")]
    Invalid {
        /// What DataFusion said, without values.
        reason: String,
    },
    /// The query asks for something that DataFusion cannot do.
    #[error("the query asks for what is not supported: {reason}")]
    Unsupported {
        /// What DataFusion said, without values.
        reason: String,
    },
    /// The query failed while it ran: a division by zero, a text that is no number.
    #[error("the query failed: {reason}")]
    Failed {
        /// What DataFusion said, without values.
        reason: String,
    },
    /// Queries may not hold that much at a time.
    #[error(
        "the query needs more memory than the {limit} bytes that queries may hold; ask for fewer rows or columns, or \
         raise `query_memory_limit`"
    )]
    Memory {
        /// The limit.
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

/// Prints where in the text.
struct Place<'a>(&'a Option<(u64, u64)>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(formatter, " at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

/// Prints the columns there are, and the hint that unquoted names are read in lower case.
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
            [] => formatter.write_str("there are none here"),
            known => write!(formatter, "there are `{}`", known.join("`, `")),
        }
    }
}

/// The words of a query, in lower case: what its errors may quote, and what they may not.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Names and keywords.
    pub(super) names: HashSet<String>,
    /// What is written in literals and parameters.
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

/// Turns what DataFusion says into what we say.
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

/// The first line of a message with `?` for every number, for everything in quotes that is no name of the query, and
/// for the words of its values.
pub(super) fn scrub(text: &str, words: &Words) -> String {
    let text = text.lines().next().unwrap_or_default();
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '\'' | '"' | '`' => {
                let inside = &rest[1..];
                // What is not closed goes to the end of the text: a value may hold quotes itself.
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
