//! The files of a directory: those of RocksDB, and those of others, which must not be mixed with a
//! database or deleted.

use std::fs;
use std::io;
use std::path::Path;

/// The number of names in an error message.
const SHOWN: usize = 3;

/// The names of the entries of a directory, sorted.
#[derive(PartialEq, Eq)]
pub(super) struct Directory {
    names: Vec<String>,
}

impl Directory {
    /// Reads the directory at `path`.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(Self { names })
    }

    /// Returns whether there is a database.
    pub(super) fn is_database(&self) -> bool {
        self.names.iter().any(|name| name == "CURRENT")
    }

    /// Returns the names of the write-ahead logs.
    pub(super) fn logs(&self) -> Vec<String> {
        let logs = self.names.iter();
        logs.filter(|name| numbered(name) == Some("log"))
            .cloned()
            .collect()
    }

    /// Returns whether a log is missing. RocksDB writes the file with the options after it has
    /// created a log, and there is always a log after that.
    pub(super) fn misses_log(&self) -> bool {
        let is_written = self.names.iter().any(|name| name.starts_with("OPTIONS-"));
        self.is_database() && is_written && self.logs().is_empty()
    }

    /// Returns whether there are tables or logs of RocksDB.
    pub(super) fn holds_data(&self) -> bool {
        self.names.iter().any(|name| is_data(name))
    }

    /// Returns the names of the files in the way of a new database, for a message. Hidden files and
    /// `lost+found` are not in the way, nor is what an interrupted creation left.
    pub(super) fn in_the_way(&self) -> Option<String> {
        self.listed(|name| !is_of_rocksdb(name) && !name.starts_with('.') && name != "lost+found")
    }

    /// Returns the names of all files that are not of RocksDB, for a message.
    pub(super) fn of_others(&self) -> Option<String> {
        self.listed(|name| !is_of_rocksdb(name))
    }

    /// Returns the first of the names that satisfy `condition`, and the number of the others.
    fn listed(&self, condition: impl Fn(&str) -> bool) -> Option<String> {
        let mut names = self.names.iter().filter(|name| condition(name));
        let shown: Vec<String> = names
            .by_ref()
            .take(SHOWN)
            .map(|name| format!("`{name}`"))
            .collect();
        let text = shown.join(", ");
        match (shown.is_empty(), names.count()) {
            (true, _) => None,
            (false, 0) => Some(text),
            (false, more) => Some(format!("{text} and {more} more")),
        }
    }
}

fn is_data(name: &str) -> bool {
    matches!(numbered(name), Some("sst" | "log" | "blob"))
}

fn is_of_rocksdb(name: &str) -> bool {
    ["CURRENT", "LOCK", "LOG", "IDENTITY"].contains(&name)
        || ["LOG.old.", "MANIFEST-", "OPTIONS-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || is_data(name)
        || numbered(name) == Some("dbtmp")
}

/// Returns the extension of a file whose name is a number, as of all data files of RocksDB.
fn numbered(name: &str) -> Option<&str> {
    let (number, extension) = name.split_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(extension)
}
