//! Python code that Rust calls, and Rust work that Python waits for.
//!
//! A Python callable runs with the current Rust span as its current span, so that its spans are
//! children, and with the baggage of the caller.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percolate_core::otel::carry;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use tokio::sync::Notify;

use crate::context::surroundings;
use crate::json::to_python;
use crate::parent::Parent;

/// How often waiting checks for signals.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A request to stop, for work on another thread whose result is no longer needed.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    requested: AtomicBool,
    wake: Notify,
}

impl Stop {
    fn request(&self) {
        self.0.requested.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }

    /// Returns whether work that proceeds in steps may take the next one.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.0.requested.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Runs a future on this thread, and drops it when stopping is requested.
    ///
    /// # Errors
    /// `Interrupted` if the future was dropped; the error of building a runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> std::io::Result<T> {
        block_on(async {
            tokio::select! {
                done = future => Ok(done),
                () = self.0.wake.notified() => Err(std::io::Error::from(std::io::ErrorKind::Interrupted)),
            }
        })?
    }
}

/// Runs `work` on a new thread, inside the parent's context, and waits with the interpreter
/// released.
///
/// # Errors
/// The exception of a signal handler, at once, after requesting the work to stop. `RuntimeError` if
/// the work panicked.
pub(crate) fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    parent: Option<Parent>,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> PyResult<T> {
    let (done, mut wait) = mpsc::sync_channel(1);
    let stop = Stop::default();
    {
        let _attached = parent.map(Parent::attach);
        let stop = stop.clone();
        let work = carry(move || _ = done.send(work(&stop)));
        std::thread::Builder::new()
            .name("percolate-work".into())
            .spawn(work)?;
    }
    loop {
        let (back, received) = py.detach(move || {
            let received = wait.recv_timeout(SIGNAL_INTERVAL);
            (wait, received)
        });
        wait = back;
        match received {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| stop.request())?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(
                    "the call panicked in Rust; the panic message is on standard error",
                ));
            }
        }
    }
}

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

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    // Every call builds its own runtime: a shared one would lose its threads in a fork.
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future))
}

fn run_signal_handlers() -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        Ok(())
    })
}

/// Runs a future on this thread and, meanwhile, Python's signal handlers. To be called with the
/// interpreter released.
///
/// # Errors
/// The exception of a signal handler, after which the future is dropped; the error of building a
/// runtime.
pub(crate) fn block_on_interruptibly<T>(future: impl Future<Output = T>) -> PyResult<T> {
    block_on(async {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                done = &mut future => return Ok(done),
                () = tokio::time::sleep(SIGNAL_INTERVAL) => run_signal_handlers()?,
            }
        }
    })?
}

/// A Python callable that Rust calls repeatedly: the progress function of a job, or the filter of a
/// search.
#[derive(Clone)]
pub(crate) struct Callback(Arc<Called>);

struct Called {
    function: Py<PyAny>,
    /// The first exception. The function is not called again after it.
    error: Mutex<Option<PyErr>>,
    failed: AtomicBool,
}

impl Callback {
    /// Wraps the function passed as the argument `name`.
    ///
    /// # Errors
    /// `TypeError` if it is not callable.
    pub(crate) fn new(py: Python<'_>, name: &str, function: Py<PyAny>) -> PyResult<Self> {
        if !function.bind(py).is_callable() {
            let type_name = function.bind(py).get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "{name} must be a function, not {type_name}"
            )));
        }
        Ok(Self(Arc::new(Called {
            function,
            error: Mutex::new(None),
            failed: AtomicBool::new(false),
        })))
    }

    /// Calls it with the progress of a job. Returns `Break` once it has raised.
    pub(crate) fn report(&self, done: usize) -> ControlFlow<()> {
        match self.call(|py| Ok(done.into_pyobject(py)?.into_any()), |_| Ok(())) {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Calls it as a filter. Returns `false` once it has raised.
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
        if self.0.failed.load(Ordering::Relaxed) {
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
