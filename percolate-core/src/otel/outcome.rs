//! Reading a return value: rows, error type, job status. A value says what it is through [`Rows`], [`ErrorType`]
//! and [`JobStatus`]; a type that implements none of them records nothing and compiles all the same.
//!
//! The result of the reading is an [`Outcome`], the only thing the end of a call needs to know of the value.

use std::borrow::Cow;

/// How one annotated call ended, as read from the value it returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `db.response.returned_rows`.
    pub returned_rows: Option<i64>,
    /// `db.response.affected_rows`.
    pub affected_rows: Option<i64>,
    /// `db.operation.batch.size` or `job.batch_size`, where it is only known from the value.
    pub batch_size: Option<i64>,
    /// The failure, if the call failed.
    pub error: Option<ErrorInfo>,
    /// The job finished, but some of its items failed.
    pub partial: bool,
}

/// What telemetry says about a failure: never its message, which may hold data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorInfo {
    /// `error.type`: a low-cardinality name.
    pub error_type: Cow<'static, str>,
    /// `db.response.status_code`: the code the database gave, if there is one.
    pub status_code: Option<Cow<'static, str>>,
}

/// An error that names its own kind.
pub trait ErrorType {
    /// The low-cardinality name recorded as `error.type`.
    fn error_type(&self) -> Cow<'static, str>;

    /// The database's own code, recorded as `db.response.status_code`.
    fn status_code(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// A value that knows how many rows it holds.
pub trait Rows {
    /// The number of rows, `None` where it is unknown.
    fn rows(&self) -> Option<usize>;
}

/// A job's result that can be a partial success.
pub trait JobStatus {
    /// Whether some items failed although the job as a whole did not.
    fn is_partial(&self) -> bool;
}

/// The expansion's way into this module.
#[doc(hidden)]
pub mod probe {}
