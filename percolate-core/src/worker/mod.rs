//! Background work: a bounded queue and a fixed number of workers on a tokio runtime. What a
//! [`Task`] does is defined by its [`TaskRunner`] (`database::tasks`), not here. The public path of
//! these items is [`percolate_core::storage`](crate::storage).
//!
//! A job runs in the context of its caller: as a child span if the caller waits for it, otherwise
//! as a new trace with a link. A panic fails only the job that panicked. Queue length and waiting
//! time are measured with [`QueueWait`](crate::otel::QueueWait).

mod background;
mod error;
mod options;
mod task;

pub use self::background::{BackgroundWorker, Drained, JobHandle, WorkerStatus};
pub use self::error::{JobError, SubmitError};
pub use self::options::WorkerOptions;
pub use self::task::{JobFailure, Relation, Task, TaskFuture, TaskRunner};

#[cfg(test)]
mod tests;
