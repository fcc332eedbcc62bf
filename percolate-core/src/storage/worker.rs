//! Work in the background: a bounded queue, some workers on tokio, and handles to what was handed in. What a task does
//! is its [`TaskRunner`]'s affair (`database`); this file knows queues, retries, panics and the end.
//!
//! Work runs in the context of whoever handed it in: as a child of the span that waits for it, else as a new trace
//! with a link. A job that panics fails by itself and takes nothing with it. How many wait and for how long is measured
//! ([`QueueWait`]), and so is each run, where it is annotated.

use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore, TryAcquireError, oneshot};
use tokio::task::JoinSet;

use crate::otel::{Carry, QueueWait};

/// How long jobs that a shutdown abandons have to come to an end.
const GRACE: Duration = Duration::from_millis(50);

/// What a background worker can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Writes the vector indexes of a table to files.
    SaveIndex {
        /// The table.
        table: String,
    },
    /// Brings the vector indexes of a table into memory.
    LoadIndex {
        /// The table.
        table: String,
    },
    /// Makes the vectors that entities of a table wait for.
    GenerateEmbeddings {
        /// The table.
        table: String,
    },
    /// Writes the write-ahead log to disk.
    FlushWal,
    /// Compacts a column family.
    CompactCF {
        /// The column family.
        cf: String,
    },
}

/// How a job's span stands to the span of whoever handed the job in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Its child: somebody waits for the job.
    Child,
    /// A new trace with a link to it: nobody waits.
    Link,
}

/// Why a job failed, in its own words.
pub type JobFailure = Box<dyn std::error::Error + Send + Sync>;

/// One run of a job.
pub type TaskFuture = Pin<Box<dyn Future<Output = Result<(), JobFailure>> + Send>>;

/// Does tasks.
pub trait TaskRunner: Send + Sync + 'static {
    /// Does a task once. `attempt` is the number of the attempt, counted from 1.
    fn run(&self, task: &Task, relation: Relation, attempt: u32) -> TaskFuture;
}

/// A job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many jobs wait as may wait. They are not pushed out; this one is refused, and counted.
    #[error("the queue is full ({capacity} jobs wait); try again later, or use `submit_and_wait`")]
    Full {
        /// How many jobs may wait.
        capacity: usize,
    },
    /// The worker was shut down.
    #[error("the worker was shut down")]
    ShutDown,
    /// There is no tokio runtime to work on.
    #[error("a background worker needs a tokio runtime; make it inside one")]
    NoRuntime,
}

/// A job did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// It was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Its last attempt failed.
    #[error("the job failed after {attempts} attempts")]
    Failed {
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        source: JobFailure,
    },
    /// It panicked. Panics are not tried again.
    #[error("the job panicked")]
    Panicked,
    /// The worker was shut down before the job was done.
    #[error("the worker was shut down before the job was done")]
    Abandoned,
}

/// Options of a [`BackgroundWorker`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct WorkerOptions {
    /// What the worker's queue is called in metrics, as `job.queue.name`. Default: `background`.
    pub name: Arc<str>,
    /// How many jobs may wait. Default: 256.
    pub capacity: usize,
    /// How many jobs run at once. Default: 2.
    pub workers: usize,
    /// How often a failing job is tried. Default: 3.
    pub attempts: u32,
    /// How long to wait before the second attempt; each further wait is twice as long. Default: 100 ms.
    pub backoff: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: "background".into(),
            capacity: 256,
            workers: 2,
            attempts: 3,
            backoff: Duration::from_millis(100),
        }
    }
}

impl WorkerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`capacity`](Self::capacity).
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs.max(1);
        self
    }

    /// Sets [`workers`](Self::workers).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets [`attempts`](Self::attempts).
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets [`backoff`](Self::backoff).
    pub fn backoff(mut self, wait: Duration) -> Self {
        self.backoff = wait;
        self
    }
}

/// What a worker has to do and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed or panicked.
    pub failed: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Jobs refused because the queue was full.
    pub refused: u64,
}

/// What became of the jobs when a worker was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Jobs that were under way or waiting, and are done.
    pub finished: u64,
    /// Jobs that were not done before the deadline.
    pub abandoned: usize,
}

