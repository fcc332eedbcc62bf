//! [`Snapshot`]: a consistent view for several reads.

use super::db::{Storage, slices};
use super::engine::Reads;
use super::error::ReadError;
use super::range::{Entry, ScanRange};
use super::scan::Scan;
use crate::{db_op, db_ops};

/// A consistent view of the store at one point in time. It does not contain later writes.
///
/// Overwritten and deleted values cannot be removed while it exists, so drop it after use.
///
/// ```
/// use percolate_core::storage::{Storage, StorageOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let storage = Storage::open(dir.path(), StorageOptions::new().column_family("articles"))?;
/// let before = storage.snapshot();
/// storage.put("articles", b"percolate", b"a way through")?;
/// assert_eq!(before.get("articles", b"percolate")?, None);
/// # Ok(())
/// # }
/// ```
pub struct Snapshot<'db> {
    storage: &'db Storage,
    reads: Box<dyn Reads + Send + Sync + 'db>,
}

impl Storage {
    /// Creates a snapshot of the current state.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            storage: self,
            reads: self.engine().snapshot(),
        }
    }
}

/// The operations.
#[db_ops(system = self.storage.system(), namespace = self.storage.namespace(), server_address = self.storage.server_address())]
impl Snapshot<'_> {
    /// Like [`Storage::get`].
    #[db_op(get, cf, leaf)]
    pub fn get(&self, cf: &str, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ReadError> {
        self.reads.get(cf, key.as_ref())
    }

    /// Like [`Storage::multi_get`].
    #[db_op(multi_get, cf, rows = |values| values.iter().flatten().count(), leaf)]
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        cf: &str,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        self.reads.multi_get(cf, &slices(keys))
    }

    /// Like [`Storage::scan`].
    #[db_op(scan, cf, rows = stream, leaf)]
    pub fn scan<'s>(
        &'s self,
        cf: &str,
        range: ScanRange,
    ) -> Result<impl Iterator<Item = Result<Entry, ReadError>> + use<'s>, ReadError> {
        Scan::new(cf, range, |range| self.reads.scan(cf, range))
    }
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Snapshot")
            .field("storage", self.storage)
            .finish_non_exhaustive()
    }
}
