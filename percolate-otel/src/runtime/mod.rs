//! Where calls report to: the [`Runtime`] of the process, of a thread, or of a foreign set-up.
//!
//! `instance` has the runtime itself, `current` selects the one of a call, `decision` decides
//! whether the call is recorded. A runtime lives until the process ends, so calls hold plain
//! references to it.
//!
//! This page is for the crates of the project: nothing here is covered by semantic versioning.

mod current;
mod decision;
mod instance;

pub use current::{
    AlreadyInstalled, ScopeGuard, end, ended, install, providers_changed, scope, scoped, uninstall,
};
pub(crate) use current::{count_later_call, current, unmetered};
pub(crate) use decision::{Decision, Gate, is_suppressed};
pub use instance::{
    Buckets, Exemplar, HistogramData, HistogramPoint, MeterProviderHandle, OwnAggregation,
    PointBuckets, Runtime, RuntimeConfig, Temporality,
};

pub(crate) use crate::identity::RANDOM_TRACE_ID;
pub use crate::identity::{new_span_id, new_trace_id};
pub use crate::metrics::scope as instrumentation_scope;
pub use crate::record::{CallRecord, RecordSink};
pub use crate::sampler::Sampler;
#[cfg(feature = "pipeline")]
pub use crate::sdk::sdk_sink;
pub use crate::shared_attributes::{AttributeSource, SharedAttributes, SpanStart};
pub use crate::unsampled_calls::{UnsampledCalls, UnsampledReport};
pub use crate::unsampled_root::{UnsampledGuard, enter_unsampled_root, unsampled_root};
