//! What can go wrong in the store, one enum per family of operations, each able to carry RocksDB's own failure.
//!
//! RocksDB's errors are converted here and nowhere else. Messages may name paths and column families; they never
//! hold a key or a value. [`ErrorType`] gives telemetry the low-cardinality name: RocksDB's status code where there
//! is one, else the variant's name.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use rocksdb::ErrorKind;

use crate::otel::{ErrorType, register_error_type};

/// RocksDB's status code: the name recorded as `db.response.status_code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusCode {
    /// Something RocksDB needs does not exist.
    NotFound,
    /// Stored bytes do not match their checksum or their format.
    Corruption,
    /// The database was built or opened in a way that does not allow the operation.
    NotSupported,
    /// RocksDB refused an argument or an option.
    InvalidArgument,
    /// The operating system failed to read or write.
    IoError,
    /// A merge is running.
    MergeInProgress,
    /// The operation could not finish within its limits.
    Incomplete,
    /// The database is shutting down.
    ShutdownInProgress,
    /// The operation took longer than allowed.
    TimedOut,
    /// The operation was aborted.
    Aborted,
    /// A resource is in use.
    Busy,
    /// The operation expired.
    Expired,
    /// The operation may succeed when tried again.
    TryAgain,
    /// A compaction would be larger than allowed.
    CompactionTooLarge,
    /// The column family was dropped while in use.
    ColumnFamilyDropped,
    /// RocksDB gave a code unknown here.
    Unknown,
}

impl StatusCode {
    /// The name of the code, as RocksDB spells it.
    ///
    /// ```
    /// use percolate_core::storage::StatusCode;
    ///
    /// assert_eq!(StatusCode::IoError.as_str(), "IOError");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Corruption => "Corruption",
            Self::NotSupported => "NotSupported",
            Self::InvalidArgument => "InvalidArgument",
            Self::IoError => "IOError",
            Self::MergeInProgress => "MergeInProgress",
            Self::Incomplete => "Incomplete",
            Self::ShutdownInProgress => "ShutdownInProgress",
            Self::TimedOut => "TimedOut",
            Self::Aborted => "Aborted",
            Self::Busy => "Busy",
            Self::Expired => "Expired",
            Self::TryAgain => "TryAgain",
            Self::CompactionTooLarge => "CompactionTooLarge",
            Self::ColumnFamilyDropped => "ColumnFamilyDropped",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<ErrorKind> for StatusCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Corruption => Self::Corruption,
            ErrorKind::NotSupported => Self::NotSupported,
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::IOError => Self::IoError,
            ErrorKind::MergeInProgress => Self::MergeInProgress,
            ErrorKind::Incomplete => Self::Incomplete,
            ErrorKind::ShutdownInProgress => Self::ShutdownInProgress,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::Aborted => Self::Aborted,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::Expired => Self::Expired,
            ErrorKind::TryAgain => Self::TryAgain,
            ErrorKind::CompactionTooLarge => Self::CompactionTooLarge,
            ErrorKind::ColumnFamilyDropped => Self::ColumnFamilyDropped,
            ErrorKind::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A failure inside RocksDB, with its status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("RocksDB failed: {0}")]
pub struct StorageError(rocksdb::Error);

impl StorageError {
    /// RocksDB's status code.
    pub fn code(&self) -> StatusCode {
        self.0.kind().into()
    }

    fn says(&self, text: &str) -> bool {
        self.0.as_ref().contains(text)
    }

    pub(super) fn is_lock_conflict(&self) -> bool {
        self.code() == StatusCode::IoError
            && (self.says("lock hold by") || self.says("While lock file"))
    }

    pub(super) fn is_denied(&self) -> bool {
        self.says("Permission denied") || self.says("Read-only file system")
    }

    pub(super) fn is_disk_full(&self) -> bool {
        [
            "No space left on device",
            "Disk quota exceeded",
            "File too large",
        ]
        .iter()
        .any(|text| self.says(text))
    }

    /// Whether the write may have reached the disk in part, so that nothing more may follow it.
    pub(super) fn leaves_log_uncertain(&self) -> bool {
        matches!(self.code(), StatusCode::IoError | StatusCode::Corruption)
    }
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error)
    }
}

impl ErrorType for StorageError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.code().as_str())
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        Some(self.error_type())
    }
}

