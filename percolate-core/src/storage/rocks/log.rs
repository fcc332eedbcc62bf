//! Checks RocksDB's write-ahead logs before RocksDB opens them.
//!
//! RocksDB 11.8 finds most damage by itself, because each record has a checksum. Of four kinds of
//! damage it says nothing: for records whose type is that of a reused file, `open` does not return,
//! or ignores the whole log; the rest of a block after zeros is ignored; a record whose length is too
//! large for the file is taken for the last one, which a crash may leave incomplete; and a database
//! without any log opens without the writes in it. percolate does not reuse files.
//!
//! The format: blocks of 32 KiB with records of a checksum (4 bytes, little-endian), a length (2
//! bytes), a type (1 byte) and the data. A record does not cross the end of a block.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::storage::error::OpenError;

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

/// Checks all logs in the directory of a database. Damage that RocksDB finds is not reported here.
pub(super) fn check(path: &Path, logs: &[String]) -> Result<(), OpenError> {
    for log in logs {
        let damage = match File::open(path.join(log)) {
            Ok(mut file) => damage(|block| read_block(&mut file, block)),
            Err(error) => Err(error),
        };
        // A writing process may have deleted the log since. RocksDB reports all other errors.
        if let Ok(Some((offset, reason))) = damage {
            return Err(OpenError::DamagedLog {
                path: path.to_owned(),
                log: log.clone(),
                offset,
                reason,
            });
        }
    }
    Ok(())
}

fn read_block(file: &mut File, block: &mut Vec<u8>) -> io::Result<()> {
    block.clear();
    file.take(BLOCK as u64).read_to_end(block)?;
    Ok(())
}

/// Returns the place of the first damage that RocksDB does not report, and what is wrong there.
/// `read` replaces the bytes by the next block of the log.
fn damage(
    mut read: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<Option<(u64, &'static str)>> {
    let mut block = Vec::new();
    let mut start = 0;
    // The place of zeros that only more zeros may follow.
    let mut zeros = None;
    loop {
        read(&mut block)?;
        let mut rest = &block[..];
        if zeros.is_some() && rest.iter().any(|byte| *byte != 0) {
            break;
        }
        while let Some((header, data)) = rest.split_at_checked(HEADER) {
            let offset = start + (block.len() - rest.len()) as u64;
            let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
            match header[6] {
                5..=8 | 11 | 131 => {
                    return Ok(Some((offset, "a record has the type of a reused file")));
                }
                0 if length == 0 => {
                    zeros = zeros.or(Some(offset));
                    if rest.iter().any(|byte| *byte != 0) {
                        return Ok(Some((offset, ZEROS)));
                    }
                    break;
                }
                _ => {}
            }
            if length > data.len() {
                // In any other block, RocksDB reports the length.
                let is_last = block.len() < BLOCK;
                if is_last && is_complete(header, data) {
                    return Ok(Some((offset, "the length of a record is wrong")));
                }
                break;
            }
            rest = &data[length..];
        }
        start += block.len() as u64;
        if block.len() < BLOCK {
            return Ok(None);
        }
    }
    Ok(zeros.map(|offset| (offset, ZEROS)))
}

const ZEROS: &str = "a part of it is overwritten with zeros";

/// Returns whether the checksum of a record whose length exceeds the file is that of a part of its
/// data. The record is then complete and its length is wrong.
fn is_complete(header: &[u8], data: &[u8]) -> bool {
    let masked = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    // RocksDB masks checksums, because data may contain checksums.
    let expected = masked.wrapping_sub(0xa282_ead8).rotate_left(15);
    let mut checksum = !0_u32;
    std::iter::once(&header[6]).chain(data).any(|byte| {
        checksum = CRC32C[usize::from(checksum.to_le_bytes()[0] ^ byte)] ^ (checksum >> 8);
        !checksum == expected
    })
}

/// The table of CRC-32C.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    let mut start = 0_u32;
    while byte < table.len() {
        let mut value = start;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ ((value & 1) * 0x82f6_3b78);
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
        start += 1;
    }
    table
};

#[cfg(test)]
mod tests;
