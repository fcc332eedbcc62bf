//! Python code that Rust calls, and Rust work that Python waits for.
//!
//! A Python callable runs with the current Rust span as its current Python context, so that its spans are children.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percolate_core::otel::carry;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::context::{Parent, current_ids};

/// How long Ctrl-C waits at most for an answer.
const SIGNALS: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own, inside the parent's context, and waits with the interpreter released.
///
/// # Errors
/// What a signal handler raises, at once; the work goes on. `RuntimeError` when the work panicked.
pub(crate) fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    parent: Option<Parent>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (done, mut wait) = mpsc::sync_channel(1);
    {
        let _attached = parent.map(Parent::attach);
        let work = carry(move || _ = done.send(work()));
        std::thread::Builder::new().name("percolate-work".into()).spawn(work)?;
    }
    loop {
        let (back, received) = py.detach(move || {
            let received = wait.recv_timeout(SIGNALS);
            (wait, received)
        });
        wait = back;
        match received {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the work panicked; its message is on standard error"));
            }
        }
    }
}

/// Calls a Python function inside the current Rust span.
fn call_in_span(py: Python<'_>, function: &Py<PyAny>, argument: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    match current_ids().filter(|_| crate::current::is_available(py)) {
        Some(ids) => Ok(py
            .import("percolate_rocks._callback")?
            .call_method1("call_in_span", (function.bind(py), argument, ids))?
            .unbind()),
        None => function.call1(py, (argument,)),
    }
}

/// A Python callable that is told how far a job has come.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Told>);

struct Told {
    function: Py<PyAny>,
    /// The first exception it raised. It is not called again after that.
    error: Mutex<Option<PyErr>>,
    failed: std::sync::atomic::AtomicBool,
}

impl Progress {
    pub(crate) fn new(function: Py<PyAny>) -> Self {
        Self(Arc::new(Told { function, error: Mutex::new(None), failed: false.into() }))
    }

    pub(crate) fn tell(&self, done: usize) {
        use std::sync::atomic::Ordering;
        if self.0.failed.load(Ordering::Relaxed) {
            return;
        }
        // Without an interpreter there is nobody to tell.
        _ = Python::try_attach(|py| {
            let told = done.into_pyobject(py).map_err(PyErr::from);
            if let Err(error) = told.and_then(|done| call_in_span(py, &self.0.function, &done)) {
                self.0.failed.store(true, Ordering::Relaxed);
                *self.0.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
    }

    pub(crate) fn take_error(&self) -> Option<PyErr> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
