//! Replaces a file as a whole: readers see the old or the new one, never a part. The new file is
//! written under another name in the same folder, and then renamed.
//!
//! It has the permissions of the old one from its first byte on, and its owner if possible. The target
//! of a symbolic link is replaced, not the link.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of files that this process has tried to create.
static CREATED: AtomicU64 = AtomicU64::new(0);

/// A file that is to replace another one. Dropping it leaves the old file as it is.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    /// The name while it is written. Empty after the renaming.
    partial: PathBuf,
    target: PathBuf,
}

impl Replacement {
    /// Creates the file that is to replace the one at `path`, which need not exist.
    ///
    /// # Errors
    /// `InvalidInput` if there is something else than a file.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let target = destination(path)?;
        let earlier = fs::metadata(&target).ok();
        if earlier.as_ref().is_some_and(|earlier| !earlier.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        loop {
            let number = CREATED.fetch_add(1, Ordering::Relaxed);
            let mut partial = name.to_owned();
            partial.push(format!(".{}-{number}.partial", std::process::id()));
            let partial = target.with_file_name(partial);
            match create(&partial, earlier.as_ref()) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        partial,
                        target,
                    });
                }
                // Of a process with the same id that was killed, or that runs in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file to write.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Replaces the old file, once the new one is on the disk.
    ///
    /// # Errors
    /// Those of the operating system. The old file is then as it was.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.target)?;
        self.partial = PathBuf::new();
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() {
            // The error that led here is more important.
            _ = fs::remove_file(&self.partial);
        }
    }
}

/// Returns the path that is written for `path`: the target of a symbolic link, which may not exist.
///
/// # Errors
/// Those of the operating system, for links that form a circle.
pub fn destination(path: &Path) -> io::Result<PathBuf> {
    /// The links that Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(existing) = fs::canonicalize(&path) {
            return Ok(existing);
        }
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    fs::canonicalize(&path)
}

/// Creates a file that replaces `earlier`, with its permissions and, if possible, its owner.
#[cfg(unix)]
fn create(path: &Path, earlier: Option<&Metadata>) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};

    let Some(earlier) = earlier else {
        return File::create_new(path);
    };
    // Only its owner can open the file until it has its permissions.
    let mut options = File::options();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // Only the superuser can give a file away.
    _ = fchown(&file, Some(earlier.uid()), Some(earlier.gid()));
    let kept = file.set_permissions(earlier.permissions());
    if let Err(error) = kept {
        _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

/// Creates a file that replaces `earlier`.
#[cfg(not(unix))]
fn create(path: &Path, _earlier: Option<&Metadata>) -> io::Result<File> {
    File::create_new(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_finished_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page");
        fs::write(&path, "old").expect("it writes");
        let mut replacement = Replacement::begin(&path).expect("it begins");
        replacement.file().write_all(b"new").expect("it writes");
        assert_eq!(names(folder.path()).len(), 2);
        drop(replacement);
        assert_eq!(names(folder.path()), ["page"]);
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
    }

    #[test]
    fn the_new_file_has_the_permissions_of_the_old_one_before_it_has_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page");
        fs::write(&path, "old").expect("it writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is there");
        let mut replacement = Replacement::begin(&path).expect("it begins");
        let begun = replacement.file().metadata().expect("it is open");
        assert_eq!(begun.permissions().mode() & 0o777, 0o640);
        replacement.finish().expect("it is renamed");
        let finished = fs::metadata(&path).expect("it is there");
        assert_eq!(
            (finished.permissions().mode() & 0o777, finished.len()),
            (0o640, 0)
        );
    }

    #[test]
    fn a_link_to_a_missing_file_stays_and_the_file_is_created() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("link");
        symlink("page", &link).expect("a link");
        let replacement = Replacement::begin(&link).expect("it begins");
        replacement.finish().expect("it is renamed");
        assert_eq!(names(folder.path()), ["link", "page"]);
        assert!(link.is_symlink());
    }

    #[test]
    fn what_is_not_a_file_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let _socket = UnixListener::bind(&path).expect("a socket");
        let refused = Replacement::begin(&path).expect_err("it is a socket");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(names(folder.path()), ["socket"]);
    }
}
