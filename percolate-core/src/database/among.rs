//! Searching among given entities, as a snapshot has them.
//!
//! The vectors of the entities are compared with the query as they are in the snapshot, so that the
//! results belong to the same moment as the ids. If there are many, the vector index in memory, which
//! has the latest vectors, proposes candidates first. If it proposes too few, all are compared:
//! the number of results is exact.

use std::collections::HashSet;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::core::Core;
use super::error::Error;
use super::nearest::{Hit, nearest_of};
use crate::index::vectors::{
    Neighbour, check_dimensions, cosine_distance, has_direction, vector_from_bytes,
};
use crate::schema::Schema;
use crate::schema::entity::Record;
use crate::storage::column_families::{EMBEDDINGS, ENTITIES};
use crate::storage::{Snapshot, keys};

/// The number of entities up to which all are compared. The graph is slower for few: it visits many
/// nodes until it has found enough of them. Of 20,000 vectors with 384 numbers, ten nearest among 2,048
/// took half as long by comparing, and among 4,096 half as long again.
const FEW: usize = 2048;

/// The number of vectors that are read and compared at a time.
const PAGE: usize = 1024;

/// A search for the nearest among given entities.
pub(crate) struct Among<'a> {
    pub(crate) snapshot: &'a Snapshot<'a>,
    /// The schema of the table in the snapshot.
    pub(crate) schema: &'a Schema,
    /// A vector with a direction.
    pub(crate) query: &'a [f32],
    /// The number of results.
    pub(crate) k: usize,
    /// Called repeatedly. It can end the search.
    pub(crate) flow: &'a dyn Fn() -> ControlFlow<()>,
}

impl Core {
    /// Returns the nearest of the entities `ids`, each id once: `k`, or all that have a vector if
    /// these are fewer.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if `flow` ends the search.
    pub(crate) fn nearest_among(
        &self,
        search: &Among<'_>,
        ids: &[Uuid],
    ) -> Result<Vec<Hit>, Error> {
        self.nearest_of_many(search, ids, FEW)
    }

    /// Like [`nearest_among`](Self::nearest_among), with the number of entities that are few.
    pub(crate) fn nearest_of_many(
        &self,
        search: &Among<'_>,
        ids: &[Uuid],
        few: usize,
    ) -> Result<Vec<Hit>, Error> {
        let k = search.k.min(ids.len());
        if k == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        if ids.len() > few && ids.len() / 2 >= k {
            let candidates = self.candidates(search, ids)?;
            found = self.compared(search, &candidates)?;
        }
        if found.len() < k {
            found = self.compared(search, ids)?;
        }
        self.hits(search, &found)
    }

    /// Returns the entities among `ids` that the vector indexes of the table propose.
    fn candidates(&self, search: &Among<'_>, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let wanted: HashSet<Uuid> = ids.iter().copied().collect();
        let mut candidates = HashSet::new();
        let running = self.index_progress();
        for field in self.embedded_fields(search.schema) {
            let tell = |vectors| match (search.flow)() {
                ControlFlow::Continue(()) => running.notify(vectors, None),
                stopped @ ControlFlow::Break(()) => stopped,
            };
            let reading = self.loaded(search.schema.table(), &field, &tell)?;
            let Some(loaded) = reading.loaded() else {
                continue;
            };
            let is_wanted = |id: Uuid| wanted.contains(&id);
            let found = loaded
                .index
                .search_among(search.query, search.k, &is_wanted)?;
            candidates.extend(found.into_iter().map(|neighbour| neighbour.id));
        }
        Ok(candidates.into_iter().collect())
    }

    /// Returns the nearest of these entities, by comparing all of their vectors.
    fn compared(&self, search: &Among<'_>, ids: &[Uuid]) -> Result<Vec<Neighbour>, Error> {
        let table = self.table_name(search.schema.table());
        let mut found = Vec::new();
        for field in search.schema.embedding_fields() {
            for page in ids.chunks(PAGE) {
                if (search.flow)().is_break() {
                    return Err(Error::Cancelled);
                }
                let key = |id: &Uuid| keys::embedding_key(table, field, *id);
                let keys: Vec<_> = page.iter().map(key).collect();
                let vectors = search.snapshot.multi_get(EMBEDDINGS, &keys)?;
                for (id, vector) in page.iter().zip(vectors) {
                    let Some(vector) = vector.as_deref().map(vector_from_bytes) else {
                        continue;
                    };
                    check_dimensions(search.query.len(), &vector)?;
                    if has_direction(&vector) {
                        found.push(Neighbour {
                            id: *id,
                            distance: cosine_distance(search.query, &vector),
                        });
                    }
                }
            }
        }
        Ok(nearest_of(found, search.k))
    }

    /// Returns the entities that were found, as the snapshot has them.
    fn hits(&self, search: &Among<'_>, found: &[Neighbour]) -> Result<Vec<Hit>, Error> {
        let table = search.schema.table();
        let key = |found: &Neighbour| keys::entity_key(self.table_name(table), found.id);
        let keys: Vec<_> = found.iter().map(key).collect();
        let records = search.snapshot.multi_get(ENTITIES, &keys)?;
        let hit = |(found, record): (&Neighbour, Option<Vec<u8>>)| {
            let record = Record::decode_live(record.as_deref()?);
            let record = record.map_err(|reason| Error::MalformedRecord {
                table: table.to_owned(),
                id: found.id,
                reason,
            });
            let hit = |record: Record| Hit {
                entity: record.into_entity(found.id),
                distance: found.distance,
            };
            Some(record.transpose()?.map(hit))
        };
        found.iter().zip(records).filter_map(hit).collect()
    }
}
