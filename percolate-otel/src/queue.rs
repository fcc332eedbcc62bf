//! Metrics of jobs that wait in a queue: their number, and the time each waited. Running a job is
//! not part of it.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;

use super::runtime::{self, Runtime};
use crate::current_context::with_current;

/// Measures a job in a queue. Put it into the queue with the job, and call [`end`](Self::end) when
/// the job is taken.
///
/// Until then the job counts in `job.queue.length`. Its wait is recorded in `job.queue.wait`, in
/// seconds. If it is dropped first, the job was not run: it no longer counts and no wait is
/// recorded.
///
/// ```
/// use std::sync::mpsc::channel;
/// use percolate_otel::QueueWait;
///
/// let (jobs, queue) = channel();
/// jobs.send((QueueWait::begin("reports"), "render")).unwrap();
/// for (wait, job) in queue.try_iter() {
///     wait.end();
///     assert_eq!(job, "render");
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping it removes the job from the length of the queue"]
pub struct QueueWait {
    /// The runtime at the start, which also gets the end.
    runtime: Option<&'static Runtime>,
    queue: Arc<str>,
    since: Instant,
}

impl QueueWait {
    /// Adds a job to a queue. The name is recorded as `job.queue.name` on metrics, so it must be
    /// one of few.
    pub fn begin(queue: impl Into<Arc<str>>) -> Self {
        Self::begun(queue, Instant::now())
    }

    /// As [`begin`](Self::begin), for a job that was submitted at `since` and had to wait for room
    /// in the queue.
    pub fn begun(queue: impl Into<Arc<str>>, since: Instant) -> Self {
        let runtime =
            runtime::current().filter(|_| !with_current(Context::is_telemetry_suppressed));
        let queue = queue.into();
        if let Some(runtime) = runtime {
            runtime.series.queue_length(&queue, 1);
        }
        Self {
            runtime,
            queue,
            since,
        }
    }

    /// Records the wait of a job that is taken from the queue to run now.
    pub fn end(self) {
        if let Some(runtime) = self.runtime {
            runtime.series.queue_wait(&self.queue, self.since.elapsed());
        }
    }
}

impl Drop for QueueWait {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime {
            runtime.series.queue_length(&self.queue, -1);
        }
    }
}
