//! [`WorkerOptions`]: the queue and the retries of a background worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Options of a [`BackgroundWorker`](super::BackgroundWorker).
///
/// A capacity, a number of workers or a number of attempts below 1 is raised to 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct WorkerOptions {
    pub(super) name: Arc<str>,
    pub(super) capacity: usize,
    pub(super) workers: usize,
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
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
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the queue in metrics, `job.queue.name`. Default: `background`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets how many jobs the queue can hold, at least 1. Default: 256.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how many jobs run at the same time, at least 1. Default: 2.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets the maximum number of attempts of a failing job, at least 1. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the delay before the second attempt. Each further delay is twice as long. Default: 100
    /// ms.
    pub fn backoff(mut self, wait: Duration) -> Self {
        self.backoff = wait;
        self
    }
}
