//! The instruments of percolate's metrics, their bounds, and the instrumentation scope.
//!
//! Which attributes a measurement has is decided in `series`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry::{InstrumentationScope, KeyValue};

use crate::conventions::{SCHEMA_URL, SCOPE_NAME, attribute, metric};
use crate::site::SiteKind;

/// Bounds for storage calls in seconds: from a microsecond, and every bound the conventions advise
/// among them.
pub const STORAGE_BOUNDS: [f64; 22] = [
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
];
/// Bounds for background jobs in seconds: from a millisecond to an hour.
pub const JOB_BOUNDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];
/// The bounds the conventions advise for `db.client.operation.duration`, in seconds.
pub const ADVISED_BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// The bounds the conventions advise for `db.client.response.returned_rows`.
pub const ROW_BOUNDS: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
];

pub(crate) const OPERATION_DESCRIPTION: &str = "Duration of database client operations.";
pub(crate) const ROWS_DESCRIPTION: &str =
    "The actual number of records returned by the database operation.";
pub(crate) const JOB_DESCRIPTION: &str = "Duration of background job runs.";
pub(crate) const QUEUE_WAIT_DESCRIPTION: &str =
    "Time that background jobs waited in a queue before they were run.";

/// The instruments of one meter provider.
#[derive(Debug)]
pub(crate) struct Instruments {
    db_duration: Histogram<f64>,
    pub(crate) db_rows: Histogram<u64>,
    job_duration: Histogram<f64>,
    pub(crate) job_active: UpDownCounter<i64>,
    pub(crate) queue_length: UpDownCounter<i64>,
    pub(crate) queue_wait: Histogram<f64>,
    pub(crate) unsampled: Counter<u64>,
}

impl Instruments {
    /// `lost` is the running number of spans that were lost, where spans are recorded.
    pub(crate) fn new(meter: &Meter, lost: Option<Arc<AtomicU64>>) -> Self {
        if let Some(lost) = lost {
            // The SDK keeps the callback; the handle is not needed.
            _ = meter
                .u64_observable_counter(metric::PERCOLATE_SPAN_DROPPED)
                .with_unit("{span}")
                .with_description("Spans that were lost, by reason.")
                .with_callback(move |observer| {
                    observer.observe(
                        lost.load(Ordering::Relaxed),
                        &[KeyValue::new(attribute::PERCOLATE_REASON, "hand_over_full")],
                    );
                })
                .build();
        }
        Self {
            db_duration: meter
                .f64_histogram(metric::DB_CLIENT_OPERATION_DURATION)
                .with_unit("s")
                .with_description(OPERATION_DESCRIPTION)
                .with_boundaries(STORAGE_BOUNDS.to_vec())
                .build(),
            db_rows: meter
                .u64_histogram(metric::DB_CLIENT_RESPONSE_RETURNED_ROWS)
                .with_unit("{row}")
                .with_description(ROWS_DESCRIPTION)
                .with_boundaries(ROW_BOUNDS.to_vec())
                .build(),
            job_duration: meter
                .f64_histogram(metric::JOB_DURATION)
                .with_unit("s")
                .with_description(JOB_DESCRIPTION)
                .with_boundaries(JOB_BOUNDS.to_vec())
                .build(),
            job_active: meter
                .i64_up_down_counter(metric::JOB_ACTIVE)
                .with_unit("{job}")
                .with_description("Background jobs running now.")
                .build(),
            queue_length: meter
                .i64_up_down_counter(metric::JOB_QUEUE_LENGTH)
                .with_unit("{job}")
                .with_description("Background jobs that wait in a queue now.")
                .build(),
            queue_wait: meter
                .f64_histogram(metric::JOB_QUEUE_WAIT)
                .with_unit("s")
                .with_description(QUEUE_WAIT_DESCRIPTION)
                .with_boundaries(STORAGE_BOUNDS.to_vec())
                .build(),
            unsampled: meter
                .u64_counter(metric::PERCOLATE_CALL_UNSAMPLED)
                .with_unit("{call}")
                .with_description(
                    "Calls that were slow or failed and are not part of a sampled trace.",
                )
                .build(),
        }
    }

    /// The histogram of the durations of operations or jobs.
    pub(crate) fn duration(&self, kind: SiteKind) -> &Histogram<f64> {
        match kind {
            SiteKind::Db => &self.db_duration,
            SiteKind::Job => &self.job_duration,
        }
    }
}

/// percolate's own instrumentation scope.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE_NAME)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
