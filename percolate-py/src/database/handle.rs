//! A database in the process that opened it, and how a call runs on it.
//!
//! Every call runs with the interpreter released and inside its parent's context. A handle belongs
//! to the process that opened it: after a fork, the child process can neither use it nor run the
//! destructors of its engine. Closing it waits for the running calls. A call of a read-only database
//! refreshes it first if that is due ([`Follower`]).

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percolate_core::storage::{Task, WorkerStatus};
use percolate_core::{Database, Error, Follower};
use pyo3::prelude::*;

use crate::context::{TraceArgument, parent};
use crate::errors::{ClosedError, ForkedError, raised};
use crate::inside::{Call, Waiting};
use crate::parent::Parent;
use crate::process::forks;
use crate::stop::{Reason, Stop};
use crate::waiting::{
    SIGNAL_INTERVAL, block_on, block_on_interruptibly, released, traced, wait_for,
};
use crate::worker::{Job, Worker, refused};

/// An open database and its background worker.
pub(super) struct Handle {
    opened: ManuallyDrop<Opened>,
    /// The number of forks behind the process that opened the database.
    forks: u32,
}

struct Opened {
    follower: Follower,
    worker: Mutex<Option<StartedWorker>>,
}

/// The worker that the first submitted task started.
struct StartedWorker {
    worker: Worker,
    /// The number of refreshes before the state of the database that the worker uses.
    refreshes: u64,
}

impl Handle {
    fn new(follower: Follower) -> Self {
        let worker = Mutex::new(None);
        Self {
            opened: ManuallyDrop::new(Opened { follower, worker }),
            forks: forks(),
        }
    }

    fn follower(&self) -> &Follower {
        &self.opened.follower
    }

    /// Returns the database as of the last refresh.
    pub(super) fn database(&self) -> Database {
        self.follower().last()
    }

    /// Runs `work` with the database, which is refreshed first if that is due.
    fn run<T>(&self, work: impl FnOnce(&Database) -> T) -> Result<T, Error> {
        self.follower().with_current(|database| {
            self.end_worker_of_old_state();
            work(database)
        })
    }

    /// Refreshes the database.
    fn refresh(&self) -> Result<(), Error> {
        self.follower().refresh()?;
        self.end_worker_of_old_state();
        Ok(())
    }

    /// Ends the worker if it uses the state before a refresh, which would stay open with it.
    fn end_worker_of_old_state(&self) {
        let refreshes = self.follower().refreshes();
        if refreshes == 0 {
            return;
        }
        let mut started = self.started();
        if started
            .as_ref()
            .is_some_and(|started| started.refreshes < refreshes)
        {
            let old = started.take();
            drop(started);
            if let Some(old) = old {
                old.worker.abandon();
            }
        }
    }

    /// Returns whether this process opened the database.
    fn is_ours(&self) -> bool {
        self.forks == forks()
    }

    /// Submits a task to the background worker and starts the worker if there is none yet.
    pub(super) fn submit(&self, task: Task) -> PyResult<Job> {
        let mut started = self.started();
        let started = match &mut *started {
            Some(started) => started,
            none => none.insert(StartedWorker {
                refreshes: self.follower().refreshes(),
                worker: Worker::start(&self.database())?,
            }),
        };
        started.worker.submit(task).map_err(refused)
    }

    /// Returns the state of the submitted tasks, `None` before the first one.
    pub(super) fn worker_status(&self) -> Option<WorkerStatus> {
        let started = self.started();
        started.as_ref().map(|started| started.worker.status())
    }

    /// Finishes the submitted tasks, within limits and the timeout of `stop`, and ends the worker.
    /// To be called with the interpreter released.
    pub(super) fn stop_worker(&self, stop: &Stop) {
        let started = self.started().take();
        if let Some(started) = started {
            started.worker.shutdown(stop);
        }
    }

    fn started(&self) -> MutexGuard<'_, Option<StartedWorker>> {
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
        // Closing waits for the engine's threads, so the interpreter is released. If the interpreter has
        // shut down, the closure is dropped, and the database with it.
        _ = Python::try_attach(move |py| py.detach(move || opened.abandon()));
    }
}

impl Opened {
    /// Closes the database without finishing the submitted tasks.
    fn abandon(self) {
        let worker = self.worker.into_inner();
        if let Some(started) = worker.unwrap_or_else(PoisonError::into_inner) {
            started.worker.abandon();
        }
        drop(self.follower);
    }
}

/// A handle until it is closed, and the calls that run on it. A `Database` object shares it with
/// its iterators.
pub(super) struct Closable {
    path: PathBuf,
    forks: u32,
    is_closed: AtomicBool,
    state: Mutex<ClosableState>,
    /// Notified when a call ends.
    ended: Condvar,
}