/// The named column family does not exist in this database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no column family `{name}` here; this database has {}. Open it with \
     `StorageOptions::column_family(\"{name}\")` or call `create_column_family` first",
    Listed(known)
)]
pub struct UnknownColumnFamily {
    /// The name that was asked for.
    pub name: String,
    /// The column families that exist, sorted.
    pub known: Vec<String>,
}

/// Prints names as `a`, `b` and `c`.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            let separator = match position {
                0 => "",
                last if last + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(formatter, "{separator}`{name}`")?;
        }
        Ok(())
    }
}

/// Opening a database failed. Nothing was changed on disk by a refused open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path exists and is no directory.
    #[error("cannot open a database at {}: it is a file; give a directory", path.display())]
    NotADirectory {
        /// The path given.
        path: PathBuf,
    },
    /// There is no database, and the options do not allow one to be made.
    #[error("there is no database at {}; set `create_if_missing` to make one", path.display())]
    Missing {
        /// The path given.
        path: PathBuf,
    },
    /// Another handle, of this process or another, has the database open.
    #[error("the database at {} is already open; close the other handle, or open this one read-only", path.display())]
    Locked {
        /// The path given.
        path: PathBuf,
        /// What RocksDB said.
        source: StorageError,
    },
    /// The operating system does not allow the directory to be read or written.
    #[error("no permission to open the database at {}; check its owner and mode, or open it read-only", path.display())]
    Denied {
        /// The path given.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Files of the database are damaged.
    #[error("the database at {} is damaged; restore it from a backup or a checkpoint", path.display())]
    Corrupt {
        /// The path given.
        path: PathBuf,
        /// What RocksDB said.
        source: StorageError,
    },
    /// Data of a database are there without the file that says which of them count, as after an incomplete copy. Making
    /// a database there would remove them.
    #[error(
        "the database at {} lacks its file `CURRENT`; copy it whole, or restore it from a backup or a checkpoint",
        path.display()
    )]
    Incomplete {
        /// The path given.
        path: PathBuf,
    },
    /// The directory holds a RocksDB database that was not made by percolate.
    #[error("the database at {} holds data but no percolate format version; it was made by something else", path.display())]
    Foreign {
        /// The path given.
        path: PathBuf,
    },
    /// A newer percolate wrote the database.
    #[error(
        "the database at {} has format version {found}, this percolate reads up to {supported}; upgrade percolate",
        path.display()
    )]
    NewerFormat {
        /// The path given.
        path: PathBuf,
        /// The version recorded in the database.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// No space is left to open the database.
    #[error("no space left to open the database at {}; free some and try again", path.display())]
    DiskFull {
        /// The path given.
        path: PathBuf,
        /// What RocksDB said.
        source: StorageError,
    },
    /// Anything else RocksDB reported.
    #[error("cannot open the database at {}", path.display())]
    Storage {
        /// The path given.
        path: PathBuf,
        /// What RocksDB said.
        source: StorageError,
    },
}

impl OpenError {
    /// Sorts RocksDB's answer to an attempt to open `path`.
    pub(super) fn from_storage(path: PathBuf, source: StorageError) -> Self {
        if source.is_lock_conflict() {
            Self::Locked { path, source }
        } else if source.is_denied() {
            Self::Denied {
                path,
                source: Box::new(source),
            }
        } else if source.is_disk_full() {
            Self::DiskFull { path, source }
        } else if source.code() == StatusCode::Corruption {
            Self::Corrupt { path, source }
        } else {
            Self::Storage { path, source }
        }
    }
}

impl ErrorType for OpenError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotADirectory { .. } => "NotADirectory",
            Self::Missing { .. } => "Missing",
            Self::Locked { .. } => "Locked",
            Self::Denied { .. } => "Denied",
            Self::Incomplete { .. } => "Incomplete",
            Self::Foreign { .. } => "Foreign",
            Self::NewerFormat { .. } => "NewerFormat",
            Self::Corrupt { source, .. }
            | Self::DiskFull { source, .. }
            | Self::Storage { source, .. } => source.code().as_str(),
        })
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Locked { source, .. }
            | Self::Corrupt { source, .. }
            | Self::DiskFull { source, .. }
            | Self::Storage { source, .. } => source.status_code(),
            _ => None,
        }
    }
}