/// Does jobs in the background, a few at a time.
///
/// Dropping the worker abandons what waits and what runs; [`shutdown`](Self::shutdown) finishes it first.
///
/// ```
/// use std::time::Duration;
///
/// use percolate_core::Database;
/// use percolate_core::storage::{BackgroundWorker, Task, WorkerOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// let worker = BackgroundWorker::new(db, WorkerOptions::new())?;
/// let compaction = worker.submit(Task::CompactCF { cf: "entities".to_owned() })?;
/// worker.submit_and_wait(Task::FlushWal).await?;
/// compaction.await?;
/// assert_eq!(worker.shutdown(Duration::from_secs(5)).await.abandoned, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BackgroundWorker {
    shared: Arc<Shared>,
    runner: Arc<dyn TaskRunner>,
    workers: Mutex<JoinSet<()>>,
}

struct Shared {
    options: WorkerOptions,
    state: Mutex<State>,
    /// One permit for each job that may still be queued.
    room: Arc<Semaphore>,
    /// Wakes workers: something is queued, or the end has come.
    work: Notify,
    /// Wakes those who wait for idleness.
    idle: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    status: WorkerStatus,
    ending: bool,
}

struct Queued {
    job: Pin<Box<dyn Future<Output = ()> + Send>>,
    wait: QueueWait,
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// Waits for a job. Dropping it does not stop the job.
#[derive(Debug)]
#[must_use = "the job runs all the same, but nobody learns how it ended"]
pub struct JobHandle {
    done: oneshot::Receiver<Result<(), JobError>>,
}

impl Future for JobHandle {
    type Output = Result<(), JobError>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.done
            .poll_unpin(context)
            .map(|done| done.unwrap_or(Err(JobError::Abandoned)))
    }
}

impl BackgroundWorker {
    /// Starts workers on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NoRuntime`] outside a tokio runtime.
    pub fn new(runner: impl TaskRunner, options: WorkerOptions) -> Result<Self, SubmitError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SubmitError::NoRuntime)?;
        let shared = Arc::new(Shared {
            room: Arc::new(Semaphore::new(options.capacity)),
            state: Mutex::default(),
            work: Notify::new(),
            idle: Notify::new(),
            options,
        });
        let mut workers = JoinSet::new();
        for _ in 0..shared.options.workers {
            workers.spawn_on(Arc::clone(&shared).work(), &runtime);
        }
        Ok(Self {
            shared,
            runner: Arc::new(runner),
            workers: Mutex::new(workers),
        })
    }

    /// Hands in a task that nobody need wait for: its span starts a trace of its own, with a link to this one.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] at once when as many jobs wait as may.
    pub fn submit(&self, task: Task) -> Result<JobHandle, SubmitError> {
        self.submit_job(self.attempts_at(task, Relation::Link))
    }

    /// Hands in a task, waiting for room if need be, and waits for its end: its span is a child of this one.
    ///
    /// # Errors
    ///
    /// [`JobError`]: why the task did not succeed.
    pub async fn submit_and_wait(&self, task: Task) -> Result<(), JobError> {
        let attempt = self.attempts_at(task, Relation::Child);
        let since = Instant::now();
        let room = Arc::clone(&self.shared.room)
            .acquire_owned()
            .await
            .map_err(|_| SubmitError::ShutDown)?;
        self.shared.enqueue(room, since, attempt)?.await
    }

    /// Hands in a job of any kind. `attempt` makes the future of one attempt, counted from 1; annotate what it runs
    /// with `#[background_job(…, parent = link)]`.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] at once when as many jobs wait as may.
    pub fn submit_job<F>(&self, attempt: F) -> Result<JobHandle, SubmitError>
    where
        F: FnMut(u32) -> TaskFuture + Send + 'static,
    {
        match Arc::clone(&self.shared.room).try_acquire_owned() {
            Ok(room) => self.shared.enqueue(room, Instant::now(), attempt),
            Err(TryAcquireError::Closed) => Err(SubmitError::ShutDown),
            Err(TryAcquireError::NoPermits) => {
                self.shared.state().status.refused += 1;
                Err(SubmitError::Full {
                    capacity: self.shared.options.capacity,
                })
            }
        }
    }

    /// What there is to do, and what was done.
    pub fn status(&self) -> WorkerStatus {
        let state = self.shared.state();
        WorkerStatus {
            queued: state.queue.len(),
            ..state.status
        }
    }

    /// Waits until nothing waits and nothing runs.
    pub async fn wait_idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.state().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Takes no more jobs, finishes those it has, and ends. What is not done by the deadline is abandoned: running
    /// jobs are dropped at their next `.await`, their spans say `cancelled`.
    pub async fn shutdown(self, deadline: Duration) -> Drained {
        let before = self.status();
        self.shared.end();
        let mut workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let drained = tokio::time::timeout(deadline, async {
            while workers.join_next().await.is_some() {}
        })
        .await;
        let after = self.status();
        if drained.is_err() {
            // A job that does not come to an `.await` must not hold up whoever set the deadline.
            _ = tokio::time::timeout(GRACE, workers.shutdown()).await;
            self.shared.clear();
        }
        let done = |status: &WorkerStatus| status.succeeded + status.failed;
        Drained {
            finished: done(&after) - done(&before),
            abandoned: after.queued + after.running,
        }
    }

    fn attempts_at(
        &self,
        task: Task,
        relation: Relation,
    ) -> impl FnMut(u32) -> TaskFuture + Send + use<> {
        let runner = Arc::clone(&self.runner);
        move |attempt| runner.run(&task, relation, attempt)
    }
}

