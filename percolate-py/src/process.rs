//! The process that this module runs in: how often it was forked, and whether a database was opened.
//!
//! Neither the threads of an engine nor percolate's own survive a fork. A database therefore belongs to
//! the process that opened it, and a child process opens none if its parent has opened one.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use percolate_core::storage::is_url;
use pyo3::prelude::*;

use crate::errors::ForkedError;

/// The number of forks between this process and the one that first loaded the module.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process in which a database was opened first: its number of forks plus 1, or 0 for none.
static FIRST_USED_IN: AtomicU32 = AtomicU32::new(0);

/// Returns the number of forks behind this process. What was opened at a lower number belongs to
/// a parent process.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Counts a fork in the child process and returns the parent's number.
pub(crate) fn count_fork() -> u32 {
    FORKS.fetch_add(1, Ordering::Relaxed)
}

/// Returns whether this process, or one that it was forked from, has opened a database.
pub(crate) fn was_used() -> bool {
    FIRST_USED_IN.load(Ordering::Relaxed) != 0
}

/// Records that this process opens a database.
///
/// # Errors
/// `ForkedError` if a parent process has opened a database, even if it closed it: in the child a
/// database would hang at its first flush and crash at exit.
pub(crate) fn refuse_after_fork(path: &Path) -> PyResult<()> {
    let here = forks() + 1;
    let first = FIRST_USED_IN.compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err_and(|first| first != here) {
        return Err(ForkedError::new_err(format!(
            "cannot open the database at {}: this process was forked from one that had opened a \
             database, and the threads of a database do not survive a fork; open databases after \
             forking, or start workers with `spawn`",
            shown(path)
        )));
    }
    Ok(())
}

/// Returns the path for a message. A URL that was not checked yet may contain credentials.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.split_once("://") {
        Some((scheme, rest)) if is_url(path) && rest.contains(['@', '?', '#']) => {
            format!("{}://…", scheme.to_ascii_lowercase())
        }
        _ => text,
    }
}
