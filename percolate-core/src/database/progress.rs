//! The progress function of an import, an export, or the loading of vector indexes by searches.
//! [`OnProgress::notify`] is the only place that calls it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::index::report::Progress;

/// The function that is called with the progress, if there is one.
#[derive(Clone, Default)]
pub(crate) struct OnProgress(Option<Arc<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync>>);

impl OnProgress {
    pub(super) fn new(
        report: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(report)))
    }

    /// Calls the function with the number of rows or vectors processed so far. Returns whether to go on.
    pub(crate) fn notify(&self, done: usize) -> ControlFlow<()> {
        match &self.0 {
            Some(report) => report(Progress { done }),
            None => ControlFlow::Continue(()),
        }
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "set" } else { "none" })
    }
}
