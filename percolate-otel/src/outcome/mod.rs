//! [`Outcome`]: what is read from the return value of a call, and nothing else the end of a call
//! needs.
//!
//! A type describes itself with [`Rows`], [`ErrorType`] and [`JobOutcome`]. The traits are
//! optional: `autoref` picks the best reading that a type allows. An outcome holds counts and
//! low-cardinality names, never an error's message or a row.

pub mod autoref;
mod error_type;
mod job_outcome;
mod rows;

pub use self::error_type::{ErrorInfo, ErrorType, register_error_type};
pub use self::job_outcome::JobOutcome;
pub use self::rows::Rows;

use crate::conventions::JobStatus;

/// How one annotated call ended, read from the value it returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `db.response.returned_rows`.
    pub returned_rows: Option<i64>,
    /// `db.response.affected_rows`.
    pub affected_rows: Option<i64>,
    /// `db.operation.batch.size` or `job.batch_size`, if it is only known from the returned value.
    pub batch_size: Option<i64>,
    /// The failure, if the call failed.
    pub error: Option<ErrorInfo>,
    /// How a job ended that returned no error. Ignored if `error` is set.
    pub status: JobStatus,
}

impl Outcome {
    /// Creates the outcome of a call that did not fail, with nothing else known.
    pub const fn success() -> Self {
        Self {
            returned_rows: None,
            affected_rows: None,
            batch_size: None,
            error: None,
            status: JobStatus::Success,
        }
    }

    /// Creates the outcome of a call that failed.
    pub fn failed(error: ErrorInfo) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
