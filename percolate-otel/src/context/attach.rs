//! Making a received trace context current, for a scope or for a future. Carrying the *current* context elsewhere is
//! in `carry`.
//!
//! A guard puts back exactly what was there before, and belongs to its thread.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceId, TraceState};
use pin_project_lite::pin_project;

use super::carry::{Carried, Entered};
use super::tracestate::StateList;
use super::{TraceContext, TraceParent};

/// Makes spans that follow on this thread children of the caller, until the guard is dropped.
///
/// `None` changes nothing. A context without a valid `traceparent` restarts: the next span is the root of a new trace.
/// Guards nest; drop them in the order opposite to their making, which scopes do by themselves. Nothing needs to be
/// installed: without a pipeline there are no spans, and outgoing headers still carry the caller's ids.
///
/// A caller that was not sampled stays so: no spans are made, and the same ids go out.
///
/// ```
/// use percolate_otel::{TraceContext, attach_trace_context};
///
/// let incoming: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// {
///     let _guard = attach_trace_context(Some(incoming.clone()));
///     assert_eq!(TraceContext::current(), Some(incoming));
/// }
/// assert_eq!(TraceContext::current(), None);
/// # Ok::<(), percolate_otel::TraceParentError>(())
/// ```
///
/// # Misuse
///
/// `let _ = attach_trace_context(…)` detaches at once: the guard wants a name, be it `_guard`. In async code use
/// [`with_trace_context`]: a guard held across `.await` would stay on a thread that goes on with other tasks. The
/// guard is not `Send`, so that a spawned future holding one does not compile:
///
/// ```compile_fail
/// # fn spawn(future: impl Future<Output = ()> + Send) {}
/// use percolate_otel::attach_trace_context;
///
/// spawn(async {
///     let _guard = attach_trace_context(None);
///     std::future::ready(()).await;
/// });
/// ```
pub fn attach_trace_context(context: Option<TraceContext>) -> TraceContextGuard {
    let entered = context.map(|context| Carried::remote(&context).enter());
    TraceContextGuard {
        _entered: entered,
        _thread: PhantomData,
    }
}

/// As [`attach_trace_context`], for a caller whose ids are at hand: no header is printed and parsed again.
///
/// An invalid `tracestate` is left out.
///
/// ```
/// use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
/// use percolate_otel::{TraceContext, TraceParent, attach_parent};
///
/// let parent = TraceParent::new(TraceId::from(0x7a_u128), SpanId::from(0x51_u64), TraceFlags::SAMPLED).unwrap();
/// let _guard = attach_parent(parent, Some("vendor=1"));
/// assert_eq!(TraceContext::current().unwrap().headers["tracestate"], "vendor=1");
/// ```
pub fn attach_parent(parent: TraceParent, tracestate: Option<&str>) -> TraceContextGuard {
    let received = Received::new(parent, tracestate.and_then(StateList::parse));
    let context = Context::map_current(|current| received.on(current));
    TraceContextGuard {
        _entered: Some(Carried::parent(context).enter()),
        _thread: PhantomData,
    }
}

/// Keeps a trace context attached to this thread; made by [`attach_trace_context`] and [`attach_parent`].
#[derive(Debug)]
#[must_use = "dropping the guard detaches the context at once; write `let _guard = …`"]
pub struct TraceContextGuard {
    _entered: Option<Entered>,
    /// What is attached is this thread's: the guard must be dropped here.
    _thread: PhantomData<*const ()>,
}

/// Makes the spans of a future children of the caller: the async form of [`attach_trace_context`].
///
/// The context is current while the future is polled and while it is dropped, on whichever thread that happens.
///
/// ```
/// use percolate_otel::{TraceContext, with_trace_context};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let incoming: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// let inside = with_trace_context(Some(incoming.clone()), async { TraceContext::current() }).await;
/// assert_eq!(inside, Some(incoming));
/// # Ok::<(), percolate_otel::TraceParentError>(())
/// # }).unwrap();
/// ```
pub fn with_trace_context<F: Future>(
    context: Option<TraceContext>,
    future: F,
) -> WithTraceContext<F> {
    WithTraceContext {
        future: Some(future),
        carried: context.map(|context| Carried::remote(&context)),
    }
}

pin_project! {
    /// A future with a trace context of its own; made by [`with_trace_context`] and [`Carry::carry`](super::Carry::carry).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithTraceContext<F> {
        // Only empty while and after being dropped.
        #[pin]
        future: Option<F>,
        carried: Option<Carried>,
    }

    impl<F> PinnedDrop for WithTraceContext<F> {
        fn drop(this: Pin<&mut Self>) {
            // What the future holds may end spans: they end where they began, in the context.
            let mut this = this.project();
            let _entered = this.carried.as_ref().map(Carried::enter);
            this.future.set(None);
        }
    }
}

impl<F> WithTraceContext<F> {
    pub(super) fn carried(future: F, carried: Carried) -> Self {
        Self {
            future: Some(future),
            carried: Some(carried),
        }
    }
}

impl<F: Future> Future for WithTraceContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.carried.as_ref().map(Carried::enter);
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// A remote parent that parsed.
pub(super) struct Received {
    pub(super) span_context: SpanContext,
    origin: Option<Origin>,
}

/// What the SDK's types lose of a remote parent; a value in the OpenTelemetry `Context`, there only when something
/// would be lost.
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
        // The SDK gives spans that it does not record no flags at all; the random bit has to outlive that.
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

    /// `base` with this as its remote span.
    pub(super) fn on(self, base: &Context) -> Context {
        let context = base.with_remote_span_context(self.span_context);
        if self.origin.is_some() || base.get::<Option<Origin>>().is_some() {
            return context.with_value(self.origin);
        }
        context
    }
}

impl Origin {
    /// What was lost of the remote parent that `span` descends from.
    pub(super) fn of<'a>(context: &'a Context, span: &SpanContext) -> Option<&'a Self> {
        context
            .get::<Option<Self>>()?
            .as_ref()
            .filter(|origin| origin.trace_id == span.trace_id())
    }

    pub(super) fn is_random(&self) -> bool {
        self.random
    }

    /// The whole `tracestate`, if `span` holds only a part of it.
    pub(super) fn state(&self, span: &SpanContext) -> Option<StateList> {
        let state = self.state.as_deref()?;
        if *span.trace_state() == self.held {
            Some(state.clone())
        } else {
            state.merge_changed(span.trace_state())
        }
    }
}
