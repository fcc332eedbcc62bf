//! [`Exact`], the vector index without a graph: results are exact, and a search takes time linear
//! in the number of vectors. Builds without the `hnsw` feature use it, and tests compare the graph
//! with it.
//!
//! Serialised form: kind 1, then for each vector its id (16 bytes) and its numbers.

use std::collections::BTreeMap;
use std::ops::Bound;

use uuid::Uuid;

use super::distance::cosine_distance;
use super::encoding::{vector_from_bytes, vector_to_bytes};
use super::error::VectorError;
use super::vector_index::{Neighbour, VectorIndex, check_dimensions, has_direction};

/// An index that compares the query with every vector.
#[derive(Debug)]
pub(crate) struct Exact {
    dimensions: usize,
    vectors: BTreeMap<Uuid, Vec<f32>>,
}

impl Exact {
    const KIND: u8 = 1;

    pub(crate) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            vectors: BTreeMap::new(),
        }
    }

    pub(crate) fn from_bytes(dimensions: usize, bytes: &[u8]) -> Result<Self, VectorError> {
        let entry_length = 16 + dimensions * 4;
        let entries = bytes
            .strip_prefix(&[Self::KIND])
            .ok_or(VectorError::Malformed("unknown kind"))?;
        if entries.len() % entry_length != 0 {
            return Err(VectorError::Malformed("wrong length"));
        }
        let mut index = Self::new(dimensions);
        for entry in entries.chunks_exact(entry_length) {
            let (id, vector) = entry.split_at(16);
            let id = Uuid::from_slice(id).map_err(|_| VectorError::Malformed("invalid id"))?;
            index.vectors.insert(id, vector_from_bytes(vector));
        }
        Ok(index)
    }
}

impl VectorIndex for Exact {
    fn set(&mut self, id: Uuid, vector: &[f32]) -> Result<(), VectorError> {
        check_dimensions(self.dimensions, vector)?;
        if has_direction(vector) {
            self.vectors.insert(id, vector.to_vec());
        } else {
            self.vectors.remove(&id);
        }
        Ok(())
    }

    fn remove(&mut self, id: Uuid) -> Result<(), VectorError> {
        self.vectors.remove(&id);
        Ok(())
    }

    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, VectorError> {
        self.search_among(query, k, &|_| true)
    }

    fn search_among(
        &self,
        query: &[f32],
        k: usize,
        filter: &dyn Fn(Uuid) -> bool,
    ) -> Result<Vec<Neighbour>, VectorError> {
        check_dimensions(self.dimensions, query)?;
        if !has_direction(query) {
            return Ok(Vec::new());
        }
        let mut found: Vec<_> = self
            .vectors
            .iter()
            .filter(|(id, _)| filter(**id))
            .map(|(id, vector)| Neighbour {
                id: *id,
                distance: cosine_distance(query, vector),
            })
            .collect();
        found.sort_by(|left, right| left.distance.total_cmp(&right.distance));
        found.truncate(k);
        Ok(found)
    }

    fn len(&self) -> usize {
        self.vectors.len()
    }

    fn ids_after(&self, after: Option<Uuid>, limit: usize) -> Vec<Uuid> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.vectors
            .range((from, Bound::Unbounded))
            .map(|(id, _)| *id)
            .take(limit)
            .collect()
    }

    fn holds(&self, id: Uuid, vector: &[f32]) -> bool {
        self.vectors
            .get(&id)
            .map_or(!has_direction(vector), |held| held == vector)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, VectorError> {
        let mut bytes = vec![Self::KIND];
        for (id, vector) in &self.vectors {
            bytes.extend(id.as_bytes());
            bytes.extend(vector_to_bytes(vector));
        }
        Ok(bytes)
    }
}
