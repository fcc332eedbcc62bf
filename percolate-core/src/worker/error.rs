//! Errors of the background worker: [`SubmitError`] and [`JobError`].

use super::task::JobFailure;

/// A job was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue is full. The job was refused and counted; queued jobs are never dropped for new
    /// ones.
    #[error("the queue is full ({capacity} jobs wait); try again later, or use `submit_and_wait`")]
    Full {
        /// The capacity of the queue.
        capacity: usize,
    },
    /// The worker was shut down.
    #[error("the worker was shut down")]
    ShutDown,
    /// There is no current tokio runtime.
    #[error("a background worker needs a tokio runtime; create it inside one")]
    NoRuntime,
}

/// A job did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job was not accepted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The last attempt failed.
    #[error("the job failed after {attempts} attempts")]
    Failed {
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        #[source]
        source: JobFailure,
    },
    /// The job panicked. Panics are not retried.
    #[error("the job panicked")]
    Panicked,
    /// The worker was shut down before the job finished.
    #[error("the worker was shut down before the job finished")]
    Abandoned,
}
