//! The errors of the store: one enum for each family of operations, with the engine's error as source.
//!
//! RocksDB's errors are converted only here. Messages may contain paths and column families, and
//! never a key or a value. [`ErrorType`] returns the low-cardinality name for telemetry: RocksDB's
//! status code, or the name of the variant.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use rocksdb::ErrorKind;

use super::url::has_scheme;
use crate::otel::{ErrorType, register_error_type};

/// The status code of the engine, recorded as `db.response.status_code`. The codes are RocksDB's,
/// and those of SlateDB that RocksDB does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusCode {
    /// A file or another object does not exist.
    NotFound,
    /// Stored bytes do not match their checksum or format.
    Corruption,
    /// The database was built or opened without support for the operation.
    NotSupported,
    /// RocksDB rejected an argument or an option.
    InvalidArgument,
    /// The operating system reported an I/O error.
    IoError,
    /// A merge is in progress.
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
    /// The operation expired, or the state of a reader that was not refreshed for long (SlateDB).
    Expired,
    /// The operation may succeed if it is repeated.
    TryAgain,
    /// A compaction would be larger than allowed.
    CompactionTooLarge,
    /// The column family was dropped while in use.
    ColumnFamilyDropped,
    /// The object store cannot be reached, or answers with errors that may pass (SlateDB).
    Unavailable,
    /// The object store refuses the request, and would do so again: the credentials or the permissions
    /// are not sufficient, or the bucket does not exist (SlateDB).
    Refused,
    /// Another writer has opened the database, so this one must not write (SlateDB).
    Fenced,
    /// The database was closed (SlateDB).
    Closed,
    /// The engine failed inside (SlateDB).
    Internal,
    /// A code that this version does not know.
    Unknown,
}

impl StatusCode {
    /// Returns the engine's name of the code.
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
            Self::Unavailable => "Unavailable",
            Self::Refused => "Refused",
            Self::Fenced => "Fenced",
            Self::Closed => "Closed",
            Self::Internal => "Internal",
            Self::Unknown => "Unknown",
        }
    }
}

