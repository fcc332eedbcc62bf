//! Reads of an engine of one [`View`].

use futures_util::future::try_join_all;
use slatedb::{DbIterator, KeyValue};

use super::store::SlateEngine;
use super::view::View;
use crate::storage::engine::{Cursor, Reads};
use crate::storage::error::{ReadError, StorageError};
use crate::storage::range::{ScanRange, first_key_after_prefix};

/// The reads of an engine of one view.
pub(super) struct SlateReads<'e> {
    engine: &'e SlateEngine,
    view: View,
}

impl<'e> SlateReads<'e> {
    pub(super) fn new(engine: &'e SlateEngine, view: View) -> Self {
        Self { engine, view }
    }

    fn prefixed(&self, cf: &str, key: &[u8]) -> Result<Vec<u8>, ReadError> {
        Ok([&self.engine.prefix(cf)?, key].concat())
    }

    fn failed(&self, cf: &str, error: &slatedb::Error) -> ReadError {
        ReadError::Storage {
            column_family: cf.to_owned(),
            source: self.engine.failure(error),
        }
    }

    /// Returns the entries of `range`. They do not borrow from the view.
    pub(super) fn cursor(
        &self,
        cf: &str,
        range: ScanRange,
    ) -> Result<Box<dyn Cursor + 'e>, ReadError> {
        let prefix = self.engine.prefix(cf)?;
        let reverse = range.is_reverse();
        let (lower, upper) = range.into_bounds();
        let lower = [&prefix, &*lower.unwrap_or_default()].concat();
        let upper = match upper {
            Some(upper) => [&prefix, &*upper].concat(),
            // The prefix has a letter of the name, or its length.
            None => first_key_after_prefix(&prefix).unwrap_or_default(),
        };
        let entries = if lower < upper {
            let scan = self.view.scan(lower, upper, reverse);
            let scan = self.engine.runtime.block_on(scan);
            Some(scan.map_err(|error| self.failed(cf, &error))?)
        } else {
            None
        };
        Ok(Box::new(SlateCursor {
            engine: self.engine,
            entries,
            prefix: prefix.len(),
            entry: None,
            error: None,
        }))
    }
}

impl Reads for SlateReads<'_> {
    fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let key = self.prefixed(cf, key)?;
        let value = self.engine.runtime.block_on(self.view.get(&key));
        let value = value.map_err(|error| self.failed(cf, &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Reads all keys at once, so that they wait for the object store together.
    fn multi_get(&self, cf: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let keys = keys.iter().map(|key| self.prefixed(cf, key));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let gets = keys.iter().map(|key| self.view.get(key));
        let values = self.engine.runtime.block_on(try_join_all(gets));
        let values = values.map_err(|error| self.failed(cf, &error))?;
        let values = values.into_iter();
        Ok(values
            .map(|value| value.map(|value| value.to_vec()))
            .collect())
    }

    fn scan(&self, cf: &str, range: ScanRange) -> Result<Box<dyn Cursor + '_>, ReadError> {
        self.cursor(cf, range)
    }
}

/// The entries of a scan, whose keys have a prefix of this length.
struct SlateCursor<'e> {
    engine: &'e SlateEngine,
    /// `None` if the range is empty.
    entries: Option<DbIterator>,
    prefix: usize,
    /// The current entry.
    entry: Option<KeyValue>,
    error: Option<StorageError>,
}

impl Cursor for SlateCursor<'_> {
    fn next(&mut self) -> Option<(&[u8], &[u8])> {
        let entries = self.entries.as_mut()?;
        self.entry = match self.engine.runtime.block_on(entries.next()) {
            Ok(entry) => entry,
            Err(error) => {
                self.error = Some(self.engine.failure(&error));
                None
            }
        };
        let entry = self.entry.as_ref()?;
        let key = entry.key.get(self.prefix..).unwrap_or_default();
        Some((key, &entry.value))
    }

    fn take_error(&mut self) -> Option<StorageError> {
        self.error.take()
    }
}
