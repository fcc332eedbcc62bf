//! Batches of RocksDB.

use rocksdb::WriteBatch;

use super::families::Family;
use super::store::RocksEngine;
use crate::storage::engine::{Batch, BatchFamilies};
use crate::storage::error::WriteError;

pub(super) struct RocksBatch<'db> {
    engine: &'db RocksEngine,
    writes: WriteBatch,
    families: BatchFamilies<Family<'db>>,
}

impl<'db> RocksBatch<'db> {
    pub(super) fn new(engine: &'db RocksEngine) -> Self {
        Self {
            engine,
            writes: WriteBatch::default(),
            families: BatchFamilies::None,
        }
    }

    fn family(&mut self, name: &str) -> Result<Family<'db>, WriteError> {
        let engine = self.engine;
        Ok(self.families.find(name, |name| engine.family(name))?)
    }
}

impl Batch for RocksBatch<'_> {
    fn put(&mut self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.writes.put_cf(&*family, key, value);
        Ok(())
    }

    fn delete(&mut self, cf: &str, key: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.writes.delete_cf(&*family, key);
        Ok(())
    }

    fn delete_range(&mut self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        let family = self.family(cf)?;
        self.writes.delete_range_cf(&*family, start, end);
        Ok(())
    }

    fn len(&self) -> usize {
        self.writes.len()
    }

    fn single_cf(&self) -> Option<&str> {
        self.families.single()
    }

    fn commit(self: Box<Self>) -> Result<(), WriteError> {
        self.engine.write(self.writes)
    }
}
