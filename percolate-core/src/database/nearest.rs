//! Searching the vector indexes in memory for the entities whose vectors are nearest to a query. They
//! contain the latest vectors. [`among`](super::among) searches among given entities.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use uuid::Uuid;

use super::core::Core;
use super::error::Error;
use super::pending::PAGE;
use super::slot::Field;
use crate::index::vectors::Neighbour;
use crate::otel::Rows;
use crate::schema::Schema;
use crate::schema::entity::{Entity, Record};

/// Returns `true` for entities that a search may return. It is called for the nearest entities
/// first, and only until enough of them have passed.
pub type SearchFilter<'a> = dyn Fn(&Entity) -> bool + Sync + 'a;

/// An entity found by a search.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// The entity.
    pub entity: Entity,
    /// The cosine distance between its vector and the query's, from 0 (same direction) to 2
    /// (opposite direction).
    pub distance: f32,
}

impl Rows for Hit {
    fn rows(&self) -> Option<usize> {
        Some(1)
    }
}

impl Core {
    pub(super) fn nearest(
        &self,
        schema: &Schema,
        vector: &[f32],
        k: usize,
        filter: Option<&SearchFilter<'_>>,
    ) -> Result<Vec<Hit>, Error> {
        let table = schema.table();
        let mut found: Vec<Neighbour> = Vec::new();
        for field in self.embedded_fields(schema) {
            found.extend(match filter {
                None => self.nearest_in(table, &field, vector, k)?,
                Some(filter) => self.nearest_kept(table, &field, vector, k, filter)?,
            });
        }
        let found = nearest_of(found, k);
        let ids: Vec<Uuid> = found.iter().map(|neighbour| neighbour.id).collect();
        let hit = |(neighbour, record): (Neighbour, Option<Record>)| {
            Some(Hit {
                entity: record?.into_entity(neighbour.id),
                distance: neighbour.distance,
            })
        };
        Ok(found
            .into_iter()
            .zip(self.found_records(table, &ids)?)
            .filter_map(hit)
            .collect())
    }

    fn nearest_in(
        &self,
        table: &str,
        field: &Field,
        vector: &[f32],
        k: usize,
    ) -> Result<Vec<Neighbour>, Error> {
        let running = self.index_progress();
        let tell = |vectors| running.notify(vectors, None);
        let reading = self.loaded(table, field, &tell)?;
        Ok(reading
            .loaded()
            .map(|loaded| loaded.index.search(vector, k))
            .transpose()?
            .unwrap_or_default())
    }

    /// Returns the nearest vectors of a field whose entities pass the filter. Searches for more and
    /// more neighbours until enough have passed or there are no more. The filter is called for the
    /// nearest first, and no lock of an index is held during the call.
    fn nearest_kept(
        &self,
        table: &str,
        field: &Field,
        vector: &[f32],
        k: usize,
        filter: &SearchFilter<'_>,
    ) -> Result<Vec<Neighbour>, Error> {
        let (mut seen, mut kept) = (HashSet::new(), Vec::new());
        let mut wanted = k.saturating_mul(4).max(64);
        while kept.len() < k {
            let mut found = self.nearest_in(table, field, vector, wanted)?;
            let is_last = found.len() < wanted;
            found.retain(|neighbour| seen.insert(neighbour.id));
            for page in found.chunks(PAGE) {
                let ids: Vec<Uuid> = page.iter().map(|neighbour| neighbour.id).collect();
                for (neighbour, record) in page.iter().zip(self.found_records(table, &ids)?) {
                    let entity = record.map(|record| record.into_entity(neighbour.id));
                    if kept.len() < k && entity.is_some_and(|entity| filter(&entity)) {
                        kept.push(*neighbour);
                    }
                }
                if kept.len() == k {
                    break;
                }
            }
            if is_last {
                break;
            }
            wanted = wanted.saturating_mul(4);
        }
        Ok(kept)
    }

    /// Loads the indexes of a table on the blocking pool, because building an index takes long.
    /// Dropping the future ends the loading.
    pub(super) async fn bring_into_memory(&self, schema: &Schema) -> Result<(), Error> {
        let is_loaded = |field: &Field| field.slot.read().loaded().is_some();
        if self.embedded_fields(schema).iter().all(is_loaded) {
            return Ok(());
        }
        let table = schema.table().to_owned();
        let wanted = Arc::new(());
        let dropped = Arc::downgrade(&wanted);
        let load = move |core: &Self| {
            let running = core.index_progress();
            let tell = |vectors| match dropped.strong_count() {
                0 => ControlFlow::Break(()),
                _ => running.notify(vectors, None),
            };
            core.load_index(&table, &tell).map(drop)
        };
        let loaded = self.blocking(load).await;
        drop(wanted);
        loaded
    }
}

/// Returns the `k` nearest, nearest first, each entity once.
pub(super) fn nearest_of(mut found: Vec<Neighbour>, k: usize) -> Vec<Neighbour> {
    found.sort_by(|left, right| left.distance.total_cmp(&right.distance));
    let mut seen = HashSet::new();
    found.retain(|neighbour| seen.insert(neighbour.id));
    found.truncate(k);
    found
}