struct ClosableState {
    /// `None` after `close`.
    handle: Option<Arc<Handle>>,
    running: Vec<RunningCall>,
}

struct RunningCall {
    call: Call,
    /// How to end the call early; `None` if it cannot be.
    stop: Option<Stop>,
}

impl Closable {
    pub(super) fn new(follower: Follower, path: PathBuf) -> Arc<Self> {
        let state = Mutex::new(ClosableState {
            handle: Some(Arc::new(Handle::new(follower))),
            running: Vec::new(),
        });
        Arc::new(Self {
            path,
            forks: forks(),
            is_closed: AtomicBool::new(false),
            state,
            ended: Condvar::new(),
        })
    }

    /// Returns the database as of the last refresh.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin).
    pub(super) fn database(self: &Arc<Self>) -> PyResult<Database> {
        Ok(self.begin(None)?.handle.database())
    }

    /// The directory or the URL of the database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Begins a call. `stop` ends it early when the database is closed.
    ///
    /// # Errors
    /// `ClosedError` after `close` was called; `ForkedError` if another process opened the
    /// database.
    pub(super) fn begin(self: &Arc<Self>, stop: Option<&Stop>) -> PyResult<Running> {
        let closed = || {
            ClosedError::new_err(format!(
                "cannot use the database at {}: it is closed; open it again",
                self.path.display()
            ))
        };
        if self.is_closed() {
            return Err(closed());
        }
        // A thread of the parent process may have held the lock during the fork.
        if self.forks != forks() {
            return Err(ForkedError::new_err(format!(
                "cannot use the database at {}: it was opened before this process was forked, and \
                 belongs to the parent process; open databases after forking, or start workers \
                 with `spawn`",
                self.path.display()
            )));
        }
        let mut state = self.lock();
        let handle = state.handle.clone().ok_or_else(closed)?;
        let call = Call::default();
        state.running.push(RunningCall {
            call: call.clone(),
            stop: stop.cloned(),
        });
        let listed = Listed {
            call,
            closable: Arc::clone(self),
        };
        Ok(Running { handle, listed })
    }

