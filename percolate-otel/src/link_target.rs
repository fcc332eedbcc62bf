//! [`LinkTarget`]: the ids of a span to which others link before it is recorded.

use std::num::NonZeroU128;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::identity::{Identity, RANDOM_TRACE_ID, new_span_id, new_trace_id};

/// A span to which other spans link before it is recorded, also before it has started: the root of a
/// trace whose ids are chosen now.
///
/// An engine may report its own work late, such as a stall for which writes wait. Their spans end first,
/// so they link to the ids, and the call that is started with them later has these ids
/// ([`CallBuilder::link_target`](crate::CallBuilder::link_target)). It is recorded if the sampler samples
/// its trace, or if there is a link to it. Clones are the same span.
///
/// The ids are those of a span of percolate's pipeline. A foreign pipeline chooses ids of its own.
#[derive(Debug, Clone)]
pub struct LinkTarget(Arc<Target>);

#[derive(Debug)]
struct Target {
    trace_id: NonZeroU128,
    span_id: SpanId,
    state: AtomicU8,
}

/// It is not decided whether the span is recorded.
const OPEN: u8 = 0;
/// The span is recorded.
const RECORDED: u8 = 1;
/// The span is not recorded.
const UNRECORDED: u8 = 2;

impl LinkTarget {
    /// Chooses the ids of a span.
    #[expect(
        clippy::new_without_default,
        reason = "each has other ids, which a default does not suggest"
    )]
    pub fn new() -> Self {
        Self(Arc::new(Target {
            trace_id: new_trace_id(),
            span_id: new_span_id(),
            state: AtomicU8::new(OPEN),
        }))
    }

    /// Returns the context for a link from a span that is recorded. The target is then recorded, whatever
    /// the sampler decides about its trace. `None` if its call has ended without a span.
    pub fn link(&self) -> Option<SpanContext> {
        self.decide(RECORDED).then(|| self.span_context())
    }

    /// Decides that the span is not recorded, unless it is decided. Links to it are left out from now on.
    pub fn give_up(&self) {
        self.decide(UNRECORDED);
    }

    /// Decides whether the span is recorded, unless that is decided. Returns whether it is as `state`.
    fn decide(&self, state: u8) -> bool {
        let order = Ordering::Relaxed;
        let decided = self.0.state.compare_exchange(OPEN, state, order, order);
        decided.is_ok() || decided == Err(state)
    }

    /// Decides that the span is recorded, because the sampler samples its trace. Returns whether it is.
    pub(crate) fn record(&self) -> bool {
        self.decide(RECORDED)
    }

    /// Decides at the end of the call whether the span is recorded. Returns whether there is a link to it.
    pub(crate) fn is_linked_at_end(&self) -> bool {
        !self.decide(UNRECORDED)
    }

    pub(crate) fn trace_id(&self) -> NonZeroU128 {
        self.0.trace_id
    }

    /// Returns the ids of the call.
    pub(crate) fn identity(&self) -> Identity {
        Identity::root_as(self.0.trace_id, self.0.span_id)
    }

    fn span_context(&self) -> SpanContext {
        SpanContext::new(
            TraceId::from(self.0.trace_id.get()),
            self.0.span_id,
            TraceFlags::SAMPLED | RANDOM_TRACE_ID,
            false,
            TraceState::NONE,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_recorded_if_there_is_a_link_to_it_and_has_no_links_if_it_is_not() {
        let linked = LinkTarget::new();
        let link = linked.link().expect("nothing is decided");
        assert!(link.is_valid() && link.is_sampled());
        assert_eq!(linked.clone().link(), Some(link));
        assert!(linked.is_linked_at_end());
        linked.give_up();
        assert!(linked.link().is_some());

        let without = LinkTarget::new();
        assert!(!without.is_linked_at_end());
        assert_eq!(without.link(), None);
        let given_up = LinkTarget::new();
        given_up.give_up();
        assert!(given_up.link().is_none() && !given_up.record());
    }
}
