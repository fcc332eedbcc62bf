//! Vector indexes: which entities have the vectors nearest to a given one. What an index must do ([`VectorIndex`]),
//! and the one that compares with every vector ([`Exact`]); `hnsw` holds the one that does not have to.
//!
//! Distance is cosine distance, 0 for the same direction and 2 for the opposite one. Vectors of length zero, and those
//! with a number that is not finite, have no direction and are in no index.

use std::borrow::Cow;
#[cfg(any(not(feature = "hnsw"), test))]
use std::collections::BTreeMap;
use std::fmt::Debug;
#[cfg(any(not(feature = "hnsw"), test))]
use std::ops::Bound;

use uuid::Uuid;

use crate::otel::ErrorType;

/// A vector index failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// A vector has another length than the index was made for.
    #[error(
        "a vector has {found} dimensions where the index has {expected}; rebuild it with the present provider"
    )]
    WrongDimensions {
        /// Dimensions of the index.
        expected: usize,
        /// Dimensions of the vector.
        found: usize,
    },
    /// The index itself failed.
    #[error("the vector index failed")]
    Index(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The index could not be written to its file.
    #[error("cannot write the vector index to {}", path.display())]
    Save {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bytes of a saved index are not one.
    #[error("a saved vector index is malformed ({0}); it will be made anew")]
    Malformed(&'static str),
}

impl ErrorType for VectorError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::WrongDimensions { .. } => "VectorWrongDimensions",
            Self::Index(_) => "VectorIndex",
            Self::Save { .. } => "VectorSave",
            Self::Malformed(_) => "VectorMalformed",
        })
    }
}

/// An entity and the distance of its vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) id: Uuid,
    pub(crate) distance: f32,
}

/// Finds near vectors.
pub(crate) trait VectorIndex: Debug + Send + Sync {
    /// Adds the vector of an entity, or replaces it. One without direction is removed.
    fn set(&mut self, id: Uuid, vector: &[f32]) -> Result<(), VectorError>;

    /// Removes the vector of an entity. Removing what is not there is no error.
    fn remove(&mut self, id: Uuid) -> Result<(), VectorError>;

    /// The `k` nearest entities, nearest first; fewer only where there are fewer.
    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, VectorError>;

    /// The number of vectors.
    fn len(&self) -> usize;

    /// At most `limit` of the entities that have a vector, in the order of their ids, beginning after `after`.
    fn ids_after(&self, after: Option<Uuid>, limit: usize) -> Vec<Uuid>;

    /// Whether the index has this vector for an entity. One without direction it has by having none.
    fn holds(&self, id: Uuid, vector: &[f32]) -> bool;

    /// Everything needed to make the index again.
    fn to_bytes(&self) -> Result<Vec<u8>, VectorError>;
}

/// The kind of index this build makes, empty.
#[cfg_attr(
    not(feature = "hnsw"),
    expect(clippy::unnecessary_wraps, reason = "the graph can fail")
)]
pub(crate) fn empty(dimensions: usize) -> Result<Box<dyn VectorIndex>, VectorError> {
    #[cfg(feature = "hnsw")]
    return Ok(Box::new(super::hnsw::Hnsw::new(dimensions)?));
    #[cfg(not(feature = "hnsw"))]
    return Ok(Box::new(Exact::new(dimensions)));
}

/// The kind of index this build makes, from [`VectorIndex::to_bytes`].
pub(crate) fn from_bytes(
    dimensions: usize,
    bytes: &[u8],
) -> Result<Box<dyn VectorIndex>, VectorError> {
    #[cfg(feature = "hnsw")]
    return Ok(Box::new(super::hnsw::Hnsw::from_bytes(dimensions, bytes)?));
    #[cfg(not(feature = "hnsw"))]
    return Ok(Box::new(Exact::from_bytes(dimensions, bytes)?));
}

