//! The marks of entities that wait for embedding, and of those that were set aside because the
//! provider has no vector for one of their texts.
//!
//! A mark is an entry of `pending_embeddings`. Its value is empty, or it is a JSON object with the
//! reason for each refused field. A write of the entity replaces the mark with an empty one, so a
//! changed text is embedded again.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::core::{Core, Old};
use super::error::Error;
use crate::storage::column_families::PENDING_EMBEDDINGS;
use crate::storage::{Entry, ScanRange, keys};

/// The number of entities that are embedded or marked at a time.
pub(super) const PAGE: usize = 256;

/// The reasons for which the fields of an entity were refused.
pub(super) type Reasons = BTreeMap<String, String>;

/// The state of the vectors of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingStatus {
    /// The number of entities that the next run embeds.
    pub waiting: usize,
    /// The texts that were set aside, ordered by the id of their entities.
    pub refused: Vec<RefusedField>,
}

/// A text that was set aside because the provider has no vector for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedField {
    /// The id of the entity.
    pub id: Uuid,
    /// The field of the text.
    pub field: String,
    /// The error of the provider. It does not contain the text.
    pub reason: String,
}

impl Core {
    /// Returns the next entities after `after` that wait for embedding.
    pub(super) fn pending_page(
        &self,
        table: &str,
        after: Option<Uuid>,
    ) -> Result<Vec<(Uuid, Old)>, Error> {
        let ids = self.page_of_marks(table, after, Reasons::is_empty)?;
        let old = self.old_batch(table, &ids)?;
        Ok(ids.into_iter().zip(old).collect())
    }

    pub(super) fn embedding_status(&self, table: &str) -> Result<EmbeddingStatus, Error> {
        self.schema(table)?;
        let mut status = EmbeddingStatus::default();
        for mark in self.marks(table, None)? {
            let (id, reasons) = mark?;
            status.waiting += usize::from(reasons.is_empty());
            let refused = |(field, reason)| RefusedField { id, field, reason };
            status.refused.extend(reasons.into_iter().map(refused));
        }
        Ok(status)
    }

    /// Marks the entities that were set aside for embedding again. Returns their number.
    pub(super) fn retry_refused(&self, table: &str) -> Result<usize, Error> {
        self.schema(table)?;
        let mut retried = 0;
        let mut last = None;
        loop {
            let page = self.page_of_marks(table, last, |reasons| !reasons.is_empty())?;
            let Some(id) = page.last() else {
                return Ok(retried);
            };
            last = Some(*id);
            retried += self.unset(table, &page)?;
        }
    }

    /// Empties the marks of those of `ids` that are still set aside.
    fn unset(&self, table: &str, ids: &[Uuid]) -> Result<usize, Error> {
        let _locks = self.lock_all(ids);
        let key = |id: &Uuid| keys::entity_key(self.table_name(table), *id);
        let keys: Vec<_> = ids.iter().map(key).collect();
        let marks = self.storage().multi_get(PENDING_EMBEDDINGS, &keys)?;
        let mut batch = self.storage().batch();
        for (key, mark) in keys.iter().zip(marks) {
            if mark.is_some_and(|mark| !mark.is_empty()) {
                batch.put(PENDING_EMBEDDINGS, key, [])?;
            }
        }
        let changed = batch.len();
        if changed > 0 {
            batch.commit()?;
        }
        Ok(changed)
    }

    /// Returns the ids of the next marks after `after` whose reasons pass the filter.
    fn page_of_marks(
        &self,
        table: &str,
        after: Option<Uuid>,
        filter: impl Fn(&Reasons) -> bool,
    ) -> Result<Vec<Uuid>, Error> {
        let mut ids = Vec::new();
        for mark in self.marks(table, after)? {
            let (id, reasons) = mark?;
            if filter(&reasons) {
                ids.push(id);
            }
            if ids.len() == PAGE {
                break;
            }
        }
        Ok(ids)
    }

    /// Iterates over the marks of a table after `after`, ordered by id.
    fn marks(
        &self,
        table: &str,
        after: Option<Uuid>,
    ) -> Result<impl Iterator<Item = Result<(Uuid, Reasons), Error>>, Error> {
        let all = ScanRange::prefix(keys::table_prefix(self.table_name(table)));
        let range = match after {
            Some(id) => all.after(keys::entity_key(self.table_name(table), id)),
            None => all,
        };
        let mark = |entry: Result<Entry, _>| {
            let (key, value) = entry.map_err(Error::from)?;
            Ok((keys::parse_entity_key(&key)?.2, decode(&value)))
        };
        Ok(self.storage().scan(PENDING_EMBEDDINGS, range)?.map(mark))
    }
}

/// Returns the value of a mark for an entity that is set aside.
pub(super) fn encode(reasons: &Reasons) -> Vec<u8> {
    serde_json::to_vec(reasons).unwrap_or_default()
}

/// Returns the reasons of a mark. A value that cannot be read is an empty mark: the text is embedded
/// again.
fn decode(value: &[u8]) -> Reasons {
    serde_json::from_slice(value).unwrap_or_default()
}
