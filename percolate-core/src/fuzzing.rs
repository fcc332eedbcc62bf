//! What the fuzz targets call: functions that the public interface reaches only through files. Outside
//! of semantic versioning.

use uuid::Uuid;

use crate::index::saved;
use crate::index::vectors::{self, VectorError};
use crate::schema::entity::{MalformedRecord, Record};

/// Decodes the stored bytes of an entity and encodes it again. Returns `None` if it is deleted.
pub fn encode_again(bytes: &[u8]) -> Result<Option<Vec<u8>>, MalformedRecord> {
    Ok(Record::decode_live(bytes)?.map(|record| record.encode()))
}

/// Returns the payload of the file of a vector index, with `count` vectors.
pub fn index_payload(dimensions: usize, count: u8) -> Result<Vec<u8>, VectorError> {
    let mut index = vectors::empty(dimensions)?;
    for number in 1..=count {
        let vector = vec![f32::from(number); dimensions];
        index.set(Uuid::from_u128(number.into()), &vector)?;
    }
    index.to_bytes()
}

/// Returns the file of a vector index with this payload.
pub fn index_file(payload: &[u8]) -> Vec<u8> {
    saved::frame(Uuid::nil(), payload)
}

/// Reads the file of a vector index, searches and changes the index. Returns the number of vectors
/// that it had, `None` if the file is not used.
pub fn read_index_file(dimensions: usize, bytes: &[u8]) -> Result<Option<usize>, VectorError> {
    let Some(payload) = saved::unframe(bytes, Uuid::nil()) else {
        return Ok(None);
    };
    let mut index = vectors::from_bytes(dimensions, payload)?;
    let (count, vector) = (index.len(), vec![1.0; dimensions]);
    index.search(&vector, count + 1)?;
    for id in index.ids_after(None, count) {
        index.holds(id, &vector);
        index.remove(id)?;
    }
    index.set(Uuid::max(), &vector)?;
    index.to_bytes()?;
    Ok(Some(count))
}
