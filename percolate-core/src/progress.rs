//! The progress of long operations: [`Progress`], which a progress function receives.
//!
//! Rebuilds, imports, exports and the creation of vectors report it in the same way.
//! [`Running::notify`] is the only place that calls the function.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The progress of a rebuild, a verification, an import, an export, or the creation of vectors.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use percolate_core::{Database, Progress};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let db = Database::open(dir.path())?;
/// let print = |progress: Progress| {
///     eprintln!("{} after {:?}", progress.done, progress.elapsed);
///     ControlFlow::Continue(())
/// };
/// db.indexes().on_progress(print).rebuild_all()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of entities, entries, rows or vectors processed so far. Starts again at zero for
    /// each part of an operation: each index of a rebuild, and the writing after the check of an
    /// import.
    pub done: usize,
    /// The value of `done` at the end of the part, if it is known.
    pub total: Option<usize>,
    /// The time since the start of the operation.
    pub elapsed: Duration,
}

/// The function that is called with the progress, if there is one.
#[derive(Clone, Default)]
pub(crate) struct OnProgress(Option<Arc<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync>>);

impl OnProgress {
    pub(crate) fn new(
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(report)))
    }

    /// Starts the clock of an operation.
    pub(crate) fn start(&self) -> Running {
        Running {
            function: self.clone(),
            started: Instant::now(),
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_set() { "set" } else { "none" })
    }
}

/// A running operation.
#[derive(Clone)]
pub(crate) struct Running {
    function: OnProgress,
    started: Instant,
}

impl Running {
    /// Calls the function. Returns whether to go on.
    pub(crate) fn notify(&self, done: usize, total: Option<usize>) -> ControlFlow<()> {
        match &self.function.0 {
            Some(report) => report(Progress {
                done,
                total,
                elapsed: self.started.elapsed(),
            }),
            None => ControlFlow::Continue(()),
        }
    }
}
