//! The gate: whether a call that starts now is recorded.
//!
//! Nothing is allocated for a call that is not recorded.

use std::num::NonZeroU128;

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};

use super::instance::Runtime;
use crate::identity::{Identity, new_trace_id};
use crate::site::{Parent, Site};
use crate::unsampled_root::unsampled_root;

/// How a call is recorded.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Telemetry is suppressed: the call has neither a metric nor a span.
    Suppressed,
    /// Not recorded, because its parent is not.
    Unsampled,
    /// A root that is not recorded, and neither are the calls inside. The trace id is kept for
    /// outgoing headers.
    UnsampledRoot(NonZeroU128),
    /// Recorded.
    Sampled(Identity),
    /// Left to a foreign set-up, which samples by itself.
    Watched,
}

impl Runtime {
    /// Decides how a call of `site` that starts now is recorded.
    pub(crate) fn decide(&'static self, site: &'static Site, relation: Parent) -> Decision {
        Context::map_current(|cx| {
            if cx.is_telemetry_suppressed() {
                return Decision::Suppressed;
            }
            let span = cx.span();
            let parent = span.span_context();
            let inherits = relation == Parent::Child;
            let Some(sampler) = &self.sampler else {
                // A foreign set-up samples by itself; only a parent's refusal is final here.
                return if inherits && parent.is_valid() && !parent.is_sampled() {
                    Decision::Unsampled
                } else {
                    Decision::Watched
                };
            };
            if inherits && parent.is_valid() {
                let sampled = if sampler.is_parent_based() {
                    parent.is_sampled()
                } else {
                    sampler.samples_root(parent.trace_id(), site, Some(cx))
                };
                return if sampled {
                    Decision::Sampled(Identity::child(parent))
                } else {
                    Decision::Unsampled
                };
            }
            if inherits && unsampled_root().is_some() {
                return Decision::Unsampled;
            }
            let trace_id = new_trace_id();
            if sampler.samples_root(TraceId::from(trace_id.get()), site, None) {
                let link = (relation == Parent::Link && parent.is_valid()).then(|| parent.clone());
                Decision::Sampled(Identity::root(trace_id).linked(link))
            } else {
                Decision::UnsampledRoot(trace_id)
            }
        })
    }
}

/// Whether telemetry is suppressed in the current context.
pub(crate) fn is_suppressed() -> bool {
    Context::map_current(Context::is_telemetry_suppressed)
}
