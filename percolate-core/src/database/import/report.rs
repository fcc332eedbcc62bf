//! The result of an import.

use std::fmt;

/// The number of refused rows that a report lists.
const LISTED: usize = 100;

/// The number of refused rows that a message contains.
const SHOWN: usize = 3;

/// The result of an import. It contains no data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// The rows that were read. Blank lines do not count.
    pub rows: usize,
    /// The rows that were written.
    pub written: usize,
    /// The rows that were not written because their entities exist: with
    /// [`Existing::Skip`](crate::Existing::Skip) all of them, with
    /// [`Existing::Replace`](crate::Existing::Replace) those that equal their entities.
    pub unchanged: usize,
    /// The rows that were refused.
    pub refused: usize,
    /// The first 100 refused rows.
    pub errors: Vec<RowError>,
    /// Whether [`on_progress`](crate::ImportOptions::on_progress) ended the import early.
    pub cancelled: bool,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowError {
    /// The number of the line, from 1. For rows that are not lines, the number of the row.
    pub line: usize,
    /// The reason. It names fields and contains no values.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.reason)
    }
}

impl ImportReport {
    /// Counts and lists a refused row. The list grows until [`cut`](Self::cut).
    pub(super) fn refuse(&mut self, line: usize, reason: impl fmt::Display) {
        self.refused += 1;
        let reason = reason.to_string();
        self.errors.push(RowError { line, reason });
    }

    /// Orders the listed rows by their lines and keeps the first ones.
    pub(super) fn cut(&mut self) {
        self.errors.sort_by_key(|error| error.line);
        self.errors.truncate(LISTED);
    }
}

/// Prints the numbers of an import that was aborted, and its first refused rows.
pub(in crate::database) struct Refused<'a>(pub(in crate::database) &'a ImportReport);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(
            formatter,
            "{} of {} rows were refused, and ",
            report.refused, report.rows
        )?;
        match report.written {
            0 => formatter.write_str("nothing was written")?,
            written => write!(formatter, "{written} were written before")?,
        }
        for (index, error) in report.errors.iter().take(SHOWN).enumerate() {
            write!(formatter, "{} {error}", if index == 0 { ":" } else { ";" })?;
        }
        match report.refused.saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}