impl Drop for BackgroundWorker {
    fn drop(&mut self) {
        self.shared.end();
        // Dropping the set of workers stops them; what they had not begun must go too, so that its handles learn it.
        self.shared.clear();
    }
}

impl fmt::Debug for BackgroundWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BackgroundWorker")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.status.running == 0
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue<F>(
        self: &Arc<Self>,
        room: tokio::sync::OwnedSemaphorePermit,
        since: Instant,
        attempt: F,
    ) -> Result<JobHandle, SubmitError>
    where
        F: FnMut(u32) -> TaskFuture + Send + 'static,
    {
        let (tell, done) = oneshot::channel();
        let shared = Arc::clone(self);
        let job = async move {
            let result = AssertUnwindSafe(shared.attempts(attempt))
                .catch_unwind()
                .await;
            let result = result.unwrap_or(Err(JobError::Panicked));
            shared.count(result.is_ok());
            // Nobody may be waiting.
            let _ = tell.send(result);
        };
        let job = Box::pin(job.carry());
        let wait = QueueWait::begun(Arc::clone(&self.options.name), since);
        let mut state = self.state();
        if state.ending {
            return Err(SubmitError::ShutDown);
        }
        state.queue.push_back(Queued {
            job,
            wait,
            _room: room,
        });
        drop(state);
        self.work.notify_one();
        Ok(JobHandle { done })
    }

    /// Tries until it succeeds or has been tried often enough.
    async fn attempts(&self, mut attempt: impl FnMut(u32) -> TaskFuture) -> Result<(), JobError> {
        let mut wait = self.options.backoff;
        let mut number = 1;
        loop {
            match attempt(number).await {
                Ok(()) => return Ok(()),
                Err(source) if number >= self.options.attempts => {
                    return Err(JobError::Failed {
                        attempts: number,
                        source,
                    });
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = wait.saturating_mul(2);
            number += 1;
            self.state().status.retried += 1;
        }
    }

    /// One worker: does what is queued until the end has come and nothing is left.
    async fn work(self: Arc<Self>) {
        loop {
            let more = self.work.notified();
            match self.take() {
                Some(Queued {
                    job,
                    wait,
                    _room: room,
                }) => {
                    drop(room);
                    wait.end();
                    let running = Running::begin(&self);
                    job.await;
                    drop(running);
                }
                None if self.state().ending => {
                    // The next worker learns of the end from this one.
                    self.work.notify_one();
                    return;
                }
                None => more.await,
            }
        }
    }

    fn take(&self) -> Option<Queued> {
        let mut state = self.state();
        let queued = state.queue.pop_front();
        // Counted under the same lock, so that a job is never neither waiting nor running.
        state.status.running += usize::from(queued.is_some());
        queued
    }

    fn count(&self, succeeded: bool) {
        let mut state = self.state();
        *if succeeded {
            &mut state.status.succeeded
        } else {
            &mut state.status.failed
        } += 1;
    }

    /// Abandons what waits.
    fn clear(&self) {
        let abandoned = std::mem::take(&mut self.state().queue);
        // Dropping a job may run code of its own, which may ask for the status.
        drop(abandoned);
    }

    fn end(&self) {
        self.state().ending = true;
        self.room.close();
        self.work.notify_waiters();
        self.work.notify_one();
    }
}

/// Ends the count of a running job, also when the worker is stopped in the middle of it.
struct Running<'a> {
    shared: &'a Shared,
}

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared) -> Self {
        Self { shared }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.status.running -= 1;
        let idle = state.is_idle();
        drop(state);
        if idle {
            self.shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
