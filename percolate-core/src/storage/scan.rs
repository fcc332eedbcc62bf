//! [`Scan`]: the entries of a range of a column family.
//!
//! A scan reads one snapshot. It ends at its first error, because entries after it could be missing
//! without notice.

use super::engine::Cursor;
use super::error::ReadError;
use super::range::{Entry, ScanRange};

/// An iterator over the entries of a [`ScanRange`], which are read on demand. It ends after the
/// first error.
#[must_use = "a scan reads only what is asked of it"]
pub struct Scan<'db> {
    /// `None` after the end.
    cursor: Option<Box<dyn Cursor + 'db>>,
    column_family: String,
}

impl<'db> Scan<'db> {
    /// Creates a scan of the cursor that `open` returns for the range, if it can have entries.
    pub(super) fn new(
        column_family: &str,
        range: ScanRange,
        open: impl FnOnce(ScanRange) -> Result<Box<dyn Cursor + 'db>, ReadError>,
    ) -> Result<Self, ReadError> {
        let is_empty = range.is_empty();
        let cursor = open(range)?;
        Ok(Self {
            cursor: (!is_empty).then_some(cursor),
            column_family: column_family.to_owned(),
        })
    }

    #[cold]
    fn end(&mut self) -> Option<Result<Entry, ReadError>> {
        let source = self.cursor.take()?.take_error()?;
        Some(Err(ReadError::Storage {
            column_family: self.column_family.clone(),
            source,
        }))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.cursor.as_mut()?.next() {
            Some((key, value)) => Some(Ok((key.into(), value.into()))),
            None => self.end(),
        }
    }
}

impl std::iter::FusedIterator for Scan<'_> {}
