//! A row to import.

use std::fmt;

use serde_json::Value;

/// A row of [`Database::import_rows`](crate::Database::import_rows).
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ImportRow {
    /// A JSON object in UTF-8.
    Line(Vec<u8>),
    /// A JSON object.
    Data(Value),
    /// A row that cannot be read, with the reason, which should contain no values.
    Invalid(String),
}

impl fmt::Debug for ImportRow {
    /// Prints the kind only: a row is the user's data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Line(_) => "Line",
            Self::Data(_) => "Data",
            Self::Invalid(_) => "Invalid",
        })
    }
}

/// A row with its number.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) row: ImportRow,
}
