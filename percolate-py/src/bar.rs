//! The bar of `progress=True`. It is closed when the call ends, however it ends.

use pyo3::prelude::*;

use crate::unraisable;

/// A bar of tqdm, or none.
pub(crate) struct Bar(Option<Py<PyAny>>);

impl Bar {
    /// Returns the bar if it is to be shown, and the function to report the progress to: the bar, which
    /// also calls `on_progress`, or `on_progress` itself.
    ///
    /// # Errors
    /// `ImportError` if tqdm is not installed, `TypeError` if `on_progress` is not callable.
    pub(crate) fn show(
        py: Python<'_>,
        progress: bool,
        on_progress: Option<Py<PyAny>>,
    ) -> PyResult<(Self, Option<Py<PyAny>>)> {
        if !progress {
            return Ok((Self(None), on_progress));
        }
        let bar = py
            .import("percolate_rocks._progress")?
            .call_method1("Bar", (on_progress,))?
            .unbind();
        Ok((Self(Some(bar.clone_ref(py))), Some(bar)))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            // The bar is only a display: a failure to close it changes no result.
            Python::try_attach(|py| {
                if let Err(error) = bar.call_method0(py, "close") {
                    unraisable::report(py, error, None);
                }
            });
        }
    }
}
