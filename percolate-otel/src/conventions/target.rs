//! `tracing` targets of the spans that percolate makes.

/// `tracing` target of database operations.
pub const DB: &str = "percolate::db";
/// `tracing` target of background jobs.
pub const JOB: &str = "percolate::job";
/// Whether this is the target of annotated calls.
#[cfg(feature = "layer")]
pub(crate) fn is_of_calls(target: &str) -> bool {
    matches!(target, DB | JOB)
}

/// `tracing` target of the spans of `db_span` and `db_query_span`, which reach OpenTelemetry as
/// `tracing` spans.
pub const DB_BY_HAND: &str = "percolate::db::span";
/// `tracing` target of the spans of `background_span`.
pub const JOB_BY_HAND: &str = "percolate::job::span";
