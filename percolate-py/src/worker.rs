//! Background jobs: the background worker of a database on threads of its own, and `Job`, with
//! which Python waits for a submitted task.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percolate_core::Database;
use percolate_core::storage::{
    BackgroundWorker, JobError as CoreJobError, SubmitError, Task, WorkerOptions, WorkerStatus,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Runtime;

use crate::errors::{JobError, cause_of};
use crate::inside::Call;
use crate::stop::Stop;
use crate::unraisable;
use crate::waiting::{SIGNAL_INTERVAL, outside_runtime, released};

/// How long closing waits for submitted jobs.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Job>()
}

/// The background worker of one handle.
pub(crate) struct Worker {
    jobs: BackgroundWorker,
    runtime: Runtime,
    /// The call that the threads of the runtime run.
    call: Call,
}

impl Worker {
    pub(crate) fn start(database: &Database) -> PyResult<Self> {
        let call = Call::default();
        let mine = call.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("percolate-jobs")
            // The thread stays in the call until it ends.
            .on_thread_start(move || std::mem::forget(mine.enter()))
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let jobs = BackgroundWorker::new(database.clone(), WorkerOptions::new());
        drop(entered);
        let jobs = jobs.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self {
            jobs,
            runtime,
            call,
        })
    }

    /// Submits a task. Its span starts a trace, linked to the current span.
    pub(crate) fn submit(&self, task: Task) -> Result<Job, SubmitError> {
        let named = Named::of(&task);
        let handle = self.jobs.submit(task)?;
        let end = Arc::new(End::default());
        let ending = Ending(Arc::clone(&end));
        self.runtime
            .spawn(async move { ending.0.set(handle.await) });
        Ok(Job { named, end })
    }

    /// Returns the numbers of jobs by state.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.jobs.status()
    }

    /// Finishes the submitted jobs, within limits and the timeout of `stop`. A job that closes its
    /// own database is not finished. To be called with the interpreter released.
    pub(crate) fn shutdown(self, stop: &Stop) {
        if self.call.is_current() {
            return self.abandon();
        }
        outside_runtime(|| {
            self.runtime
                .block_on(self.jobs.shutdown(stop.time_left(DRAIN)));
            let limit = stop.time_left(Duration::from_secs(1));
            self.runtime.shutdown_timeout(limit);
        });
    }

    /// Ends the worker without finishing its jobs.
    pub(crate) fn abandon(self) {
        drop(self.jobs);
        self.runtime.shutdown_background();
    }
}

/// Returns the task for the arguments of `Database.submit`.
pub(crate) fn task_of(name: &str, target: Option<&str>) -> PyResult<Task> {
    let of = |what: &str| {
        let missing = || {
            PyTypeError::new_err(format!(
                "cannot submit the task {name:?} without a {what}; pass it as the second argument"
            ))
        };
        target.map(str::to_owned).ok_or_else(missing)
    };
    let task = match name {
        "generate_embeddings" => Task::GenerateEmbeddings {
            table: of("table")?,
        },
        "save_index" => Task::SaveIndex {
            table: of("table")?,
        },
        "load_index" => Task::LoadIndex {
            table: of("table")?,
        },
        "compact" => Task::CompactCF {
            cf: of("column family")?,
        },
        "flush_wal" if target.is_none() => Task::FlushWal,
        "flush_wal" => {
            return Err(PyTypeError::new_err(
                "the task \"flush_wal\" takes no second argument; remove it",
            ));
        }
        other => {
            return Err(PyValueError::new_err(format!(
                "unknown task {other:?}; expected one of generate_embeddings, save_index, load_index, \
                 compact, flush_wal"
            )));
        }
    };
    Ok(task)
}

/// A task by the names that [`task_of`] accepts.
struct Named {
    task: &'static str,
    target: Option<String>,
}

impl Named {
    fn of(task: &Task) -> Self {
        let (task, target) = match task {
            Task::GenerateEmbeddings { table } => ("generate_embeddings", Some(table)),
            Task::SaveIndex { table } => ("save_index", Some(table)),
            Task::LoadIndex { table } => ("load_index", Some(table)),
            Task::CompactCF { cf } => ("compact", Some(cf)),
            Task::FlushWal => ("flush_wal", None),
            _ => ("unknown", None),
        };
        Self {
            task,
            target: target.cloned(),
        }
    }
}

