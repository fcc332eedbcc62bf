//! [`JobStatus`]: the values of `job.status`.

/// How a run of a background job ended: the value of `job.status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobStatus {
    /// The job succeeded.
    #[default]
    Success,
    /// The job finished, but some of its items failed.
    Partial,
    /// The job failed.
    Failed,
    /// The job was stopped before its end.
    Cancelled,
}

impl JobStatus {
    /// All values.
    pub const ALL: [Self; 4] = [Self::Success, Self::Partial, Self::Failed, Self::Cancelled];

    /// Returns the value of `job.status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