/// Refuses vectors of another length.
pub(crate) fn check_dimensions(expected: usize, vector: &[f32]) -> Result<(), VectorError> {
    match vector.len() {
        found if found == expected => Ok(()),
        found => Err(VectorError::WrongDimensions { expected, found }),
    }
}

/// Whether a vector can be compared.
pub(crate) fn has_direction(vector: &[f32]) -> bool {
    vector.iter().any(|number| *number != 0.0) && vector.iter().all(|number| number.is_finite())
}

/// Compares with every vector: exact, and as slow as there are vectors. With the graph, it is the yardstick of tests.
#[derive(Debug)]
#[cfg(any(not(feature = "hnsw"), test))]
pub(crate) struct Exact {
    dimensions: usize,
    vectors: BTreeMap<Uuid, Vec<f32>>,
}

#[cfg(any(not(feature = "hnsw"), test))]
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
            .ok_or(VectorError::Malformed("of another kind"))?;
        if entries.len() % entry_length != 0 {
            return Err(VectorError::Malformed("of another length"));
        }
        let mut index = Self::new(dimensions);
        for entry in entries.chunks_exact(entry_length) {
            let (id, vector) = entry.split_at(16);
            let id = Uuid::from_slice(id).map_err(|_| VectorError::Malformed("without an id"))?;
            index.vectors.insert(id, vector_from_bytes(vector));
        }
        Ok(index)
    }
}

