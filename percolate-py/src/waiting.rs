//! Rust work that Python waits for: on this thread or another, until it ends, a signal handler
//! raises, or its [`Stop`] is requested.
//!
//! No panic leaves this module: it becomes an `InternalError`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use percolate_core::otel::carry;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};

use crate::errors::InternalError;
use crate::inside;
use crate::parent::Parent;
use crate::stop::{Reason, Stop};

/// How often waiting checks for signals.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// How long the end of a call waits for blocking work of a future that was dropped, such as a DNS
/// request.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Runs work, and converts a panic to an `InternalError` with its message.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    // What a panic leaves half changed is behind locks, which handle it themselves.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        InternalError::new_err(format!(
            "the call failed because of an error in percolate itself: {}",
            text.unwrap_or("a panic without a message")
        ))
    })
}

/// Runs work with the interpreter released.
///
/// # Errors
/// `InternalError` if it panics.
pub(crate) fn released<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| caught(work))
}

/// Runs work with the interpreter released, inside the parent's context if there is one.
///
/// # Errors
/// `InternalError` if it panics.
pub(crate) fn traced<T: Send>(
    py: Python<'_>,
    parent: Option<Parent>,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    released(py, || {
        let _attached = parent.map(Parent::attach);
        work()
    })
}

/// Runs `work` on a new thread, inside the parent's context, and waits with the interpreter
/// released.
///
/// # Errors
/// The exception of a signal handler or of `stop`, at once; `InternalError` if `work` panics.
pub(crate) fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    parent: Option<Parent>,
    stop: &Stop,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> PyResult<T> {
    let (done, mut wait) = mpsc::sync_channel(1);
    {
        let _attached = parent.map(Parent::attach);
        let (stop, calls) = (stop.clone(), inside::current());
        let work = carry(move || {
            let _entered = inside::enter(calls);
            _ = done.send(caught(|| work(&stop)));
        });
        std::thread::Builder::new()
            .name("percolate-work".into())
            .spawn(work)?;
    }
    loop {
        let interval = stop.time_left(SIGNAL_INTERVAL);
        let (back, received) = py.detach(move || {
            let received = wait.recv_timeout(interval);
            (wait, received)
        });
        wait = back;
        match received {
            // Work that was stopped ends with a part of its result.
            Ok(done) => return stop.exception().map_or(done, Err),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals()
                    .inspect_err(|_| stop.request(Reason::Signal))?;
                stop.check()?;
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(lost());
            }
        }
    }
}

/// Runs a future on this thread until it ends or is requested to stop.
///
/// # Errors
/// The exception of `stop`, after which the future is dropped; the error of building a runtime.
pub(crate) fn block_on<T>(stop: &Stop, future: impl Future<Output = T>) -> PyResult<T> {
    let done = run(async {
        tokio::select! {
            done = future => Some(done),
            () = stop.requested() => None,
        }
    })?;
    done.ok_or_else(|| stop.exception().unwrap_or_else(lost))
}

/// The exception of a call whose thread has ended without a result.
fn lost() -> PyErr {
    InternalError::new_err("the thread of the call has ended without a result")
}

/// Runs a future on this thread and, meanwhile, Python's signal handlers. To be called with the
/// interpreter released. If this thread is running another future, as in a Python function that
/// Rust calls, the future runs on a thread of its own.
///
/// # Errors
/// The exception of a signal handler or of `stop`, after which the future is dropped; the error of
/// building a runtime; `InternalError` if the future panics.
pub(crate) fn block_on_interruptibly<T: Send>(
    stop: &Stop,
    future: impl Future<Output = T> + Send,
) -> PyResult<T> {
    if Handle::try_current().is_ok() {
        return block_on_elsewhere(stop, future);
    }
    let done = run(async {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                done = &mut future => return PyResult::Ok(done),
                () = stop.requested() => {}
                () = tokio::time::sleep(stop.time_left(SIGNAL_INTERVAL)) => {}
            }
            check_signals(stop)?;
            stop.check()?;
        }
    })??;
    // A filter that was stopped accepts nothing more, and the future ends with a part of its result.
    stop.exception().map_or(Ok(done), Err)
}

/// A runtime cannot be entered twice on one thread.
fn block_on_elsewhere<T: Send>(stop: &Stop, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let (done, wait) = mpsc::sync_channel(1);
    let calls = inside::current();
    std::thread::scope(|scope| {
        let work = carry(move || {
            let _entered = inside::enter(calls);
            _ = done.send(caught(|| block_on(stop, future)));
        });
        std::thread::Builder::new()
            .name("percolate-work".into())
            .spawn_scoped(scope, work)?;
        let mut interruption = None;
        loop {
            let interval = stop.time_left(SIGNAL_INTERVAL);
            match wait.recv_timeout(interval.max(Duration::from_millis(1))) {
                Ok(done) => {
                    let done = interruption.map_or(done, Err)??;
                    return stop.exception().map_or(Ok(done), Err);
                }
                Err(RecvTimeoutError::Timeout) => {
                    interruption = interruption.or(check_signals(stop).err());
                    _ = stop.flow();
                }
                Err(RecvTimeoutError::Disconnected) => return Err(lost()),
            }
        }
    })
}

fn check_signals(stop: &Stop) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()
            .inspect_err(|_| stop.request(Reason::Signal))
    })
}

/// Runs a future on a runtime of its own: a shared one would lose its threads in a fork.
fn run<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(future);
    runtime.shutdown_timeout(LEFTOVERS);
    Ok(done)
}

/// Runs blocking work on this thread, or on another one if this thread is running a future, where
/// tokio forbids to block.
pub(crate) fn outside_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Handle::try_current().is_err() {
        return work();
    }
    let calls = inside::current();
    let work = carry(move || {
        let _entered = inside::enter(calls);
        work()
    });
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
