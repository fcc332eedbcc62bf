//! A database in the process that opened it, and how a call runs on it.
//!
//! Every call runs with the interpreter released and inside its parent's context. A handle belongs
//! to the process that opened it: after a fork, the child process can neither use it nor run
//! RocksDB's destructors.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use percolate_core::storage::Task;
use percolate_core::{Database, Error};
use pyo3::prelude::*;

use crate::callback::{Stop, wait_for};
use crate::context::{TraceArgument, parent};
use crate::errors::{ClosedError, ForkedError, raised};
use crate::parent::{Parent, traced};
use crate::process::forks;
use crate::worker::{Job, Worker, refused};

/// An open database and its background worker.
pub(super) struct Handle {
    opened: ManuallyDrop<Opened>,
    /// The number of forks behind the process that opened the database.
    forks: u32,
}

struct Opened {
    database: Database,
    /// Started by the first task that is submitted.
    worker: Mutex<Option<Worker>>,
}

impl Handle {
    fn new(database: Database) -> Self {
        let worker = Mutex::new(None);
        Self {
            opened: ManuallyDrop::new(Opened { database, worker }),
            forks: forks(),
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.opened.database
    }

    /// Returns whether this process opened the database.
    pub(super) fn is_ours(&self) -> bool {
        self.forks == forks()
    }

    /// Submits a task to the background worker and starts the worker if there is none yet.
    pub(super) fn submit(&self, task: Task) -> PyResult<Job> {
        let mut worker = self.worker();
        let worker = match &mut *worker {
            Some(worker) => worker,
            none => none.insert(Worker::start(self.database())?),
        };
        worker.submit(task).map_err(refused)
    }

    /// Finishes the submitted tasks, within limits, and ends the worker. To be called with the
    /// interpreter released.
    pub(super) fn stop_worker(&self) {
        let worker = self.worker().take();
        if let Some(worker) = worker {
            worker.shutdown();
        }
    }

    /// The background worker; `None` before the first task.
    pub(super) fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        let worker = &self.opened.worker;
        worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    #[expect(unsafe_code, reason = "only `ManuallyDrop` can leave a field alone")]
    fn drop(&mut self) {
        if !self.is_ours() {
            // None of the parent's threads exist here: closing the database would wait for them
            // and overwrite the parent's files.
            return;
        }
        // SAFETY: the handle is being dropped, so nothing reads the field after this.
        let opened = unsafe { ManuallyDrop::take(&mut self.opened) };
        // Closing waits for RocksDB's threads, so the interpreter is released. If the interpreter has
        // shut down, the closure is dropped, and the database with it.
        _ = Python::try_attach(move |py| py.detach(move || opened.abandon()));
    }
}

impl Opened {
    /// Closes the database without finishing the submitted tasks.
    fn abandon(self) {
        let worker = self.worker.into_inner();
        if let Some(worker) = worker.unwrap_or_else(PoisonError::into_inner) {
            worker.abandon();
        }
        drop(self.database);
    }
}

/// A handle until it is closed. A `Database` object shares it with its iterators.
pub(super) struct Closable {
    handle: RwLock<Option<Arc<Handle>>>,
    path: PathBuf,
}

impl Closable {
    pub(super) fn new(database: Database, path: PathBuf) -> Arc<Self> {
        let handle = RwLock::new(Some(Arc::new(Handle::new(database))));
        Arc::new(Self { handle, path })
    }

    /// The directory of the database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_closed(&self) -> bool {
        self.read().is_none()
    }

    /// Returns the handle.
    ///
    /// # Errors
    /// `ClosedError` after `close`; `ForkedError` if another process opened the database.
    pub(super) fn handle(&self) -> PyResult<Arc<Handle>> {
        let Some(handle) = self.read() else {
            return Err(ClosedError::new_err(format!(
                "cannot use the database at {}: it is closed; open it again",
                self.path.display()
            )));
        };
        if !handle.is_ours() {
            return Err(ForkedError::new_err(format!(
                "cannot use the database at {}: it was opened before this process was forked, and \
                 belongs to the parent process; open databases after forking, or start workers \
                 with `spawn`",
                self.path.display()
            )));
        }
        Ok(handle)
    }

    /// Removes the handle; `None` if it was removed before. To be called with the interpreter
    /// released.
    pub(super) fn take(&self) -> Option<Arc<Handle>> {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        handle.take()
    }

    fn read(&self) -> Option<Arc<Handle>> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        handle.clone()
    }

    /// Runs `work` on this thread, inside the trace of the call.
    ///
    /// # Errors
    /// Those of [`handle`](Self::handle), and the exception for the error of `work`.
    pub(super) fn work<T: Send>(
        &self,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        self.work_in(py, parent, work)
    }

    /// Runs `work` as [`work`](Self::work) does, with a parent that was read before.
    pub(super) fn work_in<T: Send>(
        &self,
        py: Python<'_>,
        parent: Option<Parent>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let handle = self.handle()?;
        traced(py, parent, || work(handle.database())).map_err(|error| raised(py, &error))
    }

    /// Runs `work` on another thread and waits for it, so that Ctrl-C raises at once. `work` stops
    /// early if it observes its [`Stop`].
    ///
    /// # Errors
    /// Those of [`work`](Self::work), and what a signal handler raises.
    pub(super) fn long_work<T: Send + 'static>(
        &self,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&Database, &Stop) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        let handle = self.handle()?;
        let work = move |stop: &Stop| work(handle.database(), stop);
        wait_for(py, parent, work)?.map_err(|error| raised(py, &error))
    }
}
