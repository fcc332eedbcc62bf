//! What a call replaces on its thread when it is entered.

use std::num::NonZeroU128;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};

use crate::active::ActiveCall;
use crate::call_events::CallEvents;
use crate::current_context::{attach, with_current};
use crate::probe::Probe;
use crate::unsampled_root::{UnsampledCall, UnsampledGuard, enter_unsampled_root};

/// The state of its thread that a call has replaced, to be restored when it is left.
#[derive(Debug)]
#[expect(
    clippy::option_option,
    reason = "the outer `Option` is whether something was replaced, the inner one is what it was"
)]
pub(crate) struct Entered {
    pub(crate) context: Option<ContextGuard>,
    pub(crate) unsampled: Option<UnsampledGuard>,
    pub(crate) unsampled_call: Option<UnsampledCall>,
    /// The previous active call; `Some` if this call replaced it.
    pub(crate) outer: Option<Option<Box<ActiveCall>>>,
    /// The events of the previous call; `Some` if this call replaced them.
    pub(crate) outer_events: Option<Option<Box<CallEvents>>>,
    pub(crate) probe: Option<&'static dyn Probe>,
}

impl Entered {
    /// Nothing was replaced.
    pub(crate) const NOTHING: Self = Self {
        context: None,
        unsampled: None,
        unsampled_call: None,
        outer: None,
        outer_events: None,
        probe: None,
    };

    /// Enters a call without a span and without a parent, in the trace of these outgoing headers.
    /// `kept` is the context of the call, if that is not the current one.
    #[inline(never)]
    pub(crate) fn enter_root(&mut self, trace_id: NonZeroU128, kept: Option<&Context>) {
        self.unsampled = Some(enter_unsampled_root(Some(trace_id)));
        // The caller of a linked job may be recorded, but what happens inside is not its child.
        let without_span = |cx: &Context| {
            cx.has_active_span()
                .then(|| cx.with_remote_span_context(SpanContext::NONE))
        };
        let context = match kept {
            Some(kept) => without_span(kept).or_else(|| Some(kept.clone())),
            None => with_current(without_span),
        };
        self.context = context.and_then(attach);
    }
}
