//! Batches of SlateDB.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NAME;
use super::keyspace::MAX_BYTES;
use super::store::SlateEngine;
use crate::storage::engine::{Batch, BatchFamilies};
use crate::storage::error::WriteError;

/// A write of a batch, with SlateDB's keys.
enum Write {
    Set(Vec<u8>, Option<Vec<u8>>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

pub(super) struct SlateBatch<'db> {
    engine: &'db SlateEngine,
    writes: Vec<Write>,
    families: BatchFamilies<Arc<[u8]>>,
}

impl<'db> SlateBatch<'db> {
    pub(super) fn new(engine: &'db SlateEngine) -> Self {
        Self {
            engine,
            writes: Vec::new(),
            families: BatchFamilies::None,
        }
    }

    /// Returns SlateDB's key of a key.
    fn key(&mut self, cf: &str, key: &[u8]) -> Result<Vec<u8>, WriteError> {
        let engine = self.engine;
        let prefix = self.families.find(cf, |name| engine.prefix(name))?;
        check_size("key", key.len(), MAX_BYTES - prefix.len())?;
        Ok([&*prefix, key].concat())
    }
}

fn check_size(part: &'static str, size: usize, limit: usize) -> Result<(), WriteError> {
    if size <= limit {
        return Ok(());
    }
    Err(WriteError::TooLarge {
        part,
        size,
        limit,
        engine: NAME,
    })
}

impl Batch for SlateBatch<'_> {
    fn put(&mut self, cf: &str, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        check_size("value", value.len(), MAX_BYTES)?;
        let key = self.key(cf, key)?;
        self.writes.push(Write::Set(key, Some(value.to_vec())));
        Ok(())
    }

    fn delete(&mut self, cf: &str, key: &[u8]) -> Result<(), WriteError> {
        let key = self.key(cf, key)?;
        self.writes.push(Write::Set(key, None));
        Ok(())
    }

    fn delete_range(&mut self, cf: &str, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        let (start, end) = (self.key(cf, start)?, self.key(cf, end)?);
        self.writes.push(Write::DeleteRange(start, end));
        Ok(())
    }

    fn len(&self) -> usize {
        self.writes.len()
    }

    fn single_cf(&self) -> Option<&str> {
        self.families.single()
    }

    /// A range is deleted key by key: the keys that exist now, and those that the batch writes
    /// before.
    fn commit(self: Box<Self>) -> Result<(), WriteError> {
        let engine = self.engine;
        let mut values = BTreeMap::new();
        for write in self.writes {
            match write {
                Write::Set(key, value) => {
                    values.insert(key, value);
                }
                Write::DeleteRange(start, end) if start < end => {
                    for key in keys_between(engine, &start, &end)? {
                        values.insert(key, None);
                    }
                    for (_, value) in values.range_mut(start..end) {
                        *value = None;
                    }
                }
                Write::DeleteRange(..) => {}
            }
        }
        engine.write(values)
    }
}

/// Returns SlateDB's keys from `start` (inclusive) to `end` (exclusive).
fn keys_between(
    engine: &SlateEngine,
    start: &[u8],
    end: &[u8],
) -> Result<Vec<Vec<u8>>, WriteError> {
    let view = engine.view();
    let read = engine.runtime.block_on(async {
        let mut entries = view.scan(start.to_vec(), end.to_vec(), false).await?;
        let mut keys = Vec::new();
        while let Some(entry) = entries.next().await? {
            keys.push(entry.key.to_vec());
        }
        Ok(keys)
    });
    read.map_err(|error: slatedb::Error| engine.refused(&error))
}