    /// Ends the calls that can be ended early, waits for the others, finishes the submitted tasks
    /// within limits, and releases the directory. New calls are refused from the beginning. Does
    /// nothing if it was called before, or in a forked process.
    ///
    /// A call that the current thread runs, or one that waits for other calls itself, is not waited
    /// for. The directory is released when it ends.
    ///
    /// # Errors
    /// The exception of a signal handler, which ends the waiting; `OperationTimeoutError` after
    /// `timeout` seconds; the error of the store.
    pub(super) fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let stop = Stop::of_call(timeout)?;
        let parent = parent(py, None)?;
        let was_closed = self.is_closed.swap(true, Ordering::Relaxed);
        // The files belong to the process that opened them.
        if was_closed || self.forks != forks() {
            return Ok(());
        }
        let handle = {
            let mut state = self.lock();
            for stop in state.running.iter().filter_map(|call| call.stop.as_ref()) {
                stop.request(Reason::Closed);
            }
            state.handle.take()
        };
        let Some(handle) = handle else { return Ok(()) };
        let waiting = Waiting::begin();
        while !released(py, || self.wait_for_calls(&stop))? {
            py.check_signals()?;
            stop.check()?;
        }
        drop(waiting);
        traced(py, parent, || {
            handle.stop_worker(&stop);
            let database = handle.database();
            drop(handle);
            match stop.limit() {
                Some(limit) => {
                    let closed = database.close_within(stop.time_left(limit));
                    closed.map_err(|error| of_whole_call(error, limit))
                }
                None => database.close(),
            }
        })?
        .map_err(|error| raised(py, &error))
    }

    /// Waits for a moment, at most until the timeout of `stop`. Returns whether no call is left to
    /// wait for.
    fn wait_for_calls(&self, stop: &Stop) -> bool {
        let is_waited_for = |running: &RunningCall| !running.call.waits();
        let state = self.lock();
        if !state.running.iter().any(is_waited_for) {
            return true;
        }
        let waited = self
            .ended
            .wait_timeout(state, stop.time_left(SIGNAL_INTERVAL));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.running.iter().any(is_waited_for)
    }

    /// Locks the state. The lock is never held while Python code runs, so waiting for it does not
    /// need the interpreter released.
    fn lock(&self) -> MutexGuard<'_, ClosableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on this thread, inside the trace of the call.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin), and the exception for the error of `work`.
    pub(super) fn work<T: Send>(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        self.work_in(py, parent, work)
    }

    /// Runs `work` as [`work`](Self::work) does, with a parent that was read before.
    pub(super) fn work_in<T: Send>(
        self: &Arc<Self>,
        py: Python<'_>,
        parent: Option<Parent>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let running = self.begin(None)?;
        traced(py, parent, || running.run(work).flatten())?.map_err(|error| raised(py, &error))
    }

    /// Refreshes a read-only database.
    ///
    /// # Errors
    /// Those of [`work`](Self::work).
    pub(super) fn refresh(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        let parent = parent(py, trace_context)?;
        let running = self.begin(None)?;
        traced(py, parent, || running.refresh())?.map_err(|error| raised(py, &error))
    }

    /// Returns a handle of the same database that `derive` makes of the follower of this one, which
    /// is refreshed first if that is due.
    ///
    /// # Errors
    /// Those of [`work`](Self::work).
    pub(super) fn derived(
        self: &Arc<Self>,
        py: Python<'_>,
        derive: impl FnOnce(&Follower) -> Follower + Send,
    ) -> PyResult<Arc<Self>> {
        let parent = parent(py, None)?;
        let running = self.begin(None)?;
        let derived = traced(py, parent, || {
            running.run(|_| derive(running.handle.follower()))
        })?;
        let follower = derived.map_err(|error| raised(py, &error))?;
        Ok(Self::new(follower, self.path.clone()))
    }

    /// Runs `work` on this thread. It ends early if it observes `stop`, and calls signal handlers
    /// itself.
    ///
    /// # Errors
    /// Those of [`work`](Self::work) and of `stop`.
    pub(super) fn stoppable_work<T: Send>(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        stop: &Stop,
        work: impl FnOnce(&Database) -> T + Send,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        let running = self.begin(Some(stop))?;
        traced(py, parent, || running.run(work))?.map_err(|error| raised(py, &error))
    }

    /// Runs the future that `work` returns on this thread, until it ends, Ctrl-C is pressed, or
    /// `stop` is requested.
    ///
    /// # Errors
    /// Those of [`work`](Self::work), of a signal handler and of `stop`.
    pub(super) fn future<T: Send, F>(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        stop: &Stop,
        work: impl FnOnce(Database) -> F + Send,
    ) -> PyResult<T>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let parent = parent(py, trace_context)?;
        let running = self.begin(Some(stop))?;
        let done = traced(py, parent, || {
            running.run(|database| block_on_interruptibly(stop, work(database.clone())))
        })?;
        // The error of the refresh, of the wait, or of the work.
        done.map_err(|error| raised(py, &error))??
            .map_err(|error| raised(py, &error))
    }

    /// Runs `work` on another thread and waits for it, so that Ctrl-C and `stop` raise at once.
    /// `work` stops early if it observes its [`Stop`].
    ///
    /// # Errors
    /// Those of [`work`](Self::work), of a signal handler and of `stop`.
    pub(super) fn long_work<T: Send + 'static>(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        stop: &Stop,
        work: impl FnOnce(&Database, &Stop) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        let running = self.begin(Some(stop))?;
        let work = move |stop: &Stop| running.run(|database| work(database, stop)).flatten();
        wait_for(py, parent, stop, work)?.map_err(|error| raised(py, &error))
    }

    /// Runs the future that `work` returns as [`long_work`](Self::long_work) runs work.
    pub(super) fn long_future<T: Send + 'static, F>(
        self: &Arc<Self>,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        stop: &Stop,
        work: impl FnOnce(Database) -> F + Send + 'static,
    ) -> PyResult<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let parent = parent(py, trace_context)?;
        let running = self.begin(Some(stop))?;
        let work =
            move |stop: &Stop| running.run(|database| block_on(stop, work(database.clone())));
        // The error of the refresh, of the wait, or of the work.
        wait_for(py, parent, stop, work)?
            .map_err(|error| raised(py, &error))??
            .map_err(|error| raised(py, &error))
    }
}

/// A running call. Closing the database waits until it is dropped.
pub(super) struct Running {
    handle: Arc<Handle>,
    /// Dropped after the handle, so that the directory is released when no call is left.
    listed: Listed,
}

impl Running {
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `work` as a part of the call, with the database refreshed if that is due.
    ///
    /// # Errors
    /// That of the refresh.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Database) -> T) -> Result<T, Error> {
        let _entered = self.listed.call.enter();
        self.handle.run(work)
    }

    fn refresh(&self) -> Result<(), Error> {
        let _entered = self.listed.call.enter();
        self.handle.refresh()
    }
}

/// The entry of a call in the list of running ones.
struct Listed {
    call: Call,
    closable: Arc<Closable>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut state = self.closable.lock();
        state.running.retain(|running| running.call != self.call);
        drop(state);
        self.closable.ended.notify_all();
    }
}

/// Returns the error of closing with the timeout of the whole call, instead of what was left of it.
fn of_whole_call(error: Error, limit: Duration) -> Error {
    match error {
        Error::CloseTimeout { path, .. } => Error::CloseTimeout {
            path,
            deadline: limit,
        },
        error => error,
    }
}
