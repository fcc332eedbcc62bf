//! Vector indexes in files, so that opening a database need not make them anew. A file counts only if it is whole and
//! holds what the store holds; anything else about it means that the index is made from the stored vectors again.
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 8 | `PERCOVEC` |
//! | 4 | format of the file, 1, big-endian |
//! | 16 | generation of the vectors when the file was written, as the store records it |
//! | 8 | length of the payload, big-endian |
//! | … | payload: see [`vectors`](super::vectors) and `hnsw` |
//! | 4 | CRC-32 (IEEE) of everything before, big-endian |

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::vectors::VectorError;

const MAGIC: &[u8; 8] = b"PERCOVEC";
const FORMAT: u32 = 1;
const HEAD: usize = 36;
const FOOT: usize = 4;

/// Writes an index beside the database: whole, or not at all.
pub(crate) fn write(path: &Path, generation: Uuid, payload: &[u8]) -> Result<(), VectorError> {
    let failed = |source| VectorError::Save {
        path: path.to_owned(),
        source,
    };
    write_atomically(path, &frame(generation, payload)).map_err(failed)
}

/// Removes the file of an index, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), VectorError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(VectorError::Save {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// The payload of a file that is whole and of that generation.
pub(crate) fn read(path: &Path, generation: Uuid) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    unframe(&bytes, generation).map(<[u8]>::to_vec)
}

/// The file of an index. Names may hold any byte, so they are hashed.
pub(crate) fn path(database: &Path, name: &[u8]) -> PathBuf {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, name);
    database
        .join("vectors")
        .join(format!("{}.vec", name.simple()))
}

fn frame(generation: Uuid, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + payload.len() + FOOT);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_be_bytes());
    bytes.extend(generation.as_bytes());
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

fn unframe(bytes: &[u8], generation: Uuid) -> Option<&[u8]> {
    let (framed, crc) = bytes.split_last_chunk::<FOOT>()?;
    let (head, payload) = framed.split_first_chunk::<HEAD>()?;
    let expected = frame_head(generation, payload.len());
    (*head == expected && crc32(framed) == u32::from_be_bytes(*crc)).then_some(payload)
}

fn frame_head(generation: Uuid, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    head[12..28].copy_from_slice(generation.as_bytes());
    head[28..].copy_from_slice(&(length as u64).to_be_bytes());
    head
}

/// Into a file of another name first, which takes the place of the old one only when the disk has it.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    let mut byte = 0_u32;
    while index < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
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
        let path = path(dir.path(), b"any\0name");
        write(&path, Uuid::nil(), b"x").unwrap();
        assert_eq!(read(&path, Uuid::nil()).as_deref(), Some(&b"x"[..]));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
