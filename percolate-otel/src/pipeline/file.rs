//! A file of the pipeline that is written as a whole, by a `Replacement`, again and again.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::diagnostics::warn;
use crate::replacement::Replacement;

/// A file that is written as a whole, again and again. The first problem is reported.
#[derive(Debug)]
pub(super) struct WholeFile {
    path: PathBuf,
    was_reported: AtomicBool,
}

impl WholeFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: resolved(path),
            was_reported: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file with these bytes.
    ///
    /// # Errors
    ///
    /// An error message with the path. The old file is then unchanged.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), String> {
        replace(&self.path, bytes).inspect_err(|problem| {
            if !self.was_reported.swap(true, Ordering::Relaxed) {
                warn(problem.clone());
            }
        })
    }
}

/// Returns the absolute path, because the program may change its folder. `{pid}` is replaced with the id
/// of the process, so that each process has its own file.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let path = match path.to_str() {
        Some(text) => text
            .replace("{pid}", &std::process::id().to_string())
            .into(),
        None => path.to_owned(),
    };
    std::path::absolute(&path).unwrap_or(path)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let replaced = Replacement::begin(path).and_then(|mut replacement| {
        replacement.file().write_all(bytes)?;
        replacement.finish()
    });
    replaced.map_err(|error| problem(path, &error))
}

fn problem(path: &Path, error: &io::Error) -> String {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "; create the folder, or choose another path",
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => {
            "; the path must be that of a file"
        }
        io::ErrorKind::PermissionDenied => "; the folder must be writable",
        _ => "",
    };
    format!("cannot write `{}`: {error}{help}", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays_in_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        replace(&path, b"first").expect("it writes");
        replace(&path, b"second").expect("it writes");
        assert_eq!(fs::read(&path).expect("it is there"), b"second");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_permissions_of_the_old_one_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        replace(&path, b"first").expect("it writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is there");
        let link = folder.path().join("link.html");
        symlink("report.html", &link).expect("a link");
        replace(&link, b"second").expect("it writes");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&path).expect("it is there"), b"second");
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn each_process_can_have_its_own_file() {
        let file = WholeFile::new(Path::new("/reports/{pid}.html"));
        let expected = format!("/reports/{}.html", std::process::id());
        assert_eq!(file.path(), Path::new(&expected));
    }

    #[test]
    fn an_error_names_the_path_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing").join("report.html");
        let problem = replace(&missing, b"").expect_err("the folder is missing");
        assert!(problem.contains("missing/report.html`"), "{problem}");
        assert!(problem.ends_with("; create the folder, or choose another path"));
        let a_folder = folder.path().join("report.html");
        fs::create_dir(&a_folder).expect("a folder");
        let problem = replace(&a_folder, b"").expect_err("it is a folder");
        assert!(problem.contains("report.html`"), "{problem}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
