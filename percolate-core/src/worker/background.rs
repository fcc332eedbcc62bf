//! [`BackgroundWorker`]: the queue, its workers and the handles of jobs.
//!
//! The invariant: every job that was accepted ends as succeeded, failed, panicked or abandoned, and
//! its handle resolves.

use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore, TryAcquireError, oneshot};
use tokio::task::JoinSet;

use super::error::{JobError, SubmitError};
use super::options::WorkerOptions;
use super::task::{Relation, Task, TaskFuture, TaskRunner};
use crate::otel::{Carry, QueueWait};

/// How long shutdown waits for aborted jobs to stop.
const GRACE: Duration = Duration::from_millis(50);

/// Counts of a worker's jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Queued jobs.
    pub queued: usize,
    /// Running jobs.
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

/// The result of [`BackgroundWorker::shutdown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Queued and running jobs that finished during the shutdown.
    pub finished: u64,
    /// Jobs that had not finished by the deadline.
    pub abandoned: usize,
}

/// Runs jobs in the background, a fixed number at a time.
///
/// Dropping the worker abandons queued and running jobs; [`shutdown`](Self::shutdown) lets them
/// finish.
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
    shared: Arc<WorkerShared>,
    runner: Arc<dyn TaskRunner>,
    workers: Mutex<JoinSet<()>>,
}

struct WorkerShared {
    options: WorkerOptions,
    state: Mutex<QueueState>,
    /// One permit for each free place in the queue.
    room: Arc<Semaphore>,
    /// Wakes workers when a job is queued or the worker shuts down.
    work: Notify,
    /// Wakes callers of `wait_idle`.
    idle: Notify,
}

#[derive(Default)]
struct QueueState {
    queue: VecDeque<Queued>,
    status: WorkerStatus,
    ending: bool,
}

struct Queued {
    job: Pin<Box<dyn Future<Output = ()> + Send>>,
    wait: QueueWait,
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// A future that resolves when the job ends. Dropping it does not stop the job.
#[derive(Debug)]
#[must_use = "the job runs anyway, but its result is lost"]
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
        let shared = Arc::new(WorkerShared {
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

    /// Submits a task without waiting for it. Its span is the root of a new trace, linked to the
    /// current span.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] if the queue is full; the call does not wait for a free place.
    pub fn submit(&self, task: Task) -> Result<JobHandle, SubmitError> {
        self.submit_job(self.attempts_at(task, Relation::Link))
    }

    /// Submits a task, waiting for a free place in the queue if necessary, and waits until it ends.
    /// Its span is a child of the current span.
    ///
    /// # Errors
    ///
    /// [`JobError`] if the task did not succeed.
    pub async fn submit_and_wait(&self, task: Task) -> Result<(), JobError> {
        let attempt = self.attempts_at(task, Relation::Child);
        let since = Instant::now();
        let room = Arc::clone(&self.shared.room)
            .acquire_owned()
            .await
            .map_err(|_| SubmitError::ShutDown)?;
        self.shared.enqueue(room, since, attempt)?.await
    }

    /// Submits a job of any kind. `attempt` returns the future of one attempt, counted from 1.
    /// Annotate the function it calls with `#[background_job(…, parent = link)]`.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Full`] if the queue is full; the call does not wait for a free place.
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

    /// Returns the current counts.
    pub fn status(&self) -> WorkerStatus {
        let state = self.shared.state();
        WorkerStatus {
            queued: state.queue.len(),
            ..state.status
        }
    }

    /// Waits until no job is queued or running.
    pub async fn wait_idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.state().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// Stops accepting jobs and waits until the queued and running ones end, at most for
    /// `deadline`. Jobs that have not ended by then are abandoned: running jobs are dropped at
    /// their next `.await`, and their spans have the status `cancelled`.
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
            // A job that does not reach an `.await` must not delay the caller past the deadline.
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
        // Dropping the `JoinSet` stops the workers. Queued jobs must be dropped too, so that their
        // handles resolve.
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

impl QueueState {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.status.running == 0
    }
}

impl WorkerShared {
    fn state(&self) -> MutexGuard<'_, QueueState> {
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
        let (sender, done) = oneshot::channel();
        let shared = Arc::clone(self);
        let job = async move {
            let result = AssertUnwindSafe(shared.attempts(attempt))
                .catch_unwind()
                .await;
            let result = result.unwrap_or(Err(JobError::Panicked));
            shared.count(result.is_ok());
            // The handle may have been dropped.
            let _ = sender.send(result);
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

    /// Runs attempts until one succeeds or the maximum is reached.
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

    /// The loop of one worker: runs queued jobs until the worker shuts down and the queue is empty.
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
                    // Wake the next worker, so that it ends too.
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
        // Counted under the same lock, so that a job is always either queued or running.
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

    /// Abandons the queued jobs.
    fn clear(&self) {
        let abandoned = std::mem::take(&mut self.state().queue);
        // Dropping a job may run user code that locks the state; the lock is released by now.
        drop(abandoned);
    }

    fn end(&self) {
        self.state().ending = true;
        self.room.close();
        self.work.notify_waiters();
        self.work.notify_one();
    }
}

/// Decrements the number of running jobs on drop, even if the worker is stopped in the middle of a
/// job.
struct Running<'a> {
    shared: &'a WorkerShared,
}

impl<'a> Running<'a> {
    fn begin(shared: &'a WorkerShared) -> Self {
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
