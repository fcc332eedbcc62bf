//! An annotated in-memory store that depends on percolate-core under another name, has no prelude
//! and denies all warnings. `tests/engine.rs` checks its telemetry.

#![no_implicit_prelude]
#![deny(warnings)]

use ::std::borrow::Cow;
use ::std::collections::BTreeMap;
use ::std::fmt::{self, Display, Formatter};
use ::std::iter::{Extend as _, Iterator};
use ::std::option::Option::{self, None, Some};
use ::std::primitive::{str, u8, usize};
use ::std::result::Result::{self, Ok};
use ::std::string::{String, ToString as _};
use ::std::vec::Vec;
use ::telemetry::{background_jobs, db_op, db_ops, record};

/// A store of named shelves in memory.
#[derive(Debug, Default)]
pub struct Library {
    shelves: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

/// The error of an operation.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LibraryError {
    /// The library has no shelf with this name.
    NoShelf(String),
}

impl Display for LibraryError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShelf(name) => {
                ::std::write!(f, "there is no shelf `{name}`; put something on it first")
            }
        }
    }
}

impl ::std::error::Error for LibraryError {}

impl ::telemetry::otel::ErrorType for LibraryError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::NoShelf(_) => Cow::Borrowed("NoShelf"),
        }
    }
}

#[db_ops(crate = ::telemetry, system = "library", namespace = self.name())]
impl Library {
    /// Returns the namespace in telemetry.
    pub fn name(&self) -> &'static str {
        "city"
    }

    /// Returns the text of a book.
    ///
    /// # Errors
    /// Returns [`LibraryError::NoShelf`] if the shelf does not exist.
    #[db_op(get, shelf)]
    pub fn get(&self, shelf: &str, title: &str) -> Result<Option<&[u8]>, LibraryError> {
        let books = self
            .shelves
            .get(shelf)
            .ok_or_else(|| LibraryError::NoShelf(shelf.to_string()))?;
        Ok(books.get(title).map(Vec::as_slice))
    }

    /// Puts a book on a shelf.
    #[db_op(put, shelf, affected_rows = 1)]
    pub fn put(&mut self, shelf: &str, title: &str, text: &[u8]) {
        let shelf = self.shelves.entry(shelf.to_string()).or_default();
        shelf.insert(title.to_string(), text.to_vec());
    }

    /// Puts several books on one shelf, and returns the number of new ones.
    #[db_op(batch_write, shelf, batch_size = books.len(), affected_rows = |added| *added)]
    pub fn put_all(&mut self, shelf: &str, books: Vec<(String, Vec<u8>)>) -> usize {
        let shelf = self.shelves.entry(shelf.to_string()).or_default();
        let before = shelf.len();
        shelf.extend(books);
        record!(library.total = shelf.len());
        shelf.len() - before
    }

    /// Iterates over the titles that start with `prefix`.
    ///
    /// # Errors
    /// Returns [`LibraryError::NoShelf`] if the shelf does not exist.
    #[db_op(scan, shelf, rows = stream)]
    pub fn titles(
        &self,
        shelf: &str,
        prefix: &str,
    ) -> Result<impl Iterator<Item = &str>, LibraryError> {
        let books = self
            .shelves
            .get(shelf)
            .ok_or_else(|| LibraryError::NoShelf(shelf.to_string()))?;
        Ok(books
            .keys()
            .map(String::as_str)
            .filter(move |title| title.starts_with(prefix)))
    }
}

#[background_jobs(crate = ::telemetry)]
impl Library {
    /// Removes empty shelves, and returns their number.
    #[::telemetry::background_job("shelf.sweep", target = "all", batch_size = |swept| *swept)]
    pub fn sweep(&mut self) -> usize {
        let before = self.shelves.len();
        self.shelves.retain(|_, books| !books.is_empty());
        before - self.shelves.len()
    }

    /// Returns `Some(1)` if the shelf exists.
    pub fn has(&self, shelf: &str) -> Option<u8> {
        if self.shelves.contains_key(shelf) {
            Some(1)
        } else {
            None
        }
    }
}