/// Reading failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// RocksDB could not read.
    #[error("cannot read from column family `{column_family}`")]
    Storage {
        /// The column family read from.
        column_family: String,
        /// What RocksDB said.
        source: StorageError,
    },
}

impl ErrorType for ReadError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownColumnFamily(_) => Cow::Borrowed("UnknownColumnFamily"),
            Self::Storage { source, .. } => source.error_type(),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::UnknownColumnFamily(_) => None,
            Self::Storage { source, .. } => source.status_code(),
        }
    }
}

/// Writing failed; of a batch, nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// The database was opened read-only.
    #[error("cannot write to a database that was opened read-only; open it without `read_only`")]
    ReadOnly,
    /// An earlier write failed half way, so the log's end is uncertain and nothing more may follow it.
    #[error(
        "an earlier write failed ({code}), so this handle refuses to write; close and reopen the database"
    )]
    Poisoned {
        /// RocksDB's status code of the write that failed.
        code: StatusCode,
    },
    /// No space is left.
    #[error("no space left to write; free some, then reopen the database")]
    DiskFull(#[source] StorageError),
    /// Anything else RocksDB reported.
    #[error("cannot write")]
    Storage(#[source] StorageError),
}

impl From<StorageError> for WriteError {
    fn from(source: StorageError) -> Self {
        if source.is_disk_full() {
            Self::DiskFull(source)
        } else {
            Self::Storage(source)
        }
    }
}

impl ErrorType for WriteError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownColumnFamily(_) => Cow::Borrowed("UnknownColumnFamily"),
            Self::ReadOnly => Cow::Borrowed("ReadOnly"),
            Self::Poisoned { .. } => Cow::Borrowed("Poisoned"),
            Self::DiskFull(source) | Self::Storage(source) => source.error_type(),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::DiskFull(source) | Self::Storage(source) => source.status_code(),
            _ => None,
        }
    }
}

/// Maintenance (flush, compaction, checkpoint, making a column family) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// The column family to be made exists already.
    #[error("the column family `{name}` exists already")]
    ColumnFamilyExists {
        /// Its name.
        name: String,
    },
    /// The database was opened read-only.
    #[error("cannot {operation} a database that was opened read-only; open it without `read_only`")]
    ReadOnly {
        /// What was attempted.
        operation: &'static str,
    },
    /// RocksDB failed.
    #[error("cannot {operation} the database")]
    Storage {
        /// What was attempted.
        operation: &'static str,
        /// What RocksDB said.
        source: StorageError,
    },
}

impl ErrorType for MaintenanceError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownColumnFamily(_) => Cow::Borrowed("UnknownColumnFamily"),
            Self::ColumnFamilyExists { .. } => Cow::Borrowed("ColumnFamilyExists"),
            Self::ReadOnly { .. } => Cow::Borrowed("ReadOnly"),
            Self::Storage { source, .. } => source.error_type(),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Storage { source, .. } => source.status_code(),
            _ => None,
        }
    }
}

/// Makes these errors known in telemetry wherever an application wraps them.
pub(super) fn name_in_telemetry() {
    register_error_type::<StorageError>();
    register_error_type::<OpenError>();
    register_error_type::<ReadError>();
    register_error_type::<WriteError>();
    register_error_type::<MaintenanceError>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_error_keeps_its_name_in_telemetry() {
        name_in_telemetry();
        let error = UnknownColumnFamily {
            name: "artcles".into(),
            known: vec![],
        };
        let wrapped = std::io::Error::other(ReadError::from(error));
        let boxed: Box<dyn std::error::Error> = Box::new(wrapped);
        let info = crate::otel::ErrorInfo::from_chain(&*boxed);
        assert_eq!(
            info.map(|info| info.error_type),
            Some("UnknownColumnFamily".into())
        );
    }

    #[test]
    fn unknown_column_family_lists_the_known_ones() {
        let error = UnknownColumnFamily {
            name: "artcles".into(),
            known: vec!["articles".into(), "meta".into(), "tags".into()],
        };
        let text = error.to_string();
        assert!(text.contains("no column family `artcles`"), "{text}");
        assert!(text.contains("`articles`, `meta` and `tags`"), "{text}");
    }
}
