//! [`Received`]: a remote parent, and how it is put into an OpenTelemetry `Context` without loss.
//!
//! The SDK's types cannot hold every legal `tracestate`, and drop the random flag of unsampled
//! spans. [`Origin`] keeps what they lose.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceId, TraceState};

use super::traceparent::TraceParent;
use super::tracestate::StateList;

/// A remote parent with valid headers.
pub(super) struct Received {
    pub(super) span_context: SpanContext,
    origin: Option<Origin>,
}

/// The parts of a remote parent that the SDK's types cannot hold. It is a value in the
/// OpenTelemetry `Context`, present only if something would be lost.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    trace_id: TraceId,
    random: bool,
    state: Option<Arc<StateList>>,
    /// The part of `state` that the SDK's type holds.
    held: TraceState,
}

impl Received {
    pub(super) fn new(parent: TraceParent, state: Option<StateList>) -> Self {
        let (held, complete) = state
            .as_ref()
            .map_or((TraceState::NONE, true), StateList::to_sdk);
        // The SDK clears all flags of a span that it does not record; the random bit must survive.
        let random = parent.flags().to_u8() & 0x02 != 0;
        let loses = !complete || (random && !parent.is_sampled());
        let origin = loses.then(|| Origin {
            trace_id: parent.trace_id(),
            random,
            state: state.filter(|_| !complete).map(Arc::new),
            held: held.clone(),
        });
        let span_context = SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            parent.flags(),
            true,
            held,
        );
        Self {
            span_context,
            origin,
        }
    }

    /// Returns `base` with this parent as its remote span.
    pub(super) fn on(self, base: &Context) -> Context {
        let context = base.with_remote_span_context(self.span_context);
        if self.origin.is_some() || base.get::<Option<Origin>>().is_some() {
            return context.with_value(self.origin);
        }
        context
    }
}

impl Origin {
    /// Returns the origin of the trace of `span`, if the context has one.
    pub(super) fn of<'a>(context: &'a Context, span: &SpanContext) -> Option<&'a Self> {
        context
            .get::<Option<Self>>()?
            .as_ref()
            .filter(|origin| origin.trace_id == span.trace_id())
    }

    pub(super) fn is_random(&self) -> bool {
        self.random
    }

    /// Returns the complete `tracestate`, if `span` holds only a part of it.
    pub(super) fn state(&self, span: &SpanContext) -> Option<StateList> {
        let state = self.state.as_deref()?;
        if *span.trace_state() == self.held {
            Some(state.clone())
        } else {
            state.merge_changed(span.trace_state())
        }
    }
}