impl StatusCode {
    /// Reads the code from the begin of one of RocksDB's messages, as the `rocksdb` crate does.
    pub(super) fn of_message(message: &[u8]) -> Self {
        let code = message.split(|byte| *byte == b':').next();
        match code.unwrap_or_default() {
            b"NotFound" => Self::NotFound,
            b"Corruption" => Self::Corruption,
            b"Not implemented" => Self::NotSupported,
            b"Invalid argument" => Self::InvalidArgument,
            b"IO error" => Self::IoError,
            b"Merge in progress" => Self::MergeInProgress,
            b"Result incomplete" => Self::Incomplete,
            b"Shutdown in progress" => Self::ShutdownInProgress,
            b"Operation timed out" => Self::TimedOut,
            b"Operation aborted" => Self::Aborted,
            b"Resource busy" => Self::Busy,
            b"Operation expired" => Self::Expired,
            b"Operation failed. Try again." => Self::TryAgain,
            b"Compaction too large" => Self::CompactionTooLarge,
            b"Column family dropped" => Self::ColumnFamilyDropped,
            _ => Self::Unknown,
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

/// An error of the engine, with its status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} failed: {}", .0.engine, .0.message)]
pub struct StorageError(Box<Failure>);

/// In a box, because every result of a read has room for its error.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    engine: &'static str,
    code: StatusCode,
    message: String,
}

impl StorageError {
    /// Creates an error of the engine that calls itself `engine`.
    pub(super) fn new(engine: &'static str, code: StatusCode, message: String) -> Self {
        Self(Box::new(Failure {
            engine,
            code,
            message,
        }))
    }

    /// Returns the engine's status code.
    pub fn code(&self) -> StatusCode {
        self.0.code
    }

    /// Returns the engine's message.
    #[cfg(feature = "object-store")]
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    fn says(&self, text: &str) -> bool {
        self.0.message.contains(text)
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

    /// Returns whether part of the write may have reached the disk, so that no write may follow.
    pub(super) fn leaves_log_uncertain(&self) -> bool {
        matches!(self.code(), StatusCode::IoError | StatusCode::Corruption)
    }
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self::new("RocksDB", error.kind().into(), error.into_string())
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

/// The error for a column family that does not exist in this database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no column family `{name}` here; this database has {}. Open it with \
     `StorageOptions::column_family(\"{name}\")` or call `create_column_family` first",
    Listed(known)
)]
pub struct UnknownColumnFamily {
    /// The requested name.
    pub name: String,
    /// The existing column families, sorted.
    pub known: Vec<String>,
}

/// Formats names as `a`, `b` and `c`.
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

/// An error of [`Storage::open`](super::Storage::open). A failed open has changed nothing on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path exists and is not a directory.
    #[error("cannot open a database at {}: it is a file; pass a directory", path.display())]
    NotADirectory {
        /// The given path.
        path: PathBuf,
    },
    /// The database does not exist, and the options do not allow creating it.
    #[error("there is no database at {}; set `create_if_missing` to create it", path.display())]
    Missing {
        /// The given path.
        path: PathBuf,
    },
    /// The database is open in this or another process.
    #[error("the database at {} is already open; close the other handle, or open this one read-only", path.display())]
    Locked {
        /// The given path.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
    /// Another writer opened the database on the object store at the same time.
    #[error(
        "cannot open the database at {} for writing: another writer opened it at the same time; make sure that only one \
         writer is started, or try again",
        path.display()
    )]
    Fenced {
        /// The given URL.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
    /// The operating system denies access to the directory, or the object store to the database.
    #[error(
        "no permission to open the database at {}; {}",
        path.display(),
        instead_of_denied(path)
    )]
    Denied {
        /// The given path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bucket does not exist.
    #[error("cannot open the database at {}: there is no bucket `{bucket}`; create it, or check the name and the region", path.display())]
    NoBucket {
        /// The given URL.
        path: PathBuf,
        /// The name of the bucket.
        bucket: String,
        /// The answer of the object store.
        source: StorageError,
    },
    /// The bucket is in another region than that of the options.
    #[error("cannot open the database at {}: the bucket is in another region; set `aws_region` to its region", path.display())]
    OtherRegion {
        /// The given URL.
        path: PathBuf,
        /// The answer of the object store, which often names the region.
        source: StorageError,
    },
    /// The operating system cannot look up the directory, for example because the path is too long
    /// or contains a NUL character.
    #[error("cannot open a database at {}: {source}", path.display())]
    Path {
        /// The given path.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A read-only open missed files again and again.
    #[error(
        "cannot open the database at {} read-only: files that it lists were missing in every attempt. A writing process \
         may be deleting them; try again. If no process writes, restore it from a backup or a checkpoint",
        path.display()
    )]
    Changing {
        /// The given path.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
    /// Files of the database are damaged.
    #[error("the database at {} is damaged; restore it from a backup or a checkpoint", path.display())]
    Corrupt {
        /// The given path.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
    /// A write-ahead log is damaged, in a way that RocksDB does not notice.
    #[error(
        "the database at {} is damaged: its log `{log}`, at byte {offset}: {reason}; restore the database from a backup \
         or a checkpoint",
        path.display()
    )]
    DamagedLog {
        /// The given path.
        path: PathBuf,
        /// The name of the file.
        log: String,
        /// The place of the damage in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The database has no write-ahead log. Every database has one, even if it is empty.
    #[error(
        "the log of the database at {} is missing: there is no file with the extension `.log`; copy the database whole, \
         or restore it from a backup or a checkpoint",
        path.display()
    )]
    MissingLog {
        /// The given path.
        path: PathBuf,
    },
    /// The directory has data files of a database, but not the file that lists them, as after an
    /// incomplete copy. Creating a database there would delete them.
    #[error(
        "the database at {} lacks its file `CURRENT`; copy it whole, or restore it from a backup or a checkpoint",
        path.display()
    )]
    Incomplete {
        /// The given path.
        path: PathBuf,
    },
    /// The directory has no database and is not empty. Hidden files and `lost+found` are allowed.
    #[error(
        "cannot create a database at {}: the directory holds other files: {found}; pass an empty or a new directory",
        path.display()
    )]
    NotEmpty {
        /// The given path.
        path: PathBuf,
        /// The names of some of the files.
        found: String,
    },
    /// The directory contains a RocksDB database that another program created.
    #[error("the database at {} has data but no percolate format version; another program created it", path.display())]
    Foreign {
        /// The given path.
        path: PathBuf,
    },
    /// The database was written by a newer version of percolate.
    #[error(
        "the database at {} has format version {found}, this percolate reads up to {supported}; upgrade percolate",
        path.display()
    )]
    NewerFormat {
        /// The given path.
        path: PathBuf,
        /// The version of the database.
        found: u32,
        /// The newest version that this build can read.
        supported: u32,
    },
    /// The disk is full.
    #[error("no space left to open the database at {}; free disk space and try again", path.display())]
    DiskFull {
        /// The given path.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
    /// The path is the URL of an object store, and this build has no engine for it.
    #[error(
        "cannot open a database at a `{scheme}://` URL: this build of percolate has no object stores; enable the feature \
         `object-store`, or pass a directory"
    )]
    Unsupported {
        /// The scheme of the URL.
        scheme: String,
    },
    /// The URL of an object store is malformed, or its options are.
    #[error("cannot open the database at {url}: {reason}")]
    Url {
        /// The given URL, without credentials.
        url: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// Options of an object store were given that the place does not have.
    #[error(
        "cannot open the database at {} with options that {place} does not have: {}; {}",
        path.display(), Listed(names), instead_of_options(place)
    )]
    UnknownOptions {
        /// The given path or URL.
        path: PathBuf,
        /// The names of the options, in the order in which they were given.
        names: Vec<String>,
        /// The kind of the place, such as `a directory` or `S3`.
        place: &'static str,
    },
    /// Any other error of the engine.
    #[error("cannot open the database at {}", path.display())]
    Storage {
        /// The given path.
        path: PathBuf,
        /// The engine's error.
        source: StorageError,
    },
}

