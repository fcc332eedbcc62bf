//! Several writes as one atomic write.

use super::db::Storage;
use super::engine::Batch;
use super::error::WriteError;
use crate::{db_op, db_ops};

/// Collects writes and commits them atomically. Nothing is written before
/// [`commit`](Self::commit); dropping the writer discards the writes.
///
/// Of several writes to one key, the last one wins.
///
/// ```
/// use percolate_core::storage::{Storage, StorageOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let storage = Storage::open(dir.path(), StorageOptions::new().column_family("articles"))?;
/// let mut batch = storage.batch();
/// batch.put("articles", b"a", b"first")?;
/// batch.put("articles", b"b", b"second")?;
/// assert_eq!(batch.commit()?, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a batch does nothing until it is committed"]
pub struct BatchWriter<'db> {
    storage: &'db Storage,
    writes: Box<dyn Batch + 'db>,
    /// The kind of the write, if the batch has exactly one.
    only: Only,
}

#[derive(Clone, Copy)]
enum Only {
    Put,
    Delete,
    DeleteRange,
}

impl<'db> BatchWriter<'db> {
    /// Creates an empty batch for `storage`, like [`Storage::batch`].
    pub fn new(storage: &'db Storage) -> Self {
        Self {
            storage,
            writes: storage.engine().batch(),
            only: Only::Put,
        }
    }

    /// Adds a write of `value` to `key`.
    ///
    /// # Errors
    ///
    /// [`WriteError::UnknownColumnFamily`]; the batch is unchanged.
    pub fn put(
        &mut self,
        cf: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        self.writes.put(cf, key.as_ref(), value.as_ref())?;
        self.only = Only::Put;
        Ok(())
    }

    /// Adds a deletion of `key`. Deleting a key that does not exist succeeds.
    ///
    /// # Errors
    ///
    /// [`WriteError::UnknownColumnFamily`]; the batch is unchanged.
    pub fn delete(&mut self, cf: &str, key: impl AsRef<[u8]>) -> Result<(), WriteError> {
        self.writes.delete(cf, key.as_ref())?;
        self.only = Only::Delete;
        Ok(())
    }

    /// Adds a deletion of the keys from `start` (inclusive) to `end` (exclusive), as one write.
    ///
    /// # Errors
    ///
    /// [`WriteError::UnknownColumnFamily`]; the batch is unchanged.
    pub fn delete_range(
        &mut self,
        cf: &str,
        start: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        self.writes.delete_range(cf, start.as_ref(), end.as_ref())?;
        self.only = Only::DeleteRange;
        Ok(())
    }

    /// Returns the number of collected writes.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Returns whether the batch has no writes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the batch and returns the number of its writes. A batch of one write is recorded as
    /// that operation, any other batch as `batch_write`.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; nothing was written.
    pub fn commit(self) -> Result<usize, WriteError> {
        match (self.len(), self.only) {
            (1, Only::Put) => self.commit_put(),
            (1, Only::Delete) => self.commit_delete(),
            (1, Only::DeleteRange) => self.commit_delete_range(),
            _ => self.commit_batch(),
        }
    }
}

/// The same commit under the four operation names.
#[db_ops(system = self.storage.system(), namespace = self.storage.namespace(), server_address = self.storage.server_address())]
impl BatchWriter<'_> {
    #[db_op(put, collection? = self.single_cf(), affected_rows = 1, leaf)]
    fn commit_put(self) -> Result<usize, WriteError> {
        self.write()
    }

    #[db_op(delete, collection? = self.single_cf(), leaf)]
    fn commit_delete(self) -> Result<usize, WriteError> {
        self.write()
    }

    #[db_op(delete_range, collection? = self.single_cf(), leaf)]
    fn commit_delete_range(self) -> Result<usize, WriteError> {
        self.write()
    }

    #[db_op(batch_write, collection? = self.single_cf(), batch_size = self.len(), affected_rows = self.len(), leaf)]
    fn commit_batch(self) -> Result<usize, WriteError> {
        self.write()
    }
}

impl BatchWriter<'_> {
    fn write(self) -> Result<usize, WriteError> {
        let count = self.writes.len();
        self.writes.commit()?;
        Ok(count)
    }

    /// Returns the column family, if all writes have the same one.
    fn single_cf(&self) -> Option<&str> {
        self.writes.single_cf()
    }
}

impl std::fmt::Debug for BatchWriter<'_> {
    /// Prints counts only: the writes are the user's data.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BatchWriter")
            .field("len", &self.len())
            .field("column_family", &self.single_cf())
            .finish_non_exhaustive()
    }
}
