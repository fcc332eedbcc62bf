//! Rows that were checked and are not yet written, of a source that can be read only once: in memory
//! up to a limit, then in a temporary file that has no name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};

use uuid::Uuid;

use super::row::{ImportRow, Row};

/// The bytes that are kept in memory.
const IN_MEMORY: usize = 8 << 20;

/// Collects rows. Each is stored as its number and its length, both u64 little-endian, and its JSON.
pub(super) struct Spool {
    memory: Vec<u8>,
    in_memory: usize,
    file: Option<BufWriter<File>>,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self::with_memory(IN_MEMORY)
    }

    fn with_memory(in_memory: usize) -> Self {
        Self {
            memory: Vec::new(),
            in_memory,
            file: None,
        }
    }

    /// Adds the number of a row and its JSON.
    pub(super) fn add(&mut self, line: usize, json: &[u8]) -> io::Result<()> {
        self.keep(line, json).map_err(|error| not_kept(&error))
    }

    fn keep(&mut self, line: usize, json: &[u8]) -> io::Result<()> {
        let header = [line, json.len()].map(|number| (number as u64).to_le_bytes());
        let header = header.as_flattened();
        let file = match &mut self.file {
            Some(file) => file,
            None if self.memory.len() + header.len() + json.len() <= self.in_memory => {
                self.memory.extend_from_slice(header);
                self.memory.extend_from_slice(json);
                return Ok(());
            }
            file => {
                let file = file.insert(BufWriter::new(nameless_file()?));
                file.write_all(&std::mem::take(&mut self.memory))?;
                file
            }
        };
        file.write_all(header)?;
        file.write_all(json)
    }

    /// Returns the rows in the order in which they were added.
    pub(super) fn rows(self) -> io::Result<impl Iterator<Item = io::Result<Row>>> {
        let mut reader: Box<dyn Read> = match self.file {
            None => Box::new(io::Cursor::new(self.memory)),
            Some(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                let mut file = file.map_err(|error| not_kept(&error))?;
                file.rewind()?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(std::iter::from_fn(move || read(&mut *reader).transpose()))
    }
}

fn read(reader: &mut dyn Read) -> io::Result<Option<Row>> {
    let Some(line) = number(reader)? else {
        return Ok(None);
    };
    let length = number(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut json = vec![0; length];
    reader.read_exact(&mut json)?;
    let row = ImportRow::Line(json);
    Ok(Some(Row { line, row }))
}

/// Reads a number. Returns `None` at the end.
fn number(reader: &mut dyn Read) -> io::Result<Option<usize>> {
    let mut bytes = [0; 8];
    match reader.read_exact(&mut bytes) {
        Ok(()) => usize::try_from(u64::from_le_bytes(bytes))
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a file in the directory for temporary files, which only this user can read, and removes
/// its name.
fn nameless_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("percolate-import-{}", Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn not_kept(error: &io::Error) -> io::Error {
    let text = format!(
        "cannot keep the checked rows in a temporary file in {}: {error}",
        std::env::temp_dir().display()
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order_from_memory_and_from_the_file() {
        for in_memory in [0, 40, 1 << 20] {
            let mut spool = Spool::with_memory(in_memory);
            for line in [1, 2, 5] {
                spool.add(line, format!("[{line}]").as_bytes()).unwrap();
            }
            spool.add(6, b"").unwrap();
            assert_eq!(spool.file.is_some(), in_memory < 100);
            let rows: Vec<_> = spool
                .rows()
                .unwrap()
                .map(|row| {
                    let Row { line, row } = row.unwrap();
                    (line, row)
                })
                .collect();
            let row = |line, text: &str| (line, ImportRow::Line(text.into()));
            assert_eq!(
                rows,
                [row(1, "[1]"), row(2, "[2]"), row(5, "[5]"), row(6, "")]
            );
        }
    }
}
