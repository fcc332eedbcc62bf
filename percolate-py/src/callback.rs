//! Python code that Rust calls.
//!
//! A Python callable runs with the current Rust span as its current span, so that its spans are
//! children, and with the baggage of the caller.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use percolate_core::Progress;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::context::surroundings;
use crate::json::to_python;
use crate::stop::Stop;

/// Calls a Python function inside the current Rust span.
pub(crate) fn call_in_span(
    py: Python<'_>,
    function: &Py<PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Py<PyAny>> {
    match surroundings().filter(|_| crate::current::is_available(py)) {
        Some(around) => Ok(py
            .import("percolate_rocks._callback")?
            .call_method1("call_in_span", (function.bind(py), argument, around))?
            .unbind()),
        None => function.call1(py, (argument,)),
    }
}

/// A Python callable that Rust calls repeatedly: the progress function of a job, or the filter of a
/// search.
#[derive(Clone)]
pub(crate) struct Callback(Arc<Called>);

struct Called {
    function: Py<PyAny>,
    /// The stop of the call that it belongs to. The function is not called after it.
    stop: Stop,
    /// The first exception. The function is not called again after it.
    error: Mutex<Option<PyErr>>,
    failed: AtomicBool,
}

impl Callback {
    /// Wraps the function passed as the argument `name` of a call.
    ///
    /// # Errors
    /// `TypeError` if it is not callable.
    pub(crate) fn new(
        py: Python<'_>,
        name: &str,
        function: Py<PyAny>,
        stop: &Stop,
    ) -> PyResult<Self> {
        if !function.bind(py).is_callable() {
            let type_name = function.bind(py).get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "{name} must be a function, not {type_name}"
            )));
        }
        Ok(Self(Arc::new(Called {
            function,
            stop: stop.clone(),
            error: Mutex::new(None),
            failed: AtomicBool::new(false),
        })))
    }

    /// Calls it with the progress of a job. Returns `Break` once it has raised or the call was stopped.
    pub(crate) fn report(&self, progress: Progress) -> ControlFlow<()> {
        match self.call(|py| progress_object(py, progress), |_| Ok(())) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Calls it as a filter. Returns `false` once it has raised or the
    /// call was stopped.
    pub(crate) fn accepts(&self, value: &serde_json::Value) -> bool {
        self.call(|py| to_python(py, value), |answer| answer.is_truthy())
            .unwrap_or(false)
    }

    /// Returns the exception it raised, once.
    pub(crate) fn take_error(&self) -> Option<PyErr> {
        self.0
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn call<T>(
        &self,
        argument: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
        read: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>,
    ) -> Option<T> {
        if self.0.failed.load(Ordering::Relaxed) || self.0.stop.flow().is_break() {
            return None;
        }
        // Without an interpreter, nothing can be called.
        Python::try_attach(|py| {
            let answer =
                argument(py).and_then(|argument| call_in_span(py, &self.0.function, &argument));
            match answer.and_then(|answer| read(answer.bind(py))) {
                Ok(read) => Some(read),
                Err(error) => {
                    self.0.failed.store(true, Ordering::Relaxed);
                    *self.0.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    None
                }
            }
        })
        .flatten()
    }
}

/// Returns the `Progress` of Python.
fn progress_object(py: Python<'_>, progress: Progress) -> PyResult<Bound<'_, PyAny>> {
    let seconds = progress.elapsed.as_secs_f64();
    py.import("percolate_rocks._progress")?
        .call_method1("Progress", (progress.done, progress.total, seconds))
}