/// Converts the status of a worker to a dict.
pub(crate) fn status_dict(py: Python<'_>, status: WorkerStatus) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("queued", status.queued)?;
    dict.set_item("running", status.running)?;
    dict.set_item("succeeded", status.succeeded)?;
    dict.set_item("failed", status.failed)?;
    dict.set_item("retried", status.retried)?;
    dict.set_item("refused", status.refused)?;
    Ok(dict)
}

/// Returns the exception for a job that was refused.
pub(crate) fn refused(error: SubmitError) -> PyErr {
    JobError::new_err(error.to_string())
}

#[derive(Default)]
struct End {
    state: Mutex<Ended>,
    reached: Condvar,
}

#[derive(Default)]
struct Ended {
    result: Option<Result<(), CoreJobError>>,
    /// Python functions to call when the job ends.
    callbacks: Vec<Py<PyAny>>,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result, once. Not to be called with the interpreter attached; attaches to it
    /// only after the lock is released.
    fn set(&self, result: Result<(), CoreJobError>) {
        let mut state = self.lock();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        self.reached.notify_all();
        if !callbacks.is_empty() {
            // Without an interpreter, nothing can be called.
            _ = Python::try_attach(|py| {
                for function in &callbacks {
                    call(py, function);
                }
            });
        }
    }

    /// Returns whether the job ended within `timeout`.
    fn wait(&self, timeout: Duration) -> bool {
        let waited = self
            .reached
            .wait_timeout_while(self.lock(), timeout, |state| state.result.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.result.is_some()
    }
}

/// Records the end of a job, or that the job was abandoned if it is dropped before.
struct Ending(Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set(Err(CoreJobError::Abandoned));
    }
}

/// Calls a function without arguments. An exception in it is reported as unraisable.
fn call(py: Python<'_>, function: &Py<PyAny>) {
    if let Err(error) = function.call0(py) {
        unraisable::report(py, error, Some(function.bind(py)));
    }
}

/// A task submitted with `Database.submit`. It runs whether or not it is waited for.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct Job {
    named: Named,
    end: Arc<End>,
}

#[pymethods]
impl Job {
    /// The name of the task, as passed to `submit`.
    #[getter]
    fn task(&self) -> &'static str {
        self.named.task
    }

    /// The table or column family, as passed to `submit`, or `None`.
    #[getter]
    fn target(&self) -> Option<&str> {
        self.named.target.as_deref()
    }

    /// `"pending"` while the job waits or runs, then `"succeeded"` or `"failed"`.
    #[getter]
    fn status(&self, py: Python<'_>) -> &'static str {
        py.detach(|| match &self.end.lock().result {
            None => "pending",
            Some(Ok(())) => "succeeded",
            Some(Err(_)) => "failed",
        })
    }

    /// Whether the job has ended, successfully or not.
    #[getter]
    fn done(&self, py: Python<'_>) -> bool {
        py.detach(|| self.end.wait(Duration::ZERO))
    }

    /// Wait for the job to end.
    ///
    /// Args:
    ///     timeout: The longest wait in seconds; without it, there is no limit.
    ///
    /// Returns:
    ///     Whether the job has ended.
    ///
    /// Raises:
    ///     JobError: The job failed. The reason is the cause.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map(Duration::try_from_secs_f64).transpose();
        let timeout = timeout
            .map_err(|_| PyValueError::new_err("timeout must be a number of seconds, 0 or more"))?;
        let started = Instant::now();
        loop {
            let left = timeout.map_or(SIGNAL_INTERVAL, |timeout| {
                timeout
                    .saturating_sub(started.elapsed())
                    .min(SIGNAL_INTERVAL)
            });
            if released(py, || self.end.wait(left))? {
                return self.result(py).map(|()| true);
            }
            py.check_signals()?;
            if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Ok(false);
            }
        }
    }

    /// Call a function without arguments when the job ends, on the thread of the job; at once if it
    /// has ended.
    fn _add_done_callback(&self, py: Python<'_>, function: Py<PyAny>) {
        let now = py.detach(|| {
            let mut state = self.end.lock();
            if state.result.is_some() {
                return Some(function);
            }
            state.callbacks.push(function);
            None
        });
        if let Some(function) = now {
            call(py, &function);
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let target = self
            .named
            .target
            .as_deref()
            .map(|target| format!(" {target}"))
            .unwrap_or_default();
        format!("<Job {}{target}: {}>", self.named.task, self.status(py))
    }
}

impl Job {
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        // The result was set, so no thread holds this lock for long.
        match &self.end.lock().result {
            Some(Err(error)) => {
                let exception = JobError::new_err(error.to_string());
                exception.set_cause(py, cause_of(py, error));
                Err(exception)
            }
            _ => Ok(()),
        }
    }
}
