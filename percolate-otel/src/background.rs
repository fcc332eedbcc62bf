//! Background job spans created by hand: [`background_span`], [`record_background_metrics`]. Prefer
//! `#[background_job]` where it can be used: it also records the metric, and reads the outcome from
//! the returned value.

use super::conventions::{attribute, value};
use super::details::{Details, Names};
use super::named_sites::named_sites;
use super::site::attr;
use super::tracing_span::span_by_hand;
use crate::conventions::JobStatus;

/// Declares the enum from the table of job types in percolate-macros.
macro_rules! declare {
    (variants: { $($variants:tt)* }) => {
        named_sites! {
            /// The job types known by name, and any other.
            pub enum BackgroundJobType: job { $($variants)* }
            /// Another job: dotted words in lower snake case.
            Other = "job";
            /// Returns the value of `job.type`.
            as_str;
            attributes = attr::OF_JOB_SITES;
        }
    };
}

percolate_macros::job_types!(declare);

/// Creates a span for one run of a background job, named `{job type} {target}`.
///
/// Enter the span around synchronous code. Around a future use `.instrument(span)` of `tracing`; do
/// not hold a guard across `.await`. Record the result with [`record_background_metrics`] while the
/// span is entered.
///
/// # Examples
/// ```
/// use percolate_otel::{BackgroundJobType, background_span, record_background_metrics};
///
/// let _span = background_span(BackgroundJobType::IndexBuild, "hnsw").entered();
/// let started = std::time::Instant::now();
/// let vectors = 1000;
/// record_background_metrics(Some(vectors), Some(started.elapsed().as_millis() as u64), "success");
/// ```
#[must_use = "a span does nothing until it is entered"]
pub fn background_span(job_type: BackgroundJobType, target: &str) -> tracing::Span {
    let about = Names::new(Some(target), None, None).with_operation(job_type.as_str());
    span_by_hand(job_type.site(), about, &Details::default())
}

/// Records the result of the run on the current span, which must come from [`background_span`].
///
/// `duration_ms` is in milliseconds. `status` is `success`, `partial`, `failed` or `cancelled`.
/// `failed` marks the span as failed, with the `error.type` `_OTHER`; record a more specific
/// `error.type` after it. `started` is accepted and leaves `job.status` unset, for a second call at
/// the end of the run.
pub fn record_background_metrics(batch_size: Option<u64>, duration_ms: Option<u64>, status: &str) {
    let span = tracing::Span::current();
    for (name, number) in [
        (attribute::JOB_BATCH_SIZE, batch_size),
        (attribute::JOB_DURATION_MS, duration_ms),
    ] {
        if let Some(number) = number {
            span.record(name, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
    if status == "started" {
        return;
    }
    span.record(attribute::JOB_STATUS, status);
    if status == JobStatus::Failed.as_str() {
        span.record(attribute::OTEL_STATUS_CODE, "ERROR");
        span.record(attribute::ERROR_TYPE, value::ERROR_TYPE_OTHER);
    }
}
