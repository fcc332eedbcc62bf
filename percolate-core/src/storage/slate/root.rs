//! [`Root`]: the directory of a database in files, and whether it is still there.
//!
//! The client of the file system creates missing directories. A writer whose directory was removed
//! would go on in a new one, which lacks everything that was written before.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::path::Path;
use slatedb::object_store::{Error, Result};

use super::refused::{Reason, Refused};

/// The directory of a database in files.
#[derive(Debug)]
pub(super) struct Root {
    files: LocalFileSystem,
    path: Path,
    /// The directory and those in it that were written to. Without any, the database is new.
    held: Mutex<BTreeMap<PathBuf, Held>>,
}

impl Root {
    /// Finds the directory at `path`, if it exists.
    pub(super) fn new(files: LocalFileSystem, path: Path) -> Result<Self> {
        let directory = directory_of(&files, &path)?;
        let held = Held::open(&directory).ok();
        Ok(Self {
            files,
            path,
            held: Mutex::new(held.map(|held| (directory, held)).into_iter().collect()),
        })
    }

    /// Returns an error that is final if the directory, or one in it, was removed or replaced.
    pub(super) async fn check(root: &Arc<Self>) -> Result<()> {
        let root = Arc::clone(root);
        tokio::task::spawn_blocking(move || check_all(&root.held())).await?
    }

    /// Checks the directories after a write to `location`, and remembers those that are new.
    pub(super) async fn check_written(root: &Arc<Self>, location: &Path) -> Result<()> {
        let (root, location) = (Arc::clone(root), location.clone());
        tokio::task::spawn_blocking(move || root.remember(&location)).await?
    }

    fn remember(&self, location: &Path) -> Result<()> {
        let mut held = self.held();
        check_all(&held)?;
        // One for each kind of object, and not one for each object.
        let mut inside = location.prefix_match(&self.path).into_iter().flatten();
        let folder = inside.next().filter(|_| inside.next().is_some());
        let folder = folder.map(|folder| self.path.clone().join(folder));
        for path in [Some(self.path.clone()), folder].into_iter().flatten() {
            let directory = directory_of(&self.files, &path)?;
            if let Entry::Vacant(new) = held.entry(directory) {
                let found = Held::open(new.key()).map_err(|error| failed(new.key(), error))?;
                new.insert(found);
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_all(held: &BTreeMap<PathBuf, Held>) -> Result<()> {
    for (directory, held) in held {
        match held.is_at(directory) {
            Ok(true) => {}
            Ok(false) => return Err(gone(directory)),
            Err(error) => return Err(failed(directory, error)),
        }
    }
    Ok(())
}

/// Returns the directory of the file system with this path. A file can have fewer names than a
/// directory.
fn directory_of(files: &LocalFileSystem, path: &Path) -> Result<PathBuf> {
    let mut directory = files.path_to_filesystem(&path.clone().join("file"))?;
    directory.pop();
    Ok(directory)
}

fn failed(directory: &std::path::Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return gone(directory);
    }
    Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(error),
    }
}

fn gone(directory: &std::path::Path) -> Error {
    let text = format!(
        "the directory {} of the database was removed or replaced while the database was open",
        directory.display()
    );
    let error = Error::Generic {
        store: "LocalFileSystem",
        source: text.into(),
    };
    Refused::marked(error, Some(Reason::Gone))
}

/// A directory that is open, so that no other one gets its identity.
#[cfg(unix)]
#[derive(Debug)]
struct Held(fs::File);

#[cfg(unix)]
impl Held {
    fn open(directory: &std::path::Path) -> io::Result<Self> {
        // Opening a pipe would wait for its writer.
        if !fs::metadata(directory)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        fs::File::open(directory).map(Self)
    }

    /// Returns whether this directory is the one at the path.
    fn is_at(&self, path: &std::path::Path) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;

        let identity = |of: fs::Metadata| (of.dev(), of.ino());
        match fs::metadata(path) {
            Ok(found) => Ok(identity(found) == identity(self.0.metadata()?)),
            Err(error) => is_missing(error),
        }
    }
}

/// A directory, which has no identity here.
#[cfg(not(unix))]
#[derive(Debug)]
struct Held;

#[cfg(not(unix))]
impl Held {
    fn open(directory: &std::path::Path) -> io::Result<Self> {
        fs::metadata(directory).map(|_| Self)
    }

    /// Returns whether there is a directory at the path.
    fn is_at(&self, path: &std::path::Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(found) => Ok(found.is_dir()),
            Err(error) => is_missing(error),
        }
    }
}

/// Returns `false` for the error of a directory that does not exist.
fn is_missing(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
        _ => Err(error),
    }
}
