//! The options of the own aggregation.

use crate::metrics::{JOB_BOUNDS, STORAGE_BOUNDS};

/// The options of an own aggregation of durations and rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnAggregation {
    /// The bounds of `db.client.operation.duration` in seconds, finite and ascending.
    pub operation_bounds: Vec<f64>,
    /// The bounds of `job.duration` in seconds, finite and ascending.
    pub job_bounds: Vec<f64>,
    /// Whether buckets have the last sampled call as an exemplar.
    pub exemplars: bool,
}

impl Default for OwnAggregation {
    fn default() -> Self {
        Self {
            operation_bounds: STORAGE_BOUNDS.to_vec(),
            job_bounds: JOB_BOUNDS.to_vec(),
            exemplars: true,
        }
    }
}
