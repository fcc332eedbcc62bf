//! Vector indexes: nearest-neighbour search over the embeddings of entities. This file chooses the
//! implementation of the build. The contract is in `vector_index`, the implementations are in
//! `hnsw` and `exact`.
//!
//! Distances are cosine distances: 0 for the same direction, 2 for the opposite one. A vector that
//! is all zeros or contains a number that is not finite has no direction and is in no index.

#[cfg(any(not(feature = "hnsw"), feature = "sql", test))]
mod distance;
mod encoding;
mod error;
#[cfg(any(not(feature = "hnsw"), test))]
mod exact;
#[cfg(feature = "hnsw")]
mod hnsw;
mod vector_index;

#[cfg(feature = "sql")]
pub(crate) use self::distance::cosine_distance;
pub(crate) use self::encoding::{
    is_supplied, supplied_to_bytes, vector_from_bytes, vector_to_bytes,
};
pub use self::error::VectorError;
pub(crate) use self::vector_index::{
    Neighbour, VectorIndex, check_dimensions, check_query, has_direction,
};

/// Creates an empty index.
#[cfg_attr(
    not(feature = "hnsw"),
    expect(clippy::unnecessary_wraps, reason = "the graph can fail")
)]
pub(crate) fn empty(dimensions: usize) -> Result<Box<dyn VectorIndex>, VectorError> {
    #[cfg(feature = "hnsw")]
    return Ok(Box::new(hnsw::Hnsw::new(dimensions)?));
    #[cfg(not(feature = "hnsw"))]
    return Ok(Box::new(exact::Exact::new(dimensions)));
}

/// Restores an index from the bytes of [`VectorIndex::to_bytes`].
pub(crate) fn from_bytes(
    dimensions: usize,
    bytes: &[u8],
) -> Result<Box<dyn VectorIndex>, VectorError> {
    #[cfg(feature = "hnsw")]
    return Ok(Box::new(hnsw::Hnsw::from_bytes(dimensions, bytes)?));
    #[cfg(not(feature = "hnsw"))]
    return Ok(Box::new(exact::Exact::from_bytes(dimensions, bytes)?));
}

#[cfg(test)]
mod tests;
