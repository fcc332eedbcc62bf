//! Work handed in from Python that nobody waits for: the database's background worker on threads of its own, and `Job`,
//! by which it can be waited for after all.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use percolate_core::Database;
use percolate_core::storage::{BackgroundWorker, JobError as CoreJobError, SubmitError, Task, WorkerOptions};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use crate::errors::{JobError, cause_of};

/// How long closing waits for jobs that are under way.
const DRAIN: Duration = Duration::from_secs(10);
/// How long Ctrl-C waits at most for an answer.
const SIGNALS: Duration = Duration::from_millis(50);

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
        let handle = self.worker.submit(task)?;
        let end = Arc::new(End { result: Mutex::new(None), came: Condvar::new() });
        let mine = Arc::clone(&end);
        self.runtime.spawn(async move { mine.set(handle.await) });
        Ok(Job { end })
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
pub(crate) fn task_of(name: &str, target: Option<String>) -> PyResult<Task> {
    let table = |target: Option<String>| {
        target.ok_or_else(|| PyTypeError::new_err(format!("the task {name:?} needs a table as second argument")))
    };
    match name {
        "generate_embeddings" => Ok(Task::GenerateEmbeddings { table: table(target)? }),
        "save_index" => Ok(Task::SaveIndex { table: table(target)? }),
        "load_index" => Ok(Task::LoadIndex { table: table(target)? }),
        "flush_wal" => Ok(Task::FlushWal),
        other => Err(PyValueError::new_err(format!(
            "unknown task {other:?}; expected generate_embeddings, save_index, load_index or flush_wal"
        ))),
    }
}

/// The exception for a job that was not taken.
pub(crate) fn refused(error: SubmitError) -> PyErr {
    JobError::new_err(error.to_string())
}

struct End {
    result: Mutex<Option<Result<(), CoreJobError>>>,
    came: Condvar,
}

impl End {
    fn set(&self, result: Result<(), CoreJobError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.came.notify_all();
    }

    /// Whether the end came within `timeout`.
    fn wait(&self, timeout: Duration) -> bool {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(result, timeout, |result| result.is_none());
        waited.map_or_else(|poisoned| poisoned.into_inner().0.is_some(), |(result, _)| result.is_some())
    }
}

/// A task that was handed in with `Database.submit`. It runs whether or not anybody waits.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct Job {
    end: Arc<End>,
}

#[pymethods]
impl Job {
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
        let timeout = timeout.map_err(|_| PyValueError::new_err("timeout must be a number of seconds from 0"))?;
        let started = Instant::now();
        loop {
            let left = timeout.map_or(SIGNALS, |timeout| timeout.saturating_sub(started.elapsed()).min(SIGNALS));
            if py.detach(|| self.end.wait(left)) {
                return self.result(py).map(|()| true);
            }
            py.check_signals()?;
            if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Ok(false);
            }
        }
    }
}

impl Job {
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        // Set once and for all by now: nobody waits for this lock.
        match &*self.end.result.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Err(error)) => {
                let exception = JobError::new_err(error.to_string());
                exception.set_cause(py, cause_of(py, error));
                Err(exception)
            }
            _ => Ok(()),
        }
    }
}