/// A reader on an object store writes which state it uses, so opening read-only needs the same permission.
fn instead_of_denied(path: &std::path::Path) -> &'static str {
    match path.to_str() {
        Some(url) if url.starts_with("file://") => {
            "check the owner and the mode of the directory and its files; a reader writes to it too"
        }
        Some(url) if has_scheme(url) => {
            "check the credentials and policies of the object store; a reader writes to it too"
        }
        _ => "check its owner and mode, or open it read-only",
    }
}

fn instead_of_options(place: &str) -> &'static str {
    if place == "S3" {
        "use names such as `aws_region` or `aws_endpoint`"
    } else {
        "leave them out, or pass an `s3://` URL"
    }
}

impl OpenError {
    /// Converts the engine's error of an attempt to open `path`.
    pub(super) fn from_storage(path: PathBuf, source: StorageError) -> Self {
        if source.is_lock_conflict() {
            Self::Locked { path, source }
        } else if source.code() == StatusCode::Fenced {
            Self::Fenced { path, source }
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

impl OpenError {
    /// Returns whether a file was missing that the list of files names.
    pub(super) fn misses_file(&self) -> bool {
        match self {
            Self::Corrupt { source, .. } | Self::Storage { source, .. } => {
                source.says("No such file") || source.says("Missing WAL")
            }
            Self::MissingLog { .. } => true,
            _ => false,
        }
    }

    /// Returns the error for a directory whose files change too fast to be opened.
    pub(super) fn while_written(self, path: &std::path::Path) -> Self {
        match self {
            Self::Corrupt { source, .. } | Self::Storage { source, .. } => Self::Changing {
                path: path.to_owned(),
                source,
            },
            other => other,
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
            Self::Path { .. } => "Path",
            Self::Incomplete { .. } => "Incomplete",
            Self::DamagedLog { .. } => "DamagedLog",
            Self::MissingLog { .. } => "MissingLog",
            Self::NotEmpty { .. } => "NotEmpty",
            Self::Foreign { .. } => "Foreign",
            Self::NewerFormat { .. } => "NewerFormat",
            Self::Unsupported { .. } => "Unsupported",
            Self::Url { .. } => "Url",
            Self::UnknownOptions { .. } => "UnknownOptions",
            Self::NoBucket { .. } => "NoBucket",
            Self::OtherRegion { .. } => "OtherRegion",
            Self::Changing { source, .. }
            | Self::Corrupt { source, .. }
            | Self::DiskFull { source, .. }
            | Self::Fenced { source, .. }
            | Self::Storage { source, .. } => source.code().as_str(),
        })
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Locked { source, .. }
            | Self::Changing { source, .. }
            | Self::Corrupt { source, .. }
            | Self::DiskFull { source, .. }
            | Self::Fenced { source, .. }
            | Self::NoBucket { source, .. }
            | Self::OtherRegion { source, .. }
            | Self::Storage { source, .. } => source.status_code(),
            _ => None,
        }
    }
}

/// An error of a read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// The engine failed.
    #[error("cannot read from column family `{column_family}`")]
    Storage {
        /// The column family.
        column_family: String,
        /// The engine's error.
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

/// An error of a write. If a batch fails, none of its writes took effect, unless the engine failed while it
/// waited until the batch was durable: after the database is opened again, it has all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// The database was opened read-only.
    #[error("cannot write to a database that was opened read-only; open it without `read_only`")]
    ReadOnly,
    /// An earlier write failed halfway. The end of the log is uncertain, so no write may follow it. Or
    /// SlateDB has closed the database, because an earlier write did not reach the object store.
    #[error(
        "an earlier write failed ({code}), so this handle refuses to write; close and reopen the database"
    )]
    Poisoned {
        /// The engine's status code of the failed write.
        code: StatusCode,
    },
    /// Another writer has opened the database on the object store, so this handle must not write any
    /// more. Writes that were durable are in the database of the other writer.
    #[error(
        "cannot write: another process or handle has opened the database for writing, which ended the rights of this \
         one; close this handle, and make sure that only one writer is open"
    )]
    Fenced(#[source] StorageError),
    /// The key or the value is larger than the engine can store.
    #[error(
        "cannot write: the {part} has {size} bytes, and {engine} stores at most {limit}; split it"
    )]
    TooLarge {
        /// `key` or `value`.
        part: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The greatest size in bytes.
        limit: usize,
        /// The name of the engine.
        engine: &'static str,
    },
    /// The disk is full.
    #[error("no space left to write; free disk space and reopen the database")]
    DiskFull(#[source] StorageError),
    /// Any other error of the engine.
    #[error("cannot write")]
    Storage(#[source] StorageError),
}

impl From<StorageError> for WriteError {
    fn from(source: StorageError) -> Self {
        if source.is_disk_full() {
            Self::DiskFull(source)
        } else if source.code() == StatusCode::Fenced {
            Self::Fenced(source)
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
            Self::TooLarge { .. } => Cow::Borrowed("TooLarge"),
            Self::DiskFull(source) | Self::Fenced(source) | Self::Storage(source) => {
                source.error_type()
            }
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::DiskFull(source) | Self::Fenced(source) | Self::Storage(source) => {
                source.status_code()
            }
            _ => None,
        }
    }
}

/// An error of maintenance: flush, compaction, checkpoint, or creating a column family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The column family does not exist.
    #[error(transparent)]
    UnknownColumnFamily(#[from] UnknownColumnFamily),
    /// A column family with this name exists already.
    #[error("the column family `{name}` exists already")]
    ColumnFamilyExists {
        /// The name.
        name: String,
    },
    /// The database was opened read-only.
    #[error("cannot {operation} a database that was opened read-only; open it without `read_only`")]
    ReadOnly {
        /// The operation.
        operation: &'static str,
    },
    /// The path of a checkpoint exists.
    #[error("cannot create a checkpoint at {}: the path exists; pass a new directory", path.display())]
    TargetExists {
        /// The path of the checkpoint.
        path: PathBuf,
    },
    /// The directory that a checkpoint uses meanwhile holds other files, which would be deleted.
    #[error(
        "cannot create a checkpoint at {}: the directory {} holds other files: {found}; move them, or pass another path",
        path.display(), staging.display()
    )]
    Occupied {
        /// The path of the checkpoint.
        path: PathBuf,
        /// The path with the suffix `.tmp`.
        staging: PathBuf,
        /// The names of some of the files.
        found: String,
    },
    /// The engine cannot do this.
    #[error("cannot {operation} the database: {engine} does not support it; {instead}")]
    Unsupported {
        /// The operation.
        operation: &'static str,
        /// The name of the engine.
        engine: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The name of a column family is empty, or longer than the engine can store.
    #[error(
        "cannot make a column family with a name of {size} bytes; choose a name of 1 to 255 bytes"
    )]
    ColumnFamilyName {
        /// The length of the name in bytes.
        size: usize,
    },
    /// The engine failed.
    #[error("cannot {operation} the database")]
    Storage {
        /// The operation.
        operation: &'static str,
        /// The engine's error.
        source: StorageError,
    },
    /// RocksDB counted a failure of the compaction, and went on without a stored error.
    #[error(
        "cannot compact the column family `{column_family}`: RocksDB reported a background error; its file `LOG` in \
         the directory of the database has the reason"
    )]
    Background {
        /// The column family.
        column_family: String,
    },
}

impl ErrorType for MaintenanceError {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownColumnFamily(_) => Cow::Borrowed("UnknownColumnFamily"),
            Self::ColumnFamilyExists { .. } => Cow::Borrowed("ColumnFamilyExists"),
            Self::ColumnFamilyName { .. } => Cow::Borrowed("ColumnFamilyName"),
            Self::Unsupported { .. } => Cow::Borrowed("Unsupported"),
            Self::ReadOnly { .. } => Cow::Borrowed("ReadOnly"),
            Self::Storage { source, .. } => source.error_type(),
            Self::Background { .. } => Cow::Borrowed("BackgroundError"),
            Self::TargetExists { .. } => Cow::Borrowed("TargetExists"),
            Self::Occupied { .. } => Cow::Borrowed("Occupied"),
        }
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Storage { source, .. } => source.status_code(),
            _ => None,
        }
    }
}

/// Registers these errors, so that they are recognised inside the errors of an application.
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
