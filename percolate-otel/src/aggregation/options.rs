//! The options of the own aggregation.

use super::readers::Temporality;
use crate::metrics::{JOB_BOUNDS, ROW_BOUNDS, STORAGE_BOUNDS};

/// The options of an own aggregation of durations, rows and waits.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnAggregation {
    /// The buckets of `db.client.operation.duration`, in seconds.
    pub operations: Buckets,
    /// The buckets of `job.duration`, in seconds.
    pub jobs: Buckets,
    /// The buckets of `job.queue.wait`, in seconds.
    pub queue_waits: Buckets,
    /// The buckets of `db.client.response.returned_rows`.
    pub rows: Buckets,
    /// Whether histograms have sampled calls as exemplars.
    pub exemplars: bool,
    /// One for each reader, which collects with its index.
    pub readers: Vec<Temporality>,
}

/// The buckets of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Buckets {
    /// The upper bounds of all buckets except the last, finite and ascending.
    Explicit(Vec<f64>),
    /// Base-2 exponential buckets.
    Exponential {
        /// The most buckets, 2 or more.
        max_size: u32,
        /// The scale before it is reduced to make room, from -10 to 20.
        max_scale: i8,
    },
}

impl Default for OwnAggregation {
    fn default() -> Self {
        Self {
            operations: Buckets::Explicit(STORAGE_BOUNDS.to_vec()),
            jobs: Buckets::Explicit(JOB_BOUNDS.to_vec()),
            queue_waits: Buckets::Explicit(STORAGE_BOUNDS.to_vec()),
            rows: Buckets::Explicit(ROW_BOUNDS.to_vec()),
            exemplars: true,
            readers: vec![Temporality::Cumulative],
        }
    }
}