#[cfg(any(not(feature = "hnsw"), test))]
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
        check_dimensions(self.dimensions, query)?;
        if !has_direction(query) {
            return Ok(Vec::new());
        }
        let mut found: Vec<_> = self
            .vectors
            .iter()
            .map(|(id, vector)| Neighbour {
                id: *id,
                distance: distance(query, vector),
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

/// Cosine distance of two vectors that have a direction.
#[cfg(any(not(feature = "hnsw"), test))]
fn distance(left: &[f32], right: &[f32]) -> f32 {
    let (mut product, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (left, right) in left.iter().zip(right) {
        product += left * right;
        left_square += left * left;
        right_square += right * right;
    }
    1.0 - product / (f32::sqrt(left_square) * f32::sqrt(right_square)).max(f32::MIN_POSITIVE)
}

/// A vector as the store keeps it: f32, little-endian, one after the other.
pub(crate) fn vector_to_bytes(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

pub(crate) fn vector_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect()
}

/// What every kind of index must do, whatever it is built on.
#[cfg(test)]
pub(crate) mod contract {
    use super::*;

    pub(crate) fn all(
        empty: impl Fn(usize) -> Box<dyn VectorIndex>,
        from: impl Fn(usize, &[u8]) -> Box<dyn VectorIndex>,
    ) {
        finds_nearest_first(empty(2));
        replaces_and_removes(empty(2));
        gives_as_many_as_asked(empty(2));
        tells_what_it_holds(empty(2));
        serves_many_threads_at_once(empty(2));
        refuses_other_dimensions(empty(2));
        comes_back_from_its_bytes(empty(2), from);
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn ids(found: &[Neighbour]) -> Vec<u128> {
        found
            .iter()
            .map(|neighbour| neighbour.id.as_u128())
            .collect()
    }

    /// The numbers 1 to `count`, on an arc that leads away from (1, 0).
    fn arc(index: &mut dyn VectorIndex, count: u16) {
        for number in 1..=count {
            let angle = f32::from(number) / f32::from(count);
            index
                .set(id(number.into()), &[angle.cos(), angle.sin()])
                .unwrap();
        }
    }

    fn finds_nearest_first(mut index: Box<dyn VectorIndex>) {
        assert!(index.search(&[1.0, 0.0], 5).unwrap().is_empty());
        arc(&mut *index, 9);
        let found = index.search(&[1.0, 0.0], 3).unwrap();
        assert_eq!(ids(&found), [1, 2, 3]);
        assert!(index.search(&[f32::NAN, 0.0], 3).unwrap().is_empty());
        assert!(found[0].distance >= 0.0 && found[0].distance < found[1].distance);
    }

    fn replaces_and_removes(mut index: Box<dyn VectorIndex>) {
        arc(&mut *index, 3);
        index.set(id(1), &[-1.0, 0.0]).unwrap();
        assert_eq!(index.len(), 3);
        assert_eq!(ids(&index.search(&[1.0, 0.0], 9).unwrap()), [2, 3, 1]);
        index.remove(id(2)).unwrap();
        index.remove(id(77)).unwrap();
        index.set(id(3), &[0.0, 0.0]).unwrap();
        index.set(id(4), &[f32::INFINITY, 0.0]).unwrap();
        assert_eq!(ids(&index.search(&[1.0, 0.0], 9).unwrap()), [1]);
        assert_eq!(index.len(), 1);
    }

    fn gives_as_many_as_asked(mut index: Box<dyn VectorIndex>) {
        arc(&mut *index, 300);
        let numbers: Vec<u128> = (1..=300).collect();
        assert_eq!(ids(&index.search(&[1.0, 0.0], 300).unwrap()), numbers);
        assert_eq!(
            ids(&index.search(&[1.0, 0.0], usize::MAX).unwrap()),
            numbers
        );
        assert!(index.search(&[1.0, 0.0], 0).unwrap().is_empty());
    }

    fn tells_what_it_holds(mut index: Box<dyn VectorIndex>) {
        arc(&mut *index, 5);
        let numbers = |after: Option<u128>, limit| {
            index
                .ids_after(after.map(id), limit)
                .into_iter()
                .map(|id| id.as_u128())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (numbers(None, 2), numbers(Some(2), 9)),
            (vec![1, 2], vec![3, 4, 5])
        );
        let angle = 1.0_f32 / 5.0;
        assert!(index.holds(id(1), &[angle.cos(), angle.sin()]));
        assert!(!index.holds(id(2), &[angle.cos(), angle.sin()]));
        assert!(!index.holds(id(6), &[1.0, 0.0]) && index.holds(id(6), &[0.0, 0.0]));
    }

    fn serves_many_threads_at_once(mut index: Box<dyn VectorIndex>) {
        arc(&mut *index, 300);
        let index = &*index;
        let together = std::sync::Barrier::new(32);
        std::thread::scope(|threads| {
            for _ in 0..32 {
                threads.spawn(|| {
                    together.wait();
                    for _ in 0..200 {
                        assert_eq!(ids(&index.search(&[1.0, 0.0], 3).unwrap()), [1, 2, 3]);
                    }
                });
            }
        });
    }

    fn refuses_other_dimensions(mut index: Box<dyn VectorIndex>) {
        let wrong = |result| {
            matches!(
                result,
                Err(VectorError::WrongDimensions {
                    expected: 2,
                    found: 3
                })
            )
        };
        assert!(wrong(index.set(id(1), &[1.0; 3])));
        assert!(wrong(index.search(&[1.0; 3], 1).map(drop)));
    }

    fn comes_back_from_its_bytes(
        mut index: Box<dyn VectorIndex>,
        from: impl Fn(usize, &[u8]) -> Box<dyn VectorIndex>,
    ) {
        arc(&mut *index, 20);
        index.remove(id(1)).unwrap();
        let mut again = from(2, &index.to_bytes().unwrap());
        assert_eq!(again.len(), 19);
        assert_eq!(ids(&again.search(&[1.0, 0.0], 2).unwrap()), [2, 3]);
        again.set(id(1), &[1.0, 0.0]).unwrap();
        assert_eq!(ids(&again.search(&[1.0, 0.0], 1).unwrap()), [1]);
    }

    #[test]
    fn the_exact_index_does_what_an_index_must() {
        all(
            |dimensions| Box::new(Exact::new(dimensions)),
            |dimensions, bytes| Box::new(Exact::from_bytes(dimensions, bytes).unwrap()),
        );
    }
}
