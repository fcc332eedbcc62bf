//! The ids of spans: random trace and span ids, and the [`Identity`] of a recorded call.
//!
//! Which calls are recorded is decided in `runtime`.

use std::cell::Cell;
use std::num::NonZeroU128;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::aggregation::CellExemplar;
use crate::clock::Reading;
use crate::forks;

/// The flag of W3C Trace Context Level 2 for random trace ids. All trace ids created here are
/// random.
pub(crate) const RANDOM_TRACE_ID: TraceFlags = TraceFlags::new(0x02);

/// The ids of a recorded call, of its parent and of its link.
#[derive(Debug)]
pub(crate) struct Identity {
    trace_id: u128,
    span_id: u64,
    parent_span_id: u64,
    flags: TraceFlags,
    parent_is_remote: bool,
    /// Boxed because few calls have a `tracestate` or a link.
    rare: Option<Box<RareIdentity>>,
}

#[derive(Debug)]
struct RareIdentity {
    trace_state: TraceState,
    link: Option<SpanContext>,
}

impl Identity {
    /// A new span in the trace of `parent`.
    pub(crate) fn child(parent: &SpanContext) -> Self {
        let trace_state = parent.trace_state();
        let has_state = *trace_state != TraceState::NONE;
        Self {
            trace_id: u128::from_be_bytes(parent.trace_id().to_bytes()),
            span_id: new_id(),
            parent_span_id: u64::from_be_bytes(parent.span_id().to_bytes()),
            flags: parent.trace_flags() | TraceFlags::SAMPLED,
            parent_is_remote: parent.is_remote(),
            rare: has_state.then(|| {
                Box::new(RareIdentity {
                    trace_state: trace_state.clone(),
                    link: None,
                })
            }),
        }
    }

    /// The call as the exemplar of what is measured now. The value is set when it is recorded.
    pub(crate) fn exemplar(&self) -> CellExemplar {
        CellExemplar {
            trace_id: self.trace_id,
            span_id: self.span_id,
            stamp: Reading::now().stamp(),
            value: 0,
        }
    }

    /// The root span of a new trace.
    pub(crate) fn root(trace_id: NonZeroU128) -> Self {
        Self {
            trace_id: trace_id.get(),
            span_id: new_id(),
            parent_span_id: 0,
            flags: TraceFlags::SAMPLED | RANDOM_TRACE_ID,
            parent_is_remote: false,
            rare: None,
        }
    }

    /// The root span of a new trace, with a span id that was chosen before.
    pub(crate) fn root_as(trace_id: NonZeroU128, span_id: SpanId) -> Self {
        Self {
            span_id: u64::from_be_bytes(span_id.to_bytes()),
            ..Self::root(trace_id)
        }
    }

    /// Adds a link to another span.
    pub(crate) fn linked(mut self, link: Option<SpanContext>) -> Self {
        if link.is_some() {
            self.rare = Some(Box::new(RareIdentity {
                trace_state: TraceState::NONE,
                link,
            }));
        }
        self
    }

    /// Replaces the trace state by one that a sampler returned.
    pub(crate) fn set_state(&mut self, trace_state: TraceState) {
        match &mut self.rare {
            Some(rare) => rare.trace_state = trace_state,
            None if trace_state == TraceState::NONE => {}
            None => {
                self.rare = Some(Box::new(RareIdentity {
                    trace_state,
                    link: None,
                }));
            }
        }
    }

    pub(crate) fn span_context(&self) -> SpanContext {
        SpanContext::new(
            TraceId::from(self.trace_id),
            SpanId::from(self.span_id),
            self.flags,
            false,
            self.rare
                .as_ref()
                .map_or(TraceState::NONE, |rare| rare.trace_state.clone()),
        )
    }

    pub(crate) fn parent_span_id(&self) -> SpanId {
        SpanId::from(self.parent_span_id)
    }

    pub(crate) fn parent_is_remote(&self) -> bool {
        self.parent_is_remote
    }

    pub(crate) fn link(&self) -> Option<&SpanContext> {
        self.rare.as_ref().and_then(|rare| rare.link.as_ref())
    }
}

thread_local! {
    /// The state of the generator, and the number of forks behind the process that seeded it.
    static RANDOM: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// The next random numbers of this thread: splitmix64, seeded again in the child of a fork, which has
/// a copy of the state.
#[inline]
fn random<const N: usize>() -> [u64; N] {
    let (mut state, seeded) = RANDOM.get();
    let forks = forks::count();
    if state == 0 || forks != seeded {
        state = seed();
    }
    let numbers = std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(state)
    });
    RANDOM.set((state, forks));
    numbers
}

/// Returns the random hash keys of the process, mixed with what its children do not share.
#[cold]
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one((
        std::thread::current().id(),
        std::process::id(),
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok(),
    ))
}

/// Returns the bits mixed, as splitmix64 does: different inputs have different outputs.
#[inline]
pub(crate) fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Returns a random trace id.
#[inline]
pub fn new_trace_id() -> NonZeroU128 {
    loop {
        let [high, low] = random().map(u128::from);
        if let Some(id) = NonZeroU128::new((high << 64) | low) {
            return id;
        }
    }
}

fn new_id() -> u64 {
    loop {
        let [id] = random();
        if id != 0 {
            return id;
        }
    }
}

/// Returns a random span id.
pub fn new_span_id() -> SpanId {
    SpanId::from(new_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_repeat_on_a_thread_or_between_threads() {
        let mut ids: Vec<_> = (0..1000).map(|_| new_id()).collect();
        let other = std::thread::spawn(|| (0..1000).map(|_| new_id()).collect::<Vec<_>>());
        ids.extend(other.join().expect("it does not panic"));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2000);
    }
}
