//! [`Task`], what a worker can be told to do, and [`TaskRunner`], which does it.

use std::pin::Pin;

/// A task of a background worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Writes the vector indexes of a table to files.
    SaveIndex {
        /// The table.
        table: String,
    },
    /// Loads the vector indexes of a table into memory.
    LoadIndex {
        /// The table.
        table: String,
    },
    /// Generates the pending embeddings of a table.
    GenerateEmbeddings {
        /// The table.
        table: String,
    },
    /// Syncs the write-ahead log to disk.
    FlushWal,
    /// Compacts a column family.
    CompactCF {
        /// The column family.
        cf: String,
    },
}

/// The relation of a job's span to the span that was current when the job was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// A child span: the caller waits for the job.
    Child,
    /// The root of a new trace, linked to the caller's span: the caller does not wait.
    Link,
}

/// The error of a failed attempt.
pub type JobFailure = Box<dyn std::error::Error + Send + Sync>;

/// The future of one attempt.
pub type TaskFuture = Pin<Box<dyn Future<Output = Result<(), JobFailure>> + Send>>;

/// Runs tasks.
pub trait TaskRunner: Send + Sync + 'static {
    /// Starts one attempt of a task. `attempt` counts from 1.
    fn run(&self, task: &Task, relation: Relation, attempt: u32) -> TaskFuture;
}
