//! The gate: whether a call that starts now is recorded.
//!
//! Nothing is allocated for a call that is not recorded.

use std::num::NonZeroU128;

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};

use super::instance::Runtime;
use crate::current_context::{current, is_thread_ending, with_current};
use crate::identity::{Identity, new_trace_id};
use crate::link_target::LinkTarget;
use crate::sampler::{Sampler, Share};
use crate::shared_attributes::SharedAttributes;
use crate::site::Parent;
use crate::starting_call::StartingCall;
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
    /// Recorded if another span links to it before it ends. The calls inside are not recorded.
    IfLinked(Identity, LinkTarget),
    /// Left to a foreign set-up, which samples by itself.
    Watched,
}

/// What is decided by the current context alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Telemetry is suppressed: the call has neither a metric nor a span.
    Suppressed,
    /// The call is not recorded, because its parent is not, or because the thread ends.
    Unsampled,
    /// [`Runtime::decide`] decides by the id of the trace that the call starts.
    Root,
    /// [`Runtime::decide`] decides.
    Open,
}

impl Runtime {
    /// Returns what the current context decides about a call that starts now. Most calls need no
    /// other decision. `IS_SYNC` gives both places that call it a copy of their own, which the compiler
    /// inlines.
    #[inline]
    pub(crate) fn gate<const IS_SYNC: bool>(&self, relation: Parent) -> Gate {
        if is_thread_ending() {
            return Gate::Unsampled;
        }
        Context::map_current(|cx| self.gate_in(cx, relation))
    }

    #[inline]
    fn gate_in(&self, cx: &Context, relation: Parent) -> Gate {
        if cx.is_telemetry_suppressed() {
            return Gate::Suppressed;
        }
        if relation != Parent::Child {
            return Gate::Open;
        }
        let span = cx.span();
        let parent = span.span_context();
        if parent.is_valid() {
            return if self.follows_parents && !parent.is_sampled() {
                Gate::Unsampled
            } else {
                Gate::Open
            };
        }
        if self.sampler.is_some() && unsampled_root().is_some() {
            return Gate::Unsampled;
        }
        if self.share_of_roots.is_some() {
            Gate::Root
        } else {
            Gate::Open
        }
    }

    /// Counts a call that starts after the shutdown. Neither its attributes are evaluated nor samplers
    /// of the SDK called.
    #[inline(never)]
    pub(super) fn count_later_call(&self, relation: Parent) {
        let is_sampled = with_current(|cx| match self.gate_in(cx, relation) {
            Gate::Suppressed => None,
            Gate::Unsampled => Some(false),
            Gate::Root | Gate::Open => Some(!is_thread_ending() && self.would_record(cx, relation)),
        });
        if let Some(is_sampled) = is_sampled {
            self.later_calls.add(is_sampled);
        }
    }

    /// Whether a call that its gate lets through would be recorded. A sampler of the SDK would record
    /// none.
    fn would_record(&self, cx: &Context, relation: Parent) -> bool {
        let span = cx.span();
        let parent = span.span_context();
        let is_child = relation == Parent::Child && parent.is_valid();
        if is_child && self.follows_parents {
            return self.sampler.is_some();
        }
        let trace_id = if is_child {
            u128::from_be_bytes(parent.trace_id().to_bytes())
        } else {
            new_trace_id().get()
        };
        self.share_of_roots
            .is_some_and(|share| share.includes(trace_id))
    }

    /// Decides how a call that starts now is recorded, after its gate.
    #[inline(never)]
    pub(crate) fn decide(&'static self, gate: Gate, call: &mut StartingCall<'_>) -> Decision {
        match gate {
            Gate::Suppressed => Decision::Suppressed,
            Gate::Unsampled => Decision::Unsampled,
            Gate::Root => self
                .share_of_roots
                .map_or(Decision::Unsampled, |share| decide_root(share, call)),
            // The sampler may make another context current, so the current one is not borrowed.
            Gate::Open if self.sampler.as_ref().is_some_and(Sampler::is_custom) => {
                self.decide_in(&current(), call)
            }
            Gate::Open => with_current(|cx| self.decide_in(cx, call)),
        }
    }

    fn decide_in(&'static self, cx: &Context, call: &mut StartingCall<'_>) -> Decision {
        let Some(sampler) = &self.sampler else {
            // A foreign set-up samples by itself; only a parent's refusal is final here.
            call.shared = SharedAttributes::of(cx).cloned();
            return Decision::Watched;
        };
        let relation = call.parent;
        let span = cx.span();
        let parent = span.span_context();
        if relation == Parent::Child && parent.is_valid() {
            // The gate is open for a parent that is followed only if the parent is sampled.
            let sampled =
                self.follows_parents || sampler.samples(parent.trace_id(), call, cx, false);
            if !sampled {
                return Decision::Unsampled;
            }
            call.shared = SharedAttributes::of(cx).cloned();
            return Decision::Sampled(in_state(Identity::child(parent), call));
        }
        let trace_id = new_trace_id();
        if sampler.samples(TraceId::from(trace_id.get()), call, cx, true) {
            call.shared = SharedAttributes::of(cx).cloned();
            let link = (relation == Parent::Link && parent.is_valid()).then(|| parent.clone());
            Decision::Sampled(in_state(Identity::root(trace_id).linked(link), call))
        } else {
            Decision::UnsampledRoot(trace_id)
        }
    }
}

impl Runtime {
    /// Decides how a root is recorded to whose span others may link.
    #[cold]
    pub(crate) fn decide_target(
        &'static self,
        call: &mut StartingCall<'_>,
        target: &LinkTarget,
    ) -> Decision {
        let cx = current();
        let gate = if is_thread_ending() {
            Gate::Unsampled
        } else {
            self.gate_in(&cx, Parent::Root)
        };
        let (Gate::Root | Gate::Open, Some(sampler)) = (gate, &self.sampler) else {
            // A foreign set-up chooses the ids.
            target.give_up();
            return self.decide(gate, call);
        };
        let trace_id = TraceId::from(target.trace_id().get());
        let is_sampled = sampler.samples(trace_id, call, &cx, true);
        call.shared = SharedAttributes::of(&cx).cloned();
        let identity = in_state(target.identity(), call);
        if is_sampled && target.record() {
            Decision::Sampled(identity)
        } else {
            Decision::IfLinked(identity, target.clone())
        }
    }
}

/// Decides about a call that starts a trace, which is recorded if it is one of `share`.
fn decide_root(share: Share, call: &mut StartingCall<'_>) -> Decision {
    let trace_id = new_trace_id();
    if !share.includes(trace_id.get()) {
        return Decision::UnsampledRoot(trace_id);
    }
    call.shared = with_current(|cx| SharedAttributes::of(cx).cloned());
    Decision::Sampled(Identity::root(trace_id))
}

/// Gives the span the trace state that a sampler returned.
fn in_state(mut identity: Identity, call: &mut StartingCall<'_>) -> Identity {
    if let Some(state) = call.take_trace_state() {
        identity.set_state(state);
    }
    identity
}

/// Whether telemetry is suppressed in the current context.
pub(crate) fn is_suppressed() -> bool {
    with_current(Context::is_telemetry_suppressed)
}
