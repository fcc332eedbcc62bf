//! [`Stop`]: the request to end a call early, and [`Cancellation`], with which `AsyncDatabase`
//! requests it.
//!
//! The first reason counts. Work that runs in steps looks at [`Stop::flow`]; a future is dropped by
//! the functions in `waiting`.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::sync::Notify;

use crate::errors::{ClosedError, PercolateError, timed_out};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Cancellation>()
}

/// Why a call ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A signal handler raised. Its exception is raised by the call.
    Signal,
    /// The `timeout` of the call has passed.
    Timeout,
    /// The task that awaits the call was cancelled.
    Cancelled,
    /// The database is being closed.
    Closed,
}

/// A request to end a call early.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    began: Instant,
    limit: OnceLock<Duration>,
    reason: OnceLock<Reason>,
    wake: Notify,
}

impl Default for StopState {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            limit: OnceLock::new(),
            reason: OnceLock::new(),
            wake: Notify::new(),
        }
    }
}

thread_local! {
    /// The stop of the next call on this thread.
    static NEXT: Cell<Option<Stop>> = const { Cell::new(None) };
}

impl Stop {
    /// Returns the stop of a call that begins on this thread, with its `timeout` in seconds.
    ///
    /// # Errors
    /// `ValueError` if the timeout is negative or not a finite number.
    pub(crate) fn of_call(timeout: Option<f64>) -> PyResult<Self> {
        let stop = NEXT.take().unwrap_or_default();
        if let Some(seconds) = timeout {
            let limit = Duration::try_from_secs_f64(seconds).map_err(|_| {
                PyValueError::new_err(format!(
                    "timeout must be a number of seconds, 0 or more, not {seconds}"
                ))
            })?;
            _ = stop.0.limit.set(limit);
        }
        Ok(stop)
    }

    /// Requests the call to end, unless this was requested before.
    pub(crate) fn request(&self, reason: Reason) {
        _ = self.0.reason.set(reason);
        self.0.wake.notify_one();
    }

    fn reason(&self) -> Option<Reason> {
        self.0.reason.get().copied()
    }

    /// Returns whether work that proceeds in steps may take the next one. Requests the call to end
    /// if its timeout has passed.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        let is_late = |limit: &Duration| self.0.began.elapsed() >= *limit;
        if self.reason().is_none() && self.0.limit.get().is_some_and(is_late) {
            self.request(Reason::Timeout);
        }
        match self.reason() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// Returns the exception of the call if it must end now.
    pub(crate) fn check(&self) -> PyResult<()> {
        _ = self.flow();
        self.exception().map_or(Ok(()), Err)
    }

    /// Returns the timeout of the call.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.0.limit.get().copied()
    }

    /// Returns the time until the timeout, at most `longest`.
    pub(crate) fn time_left(&self, longest: Duration) -> Duration {
        let left = |limit: &Duration| limit.saturating_sub(self.0.began.elapsed());
        self.0.limit.get().map_or(longest, left).min(longest)
    }

    /// Waits until the call is requested to end.
    pub(crate) async fn requested(&self) {
        while self.flow().is_continue() {
            self.0.wake.notified().await;
        }
    }

    /// Returns the exception of a call that was requested to end; `None` if it was not.
    pub(crate) fn exception(&self) -> Option<PyErr> {
        Some(match self.reason()? {
            Reason::Timeout => {
                let limit = self.0.limit.get().copied().unwrap_or_default();
                timed_out(format!(
                    "the call did not end within its timeout of {} s",
                    limit.as_secs_f64()
                ))
            }
            Reason::Closed => ClosedError::new_err(
                "the call was ended because the database is being closed; open it again",
            ),
            // The exception of a signal handler and of a cancelled task are raised by the waiting
            // thread and by the task.
            Reason::Signal | Reason::Cancelled => PercolateError::new_err("the call was cancelled"),
        })
    }
}

/// Ends the call of a `Database` method early; used by `AsyncDatabase`.
#[pyclass(name = "_Cancellation", module = "percolate_rocks", frozen)]
pub(crate) struct Cancellation(Stop);

#[pymethods]
impl Cancellation {
    #[new]
    fn new() -> Self {
        Self(Stop::default())
    }

    /// Call a method so that `cancel` ends it. Its `timeout` counts from the creation of this
    /// object.
    #[pyo3(signature = (method, *args, **kwargs))]
    fn run<'py>(
        &self,
        method: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        NEXT.set(Some(self.0.clone()));
        let returned = method.call(args, kwargs);
        NEXT.set(None);
        returned
    }

    /// Request the call to end.
    fn cancel(&self) {
        self.0.request(Reason::Cancelled);
    }
}
