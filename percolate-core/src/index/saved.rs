//! Vector index files, which make rebuilding the indexes on open unnecessary. A file is used only
//! if it is intact and matches the stored vectors. Otherwise the index is rebuilt from the stored
//! vectors.
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 8 | `PERCOVEC` |
//! | 4 | format of the file, 1, big-endian |
//! | 16 | generation of the vectors when the file was written, as the store records it |
//! | 8 | length of the payload, big-endian |
//! | … | payload: see `vectors::hnsw` and `vectors::exact` |
//! | 4 | CRC-32 (IEEE) of everything before, big-endian |

use std::io;

use uuid::Uuid;

use super::vectors::VectorError;
use crate::storage::Storage;

const MAGIC: &[u8; 8] = b"PERCOVEC";
const FORMAT: u32 = 1;
const HEAD: usize = 36;
const FOOT: usize = 4;

/// Writes the file of an index atomically.
pub(crate) fn write(
    storage: &Storage,
    index: &[u8],
    generation: Uuid,
    payload: &[u8],
) -> Result<(), VectorError> {
    let name = file_name(index);
    let written = storage.write_file(&name, frame(generation, payload));
    written.map_err(|source| failed(storage, &name, source))
}

/// Removes the file of an index, if it exists.
pub(crate) fn remove(storage: &Storage, index: &[u8]) -> Result<(), VectorError> {
    let name = file_name(index);
    let removed = storage.remove_file(&name);
    removed.map_err(|source| failed(storage, &name, source))
}

/// Returns the payload of the file of an index, or `None` if the file is missing, damaged or of
/// another generation.
pub(crate) fn read(storage: &Storage, index: &[u8], generation: Uuid) -> Option<Vec<u8>> {
    let bytes = storage.read_file(&file_name(index)).ok()??;
    unframe(&bytes, generation).map(<[u8]>::to_vec)
}

/// Returns the name of an index file below the place of the database. Names of indexes may contain
/// any byte, so the name is a hash.
pub(crate) fn file_name(index: &[u8]) -> String {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, index);
    format!("vectors/{}.vec", name.simple())
}

fn failed(storage: &Storage, name: &str, source: io::Error) -> VectorError {
    VectorError::Save {
        path: storage.path().join(name),
        source,
    }
}

/// Returns the bytes of a file with this payload.
pub(crate) fn frame(generation: Uuid, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + payload.len() + FOOT);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_be_bytes());
    bytes.extend(generation.as_bytes());
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Returns the payload of an intact file of this generation.
pub(crate) fn unframe(bytes: &[u8], generation: Uuid) -> Option<&[u8]> {
    let (framed, crc) = bytes.split_last_chunk::<FOOT>()?;
    let (head, payload) = framed.split_first_chunk::<HEAD>()?;
    let expected = frame_head(generation, payload.len());
    (*head == expected && crc32fast::hash(framed) == u32::from_be_bytes(*crc)).then_some(payload)
}

fn frame_head(generation: Uuid, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    head[12..28].copy_from_slice(generation.as_bytes());
    head[28..].copy_from_slice(&(length as u64).to_be_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::StorageOptions;

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn any_changed_byte_makes_a_file_worthless() {
        let generation = Uuid::from_u128(5);
        let bytes = frame(generation, b"payload");
        assert_eq!(unframe(&bytes, generation), Some(&b"payload"[..]));
        assert_eq!(unframe(&bytes, Uuid::from_u128(6)), None);
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert_eq!(unframe(&damaged, generation), None, "byte {position}");
            assert_eq!(
                unframe(&bytes[..position], generation),
                None,
                "cut at {position}"
            );
        }
    }

    #[test]
    fn a_file_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path(), StorageOptions::new()).unwrap();
        let index = b"any\0name";
        assert_eq!(read(&storage, index, Uuid::nil()), None);
        write(&storage, index, Uuid::nil(), b"x").unwrap();
        assert_eq!(
            read(&storage, index, Uuid::nil()).as_deref(),
            Some(&b"x"[..])
        );
        let files = std::fs::read_dir(dir.path().join("vectors")).unwrap();
        assert_eq!(files.count(), 1, "no temporary file stays");
        remove(&storage, index).unwrap();
        remove(&storage, index).unwrap();
        assert_eq!(read(&storage, index, Uuid::nil()), None);
    }
}
