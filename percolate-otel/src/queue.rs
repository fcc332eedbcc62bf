//! Jobs that wait: how many there are in a queue, and for how long each waited. What runs a job is not known here.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;

use super::runtime::{self, Runtime};

/// A job in a queue, measured: put it beside the job, and [`end`](Self::end) it when the job is taken.
///
/// Until then the job counts in `job.queue.length`; its wait is recorded in `job.queue.wait`, in seconds. Dropped
/// before, it is counted out and has no wait: nobody took the job.
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
#[must_use = "dropping it says that the job has left the queue"]
pub struct QueueWait {
    /// What the queue reports to: the same at the end as at the beginning.
    runtime: Option<&'static Runtime>,
    queue: Arc<str>,
    since: Instant,
}

impl QueueWait {
    /// A job joins the queue of that name, which becomes `job.queue.name`: one of few, as it is on metrics.
    pub fn begin(queue: impl Into<Arc<str>>) -> Self {
        Self::begun(queue, Instant::now())
    }

    /// One that was handed in at `since`, and found room in the queue only now.
    pub fn begun(queue: impl Into<Arc<str>>, since: Instant) -> Self {
        let runtime =
            runtime::current().filter(|_| !Context::map_current(Context::is_telemetry_suppressed));
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

    /// The job is taken, and will run now.
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
