//! Scans of RocksDB.

use rocksdb::{DBRawIteratorWithThreadMode, ReadOptions};

use super::families::Rocks;
use crate::storage::engine::Cursor;
use crate::storage::error::StorageError;
use crate::storage::range::ScanRange;

/// An iterator of RocksDB over a range.
pub(super) struct RocksCursor<'db> {
    raw: DBRawIteratorWithThreadMode<'db, Rocks>,
    reverse: bool,
    started: bool,
}

impl<'db> RocksCursor<'db> {
    pub(super) fn new(
        db: &'db Rocks,
        family: &impl rocksdb::AsColumnFamilyRef,
        range: ScanRange,
        mut reads: ReadOptions,
    ) -> Self {
        let reverse = range.is_reverse();
        let (lower, upper) = range.into_bounds();
        if let Some(lower) = lower {
            reads.set_iterate_lower_bound(lower);
        }
        if let Some(upper) = upper {
            reads.set_iterate_upper_bound(upper);
        }
        Self {
            raw: db.raw_iterator_cf_opt(family, reads),
            reverse,
            started: false,
        }
    }

    #[inline]
    fn advance(&mut self) {
        match (self.started, self.reverse) {
            (false, false) => self.raw.seek_to_first(),
            (false, true) => self.raw.seek_to_last(),
            (true, false) => self.raw.next(),
            (true, true) => self.raw.prev(),
        }
        self.started = true;
    }
}

impl Cursor for RocksCursor<'_> {
    #[inline]
    fn next(&mut self) -> Option<(&[u8], &[u8])> {
        self.advance();
        self.raw.item()
    }

    fn take_error(&mut self) -> Option<StorageError> {
        Some(self.raw.status().err()?.into())
    }
}
