//! Work handed in from Python that nobody waits for: the database's background worker on threads of its own, and `Job`,
//! by which it can be waited for after all.

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

use crate::callback::SIGNAL_INTERVAL;
use crate::errors::{JobError, cause_of};

/// How long closing waits for jobs that are under way.
const DRAIN: Duration = Duration::from_secs(10);
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Job>()
}

/// The background worker of one handle.
pub(crate) struct Worker {
    worker: BackgroundWorker,
    runtime: Runtime,
}

impl Worker {
    pub(crate) fn start(database: &Database) -> PyResult<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("percolate-jobs")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let worker = BackgroundWorker::new(database.clone(), WorkerOptions::new());
        drop(entered);
        let worker = worker.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self { worker, runtime })
    }

    /// Hands in a task: a trace of its own, linked to the current span.
    pub(crate) fn submit(&self, task: Task) -> Result<Job, SubmitError> {
        let named = Named::of(&task);
        let handle = self.worker.submit(task)?;
        let end = Arc::new(End::default());
        let ending = Ending(Arc::clone(&end));
        self.runtime
            .spawn(async move { ending.0.set(handle.await) });
        Ok(Job { named, end })
    }

    /// What there is to do, and what was done.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.worker.status()
    }

    /// Finishes what there is to do, within limits. To be called with the interpreter released.
    pub(crate) fn shutdown(self) {
        self.runtime.block_on(self.worker.shutdown(DRAIN));
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }

    /// Ends without finishing anything.
    pub(crate) fn abandon(self) {
        drop(self.worker);
        self.runtime.shutdown_background();
    }
}

/// The task that Python names.
pub(crate) fn task_of(name: &str, target: Option<&str>) -> PyResult<Task> {
    let of = |what: &str| {
        let missing = || {
            PyTypeError::new_err(format!(
                "the task {name:?} needs a {what} as second argument"
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
                "the task \"flush_wal\" takes no second argument",
            ));
        }
        other => {
            return Err(PyValueError::new_err(format!(
                "unknown task {other:?}; expected one of generate_embeddings, save_index, load_index, compact, flush_wal"
            )));
        }
    };
    Ok(task)
}

/// A task by the names that [`task_of`] takes.
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

/// A worker's status as Python sees it.
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

/// The exception for a job that was not taken.
pub(crate) fn refused(error: SubmitError) -> PyErr {
    JobError::new_err(error.to_string())
}

#[derive(Default)]
struct End {
    state: Mutex<Ended>,
    came: Condvar,
}

#[derive(Default)]
struct Ended {
    result: Option<Result<(), CoreJobError>>,
    /// Python functions to call then.
    tell: Vec<Py<PyAny>>,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never called with the interpreter attached, and attaches only after the lock is given back.
    fn set(&self, result: Result<(), CoreJobError>) {
        let mut state = self.lock();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        let tell = std::mem::take(&mut state.tell);
        drop(state);
        self.came.notify_all();
        if !tell.is_empty() {
            // Without an interpreter there is nobody to tell.
            _ = Python::try_attach(|py| tell.into_iter().for_each(|function| call(py, &function)));
        }
    }

    /// Whether the end came within `timeout`.
    fn wait(&self, timeout: Duration) -> bool {
        let waited = self
            .came
            .wait_timeout_while(self.lock(), timeout, |state| state.result.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.result.is_some()
    }
}

/// Says that the job was abandoned if whoever was to say how it ended is dropped before.
struct Ending(Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set(Err(CoreJobError::Abandoned));
    }
}

/// Calls a function of nothing. An exception there is that function's affair.
fn call(py: Python<'_>, function: &Py<PyAny>) {
    if let Err(error) = function.call0(py) {
        error.write_unraisable(py, Some(function.bind(py)));
    }
}

/// A task that was handed in with `Database.submit`. It runs whether or not anybody waits.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct Job {
    named: Named,
    end: Arc<End>,
}

#[pymethods]
impl Job {
    /// The task, as it was named to `submit`.
    #[getter]
    fn task(&self) -> &'static str {
        self.named.task
    }

    /// The table or the column family that was named to `submit`; `None` for a task that has none.
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

    /// Whether the job has ended, well or not.
    #[getter]
    fn done(&self, py: Python<'_>) -> bool {
        py.detach(|| self.end.wait(Duration::ZERO))
    }

    /// Waits for the job's end.
    ///
    /// Args:
    ///     timeout: Seconds to wait at most; for ever by default.
    ///
    /// Returns:
    ///     Whether it has ended.
    ///
    /// Raises:
    ///     JobError: It failed; why is the cause.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map(Duration::try_from_secs_f64).transpose();
        let timeout = timeout
            .map_err(|_| PyValueError::new_err("timeout must be a number of seconds from 0"))?;
        let started = Instant::now();
        loop {
            let left = timeout.map_or(SIGNAL_INTERVAL, |timeout| {
                timeout
                    .saturating_sub(started.elapsed())
                    .min(SIGNAL_INTERVAL)
            });
            if py.detach(|| self.end.wait(left)) {
                return self.result(py).map(|()| true);
            }
            py.check_signals()?;
            if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Ok(false);
            }
        }
    }

    /// Calls a function of nothing once the job has ended, on the job's thread; at once if it has ended already.
    fn _when_done(&self, py: Python<'_>, function: Py<PyAny>) {
        let now = py.detach(|| {
            let mut state = self.end.lock();
            if state.result.is_some() {
                return Some(function);
            }
            state.tell.push(function);
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
        // Set once and for all by now: nobody waits for this lock.
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
