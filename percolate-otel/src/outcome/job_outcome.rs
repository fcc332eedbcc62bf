//! [`JobOutcome`]: how a job ended, read from the value it returned.

use std::rc::Rc;
use std::sync::Arc;

use crate::conventions::JobStatus;

/// The result of a job that can return `Ok` without being a full success.
///
/// # Examples
/// ```
/// use percolate_otel::{JobOutcome, JobStatus};
///
/// struct Report { embedded: usize, refused: usize }
///
/// impl JobOutcome for Report {
///     fn job_status(&self) -> JobStatus {
///         if self.refused > 0 { JobStatus::Partial } else { JobStatus::Success }
///     }
/// }
/// ```
pub trait JobOutcome {
    /// Returns how the job ended. `Partial` and `Cancelled` are not failures: the span has no
    /// error.
    ///
    /// It is only called for values of successful calls: `Err` is always `JobStatus::Failed`.
    fn job_status(&self) -> JobStatus;
}

macro_rules! job_outcome_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: JobOutcome + ?Sized> JobOutcome for $pointer {
            fn job_status(&self) -> JobStatus {
                (**self).job_status()
            }
        }
    )*};
}
job_outcome_of_pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: JobOutcome> JobOutcome for Option<T> {
    fn job_status(&self) -> JobStatus {
        self.as_ref()
            .map_or(JobStatus::Success, JobOutcome::job_status)
    }
}
