//! [`VectorIndex`], the contract of every vector index, and the checks that all implementations
//! share.

use std::fmt::Debug;

use uuid::Uuid;

use super::error::VectorError;

/// An entity and the distance of its vector to the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) id: Uuid,
    pub(crate) distance: f32,
}

/// A nearest-neighbour index. Each entity has at most one vector.
pub(crate) trait VectorIndex: Debug + Send + Sync {
    /// Adds or replaces the vector of an entity. A vector without direction removes the entity.
    fn set(&mut self, id: Uuid, vector: &[f32]) -> Result<(), VectorError>;

    /// Removes the vector of an entity. Does nothing if there is none.
    fn remove(&mut self, id: Uuid) -> Result<(), VectorError>;

    /// Returns the `k` nearest entities, nearest first, or all of them if there are fewer.
    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, VectorError>;

    /// Returns the nearest of the entities that pass the filter, at most `k`, nearest first. There
    /// may be fewer although more pass the filter. The filter must not panic.
    #[cfg_attr(
        not(feature = "sql"),
        allow(dead_code, reason = "conditions in SQL use it")
    )]
    fn search_among(
        &self,
        query: &[f32],
        k: usize,
        filter: &dyn Fn(Uuid) -> bool,
    ) -> Result<Vec<Neighbour>, VectorError>;

    /// Returns the number of vectors.
    fn len(&self) -> usize;

    /// Returns at most `limit` ids of entities with a vector, in ascending order, starting after
    /// `after`.
    fn ids_after(&self, after: Option<Uuid>, limit: usize) -> Vec<Uuid>;

    /// Returns `true` if the index holds exactly this vector for the entity. For a vector without
    /// direction, returns `true` if the index holds none.
    fn holds(&self, id: Uuid, vector: &[f32]) -> bool;

    /// Serialises the index. [`from_bytes`](super::from_bytes) restores it.
    fn to_bytes(&self) -> Result<Vec<u8>, VectorError>;
}

/// Returns an error if the length of `vector` is not `expected`.
pub(crate) fn check_dimensions(expected: usize, vector: &[f32]) -> Result<(), VectorError> {
    match vector.len() {
        found if found == expected => Ok(()),
        found => Err(VectorError::WrongDimensions { expected, found }),
    }
}

/// Returns an error if `vector` cannot be searched for.
pub(crate) fn check_query(expected: usize, vector: &[f32]) -> Result<(), VectorError> {
    match vector.len() {
        found if found != expected => Err(VectorError::QueryDimensions { expected, found }),
        _ if !has_direction(vector) => Err(VectorError::QueryWithoutDirection),
        _ => Ok(()),
    }
}

/// Returns `true` if `vector` has a direction: its numbers are finite and not all zero.
pub(crate) fn has_direction(vector: &[f32]) -> bool {
    vector.iter().any(|number| *number != 0.0) && vector.iter().all(|number| number.is_finite())
}
