//! Comparing stored vectors with the texts of their entities. A difference is corrected by marking
//! the entity for embedding;
//! [`Database::generate_embeddings`](crate::Database::generate_embeddings) creates the vectors.
//!
//! An entity that is already marked does not count as a difference. An unreadable entity is
//! skipped.

use uuid::Uuid;

use super::indexing::{IndexManager, Mode, Owner, Row, commit};
use crate::database::error::Error;
use crate::index::report::IndexReport;
use crate::index::vectors::is_supplied;
use crate::schema::entity::Record;
use crate::storage::column_families::{EMBEDDINGS, ENTITIES, PENDING_EMBEDDINGS};
use crate::storage::{ScanRange, keys};

impl IndexManager {
    /// Counts the texts of a table without a vector as missing and the vectors without a text as
    /// stale.
    pub(super) fn compare_embeddings(&self, table: &str, mode: Mode) -> Result<IndexReport, Error> {
        let mut report = IndexReport::default();
        if self.core.schema(table)?.embedding_fields().is_empty() {
            return Ok(report);
        }
        let all = ScanRange::prefix(keys::table_prefix(self.core.table_name(table)));
        let mut done = 0;
        let mut flow = self.each_page(ENTITIES, &all, |page| {
            done += page.len();
            report.missing += self.mark_texts(table, mode, page)?;
            Ok(self.notify(done))
        })?;
        if flow.is_continue() {
            flow = self.each_page(EMBEDDINGS, &all, |page| {
                done += page.len();
                report.stale += self.mark_vectors(table, mode, page)?;
                Ok(self.notify(done))
            })?;
        }
        Ok(IndexReport {
            cancelled: flow.is_break(),
            ..report
        })
    }

    fn mark_texts(&self, table: &str, mode: Mode, page: &[Row]) -> Result<usize, Error> {
        let schema = self.core.schema(table)?;
        let owners = page
            .iter()
            .map(|(key, _)| Ok(Owner::of_entity(key)?))
            .collect::<Result<Vec<_>, Error>>()?;
        let (_locks, states) = self.lock_and_read(&owners)?;
        let mut texts = Vec::new();
        for (owner, state) in owners.iter().zip(&states) {
            let fields = schema
                .embedding_fields()
                .iter()
                .filter(|field| has_text(state.as_ref(), field) == Some(true));
            texts
                .extend(fields.map(|field| (owner.id, self.embedding_key(table, field, owner.id))));
        }
        let vectors = self.stored(&texts)?;
        let without = texts
            .iter()
            .zip(vectors)
            .filter(|(_, vector)| vector.is_none());
        self.mark(table, mode, without.map(|((id, _), _)| *id))
    }

    fn mark_vectors(&self, table: &str, mode: Mode, page: &[Row]) -> Result<usize, Error> {
        let owner = |(key, _): &Row| {
            Ok(Owner {
                table: table.to_owned(),
                id: keys::parse_embedding_key(key)?,
            })
        };
        let owners = page.iter().map(owner).collect::<Result<Vec<_>, Error>>()?;
        let (_locks, states) = self.lock_and_read(&owners)?;
        let mut stale = Vec::new();
        for ((key, _), (owner, state)) in page.iter().zip(owners.iter().zip(&states)) {
            if has_text(state.as_ref(), &keys::parse_embedding_field(key)?) == Some(false) {
                stale.push((owner.id, key.to_vec()));
            }
        }
        // An entity that was deleted after the page was read has no vectors. A supplied vector needs no
        // text.
        let vectors = self.stored(&stale)?;
        let is_stale =
            |vector: &Option<Vec<u8>>| vector.as_ref().is_some_and(|it| !is_supplied(it));
        let left = stale
            .iter()
            .zip(vectors)
            .filter(|(_, vector)| is_stale(vector));
        self.mark(table, mode, left.map(|((id, _), _)| *id))
    }

    /// Marks entities for embedding. Returns the number of newly marked ones. The caller holds the
    /// locks of the entities.
    fn mark(
        &self,
        table: &str,
        mode: Mode,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<usize, Error> {
        let keys: Vec<_> = ids
            .map(|id| keys::entity_key(self.core.table_name(table), id))
            .collect();
        if keys.is_empty() {
            return Ok(0);
        }
        let marks = self.core.storage().multi_get(PENDING_EMBEDDINGS, &keys)?;
        let mut batch = self.core.storage().batch();
        for (key, _) in keys.iter().zip(marks).filter(|(_, mark)| mark.is_none()) {
            batch.put(PENDING_EMBEDDINGS, key, [])?;
        }
        let unmarked = batch.len();
        commit(batch, mode)?;
        Ok(unmarked)
    }

    fn embedding_key(&self, table: &str, field: &str, id: Uuid) -> Vec<u8> {
        keys::embedding_key(self.core.table_name(table), field, id)
    }

    /// Returns what is stored in `embeddings` under these keys.
    fn stored(&self, keys: &[(Uuid, Vec<u8>)]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = keys.iter().map(|(_, key)| key).collect();
        Ok(self.core.storage().multi_get(EMBEDDINGS, &keys)?)
    }
}

/// Returns whether an entity has a text in a field, or `None` if the entity cannot be read.
fn has_text(stored: Option<&Vec<u8>>, field: &str) -> Option<bool> {
    let Some(stored) = stored else {
        return Some(false);
    };
    let record = Record::decode_live(stored).ok()?;
    Some(record.is_some_and(|record| record.text_to_embed(field).is_some()))
}
