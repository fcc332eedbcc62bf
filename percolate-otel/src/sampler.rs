//! Head sampling: whether a call that starts a trace is recorded.

use opentelemetry::Context;
use opentelemetry::trace::TraceId;
#[cfg(feature = "pipeline")]
use opentelemetry_sdk::trace::ShouldSample;

use crate::starting_call::StartingCall;

/// Head sampling, decided where a trace starts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Sampler {
    /// Samples every call.
    AlwaysOn,
    /// Samples no call.
    AlwaysOff,
    /// Samples this share of the traces (0 to 1), by trace id as the OpenTelemetry SDKs do.
    TraceIdRatio(f64),
    /// The parent's decision, or this sampler for calls without a parent.
    ParentBased(Box<Sampler>),
    /// Any other sampler of the SDK. It is called with the name of the span, the attributes that are
    /// known at the start, the link, and the context of the parent. The attributes and the trace
    /// state that it returns are those of the span.
    #[cfg(feature = "pipeline")]
    Custom(Box<dyn ShouldSample>),
}

impl Default for Sampler {
    fn default() -> Self {
        Self::ParentBased(Box::new(Self::AlwaysOn))
    }
}

impl Sampler {
    pub(crate) fn is_parent_based(&self) -> bool {
        matches!(self, Self::ParentBased(_))
    }

    /// Whether it calls code outside of this crate.
    pub(crate) fn is_custom(&self) -> bool {
        match self {
            Self::AlwaysOn | Self::AlwaysOff | Self::TraceIdRatio(_) => false,
            Self::ParentBased(root) => root.is_custom(),
            #[cfg(feature = "pipeline")]
            Self::Custom(_) => true,
        }
    }

    /// Returns the traces that are recorded, if only their ids decide where they start.
    pub(crate) fn share_of_roots(&self) -> Option<Share> {
        match self {
            Self::AlwaysOn => Some(Share::of(1.0)),
            Self::AlwaysOff => Some(Share::of(0.0)),
            Self::TraceIdRatio(ratio) => Some(Share::of(*ratio)),
            Self::ParentBased(root) => root.share_of_roots(),
            #[cfg(feature = "pipeline")]
            Self::Custom(_) => None,
        }
    }

    /// Returns the sampler of the SDK that makes the same decisions.
    #[cfg(feature = "pipeline")]
    pub(crate) fn to_sdk(&self) -> Box<dyn ShouldSample> {
        use opentelemetry_sdk::trace::Sampler as SdkSampler;
        Box::new(match self {
            Self::AlwaysOn => SdkSampler::AlwaysOn,
            Self::AlwaysOff => SdkSampler::AlwaysOff,
            Self::TraceIdRatio(ratio) => SdkSampler::TraceIdRatioBased(*ratio),
            Self::ParentBased(root) => SdkSampler::ParentBased(root.to_sdk()),
            Self::Custom(sampler) => return sampler.clone(),
        })
    }

    /// Whether a call in the trace `trace_id` is recorded. The call is a root, or a child of the
    /// span of `current` if the sampler is not parent-based.
    #[cfg_attr(
        not(feature = "pipeline"),
        expect(
            clippy::only_used_in_recursion,
            reason = "only samplers of the SDK need the call and its context"
        )
    )]
    pub(crate) fn samples(
        &self,
        trace_id: TraceId,
        call: &mut StartingCall<'_>,
        current: &Context,
        is_root: bool,
    ) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::TraceIdRatio(ratio) => {
                let id = u128::from_be_bytes(trace_id.to_bytes());
                Share::of(*ratio).includes(id)
            }
            Self::ParentBased(root) => root.samples(trace_id, call, current, is_root),
            #[cfg(feature = "pipeline")]
            Self::Custom(sampler) => call.is_sampled_by(&**sampler, trace_id, current, is_root),
        }
    }
}

/// A share of all traces, by their ids. It is the SDK's rule, so that services agree on a trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// The number that half of the lower half of a trace id is below.
    bound: u64,
}

impl Share {
    fn of(ratio: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the SDK's own arithmetic, bit for bit"
        )]
        let bound = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self { bound }
    }

    /// Whether the trace with this id is one of them.
    #[inline]
    pub(crate) fn includes(self, trace_id: u128) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "only the lower half is compared"
        )]
        let low = trace_id as u64;
        (low >> 1) < self.bound
    }
}

#[cfg(all(test, feature = "pipeline"))]
mod tests {
    use super::*;
    use crate::runtime::new_trace_id;

    #[test]
    fn the_ratio_decides_as_the_sdk_does_for_every_trace_id() {
        use opentelemetry::trace::SpanKind;
        use opentelemetry_sdk::trace::{Sampler as SdkSampler, SamplingDecision};
        for ratio in [0.0, 0.001, 0.1, 0.5, 0.999, 1.0, 7.0, -1.0] {
            let sdk = SdkSampler::TraceIdRatioBased(ratio);
            for _ in 0..2000 {
                let id = new_trace_id().get();
                let decision = sdk
                    .should_sample(None, TraceId::from(id), "get", &SpanKind::Client, &[], &[])
                    .decision;
                assert_eq!(
                    Share::of(ratio).includes(id),
                    decision == SamplingDecision::RecordAndSample,
                    "{ratio} {id:x}"
                );
            }
        }
    }
}
