//! [`View`]: a state of the database to read, the current one, a snapshot, or that of a reader.

use std::sync::Arc;

use bytes::Bytes;
use slatedb::config::{ReadOptions, ScanOptions};
use slatedb::{Db, DbIterator, DbReader, DbSnapshot, IterationOrder};

/// The number of bytes that a scan reads ahead of its caller, so that it does not wait for the
/// object store for each block.
const READ_AHEAD: usize = 256 << 10;

/// A state of the database.
pub(super) enum View {
    Writer(Db),
    Snapshot(Arc<DbSnapshot>),
    Reader(Arc<DbReader>),
}

impl View {
    /// Returns the value of a key.
    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, slatedb::Error> {
        let options = ReadOptions::default();
        match self {
            Self::Writer(db) => db.get_with_options(key, &options).await,
            Self::Snapshot(snapshot) => snapshot.get_with_options(key, &options).await,
            Self::Reader(reader) => reader.get_with_options(key, &options).await,
        }
    }

    /// Returns the entries from `lower` (inclusive) to `upper` (exclusive).
    pub(super) async fn scan(
        &self,
        lower: Vec<u8>,
        upper: Vec<u8>,
        reverse: bool,
    ) -> Result<DbIterator, slatedb::Error> {
        let options = ScanOptions {
            read_ahead_bytes: READ_AHEAD,
            max_fetch_tasks: 4,
            cache_blocks: true,
            order: if reverse {
                IterationOrder::Descending
            } else {
                IterationOrder::Ascending
            },
            ..ScanOptions::default()
        };
        let range = lower..upper;
        match self {
            Self::Writer(db) => db.scan_with_options(range, &options).await,
            Self::Snapshot(snapshot) => snapshot.scan_with_options(range, &options).await,
            Self::Reader(reader) => reader.scan_with_options(range, &options).await,
        }
    }

    /// Returns whether there is no key at all.
    pub(super) async fn is_empty(&self) -> Result<bool, slatedb::Error> {
        let options = ScanOptions::default();
        let mut all = match self {
            Self::Writer(db) => {
                db.scan_with_options::<std::ops::RangeFull>(.., &options)
                    .await
            }
            Self::Snapshot(snapshot) => snapshot.scan_with_options(.., &options).await,
            Self::Reader(reader) => reader.scan_with_options(.., &options).await,
        }?;
        Ok(all.next().await?.is_none())
    }
}
