//! Makes a received trace context current, for a scope or for a future. Carrying the *current*
//! context to another thread is in `carry`.
//!
//! A guard restores exactly the previous state, on the thread that created it.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use super::carried::{Carried, Entered};
use super::received::Received;
use super::trace_context::TraceContext;
use super::traceparent::TraceParent;
use super::tracestate::StateList;
use crate::current_context::with_current;

/// Makes the spans that start on this thread children of the caller, until the guard is dropped.
///
/// `None` changes nothing. With a context without a valid `traceparent`, the next span is the root
/// of a new trace. Guards nest and must be dropped in reverse order of their creation, as scopes
/// do. No pipeline is required: without one there are no spans, and outgoing headers carry the
/// caller's ids.
///
/// If the caller's trace is not sampled, no spans are recorded and outgoing headers have the same
/// ids.
///
/// # Examples
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
/// `let _ = attach_trace_context(…)` detaches at once: bind the guard to a name such as `_guard`.
/// In async code use [`with_trace_context`]: a guard held across `.await` stays attached while the
/// thread runs other tasks. The guard is not `Send`, so a spawned future that holds one does not
/// compile:
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

/// Like [`attach_trace_context`], with the caller's ids instead of headers.
///
/// An invalid `tracestate` is ignored.
///
/// # Examples
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
    let context = with_current(|current| received.on(current));
    TraceContextGuard {
        _entered: Some(Carried::parent(context).enter()),
        _thread: PhantomData,
    }
}

/// Keeps a trace context attached to this thread. Returned by [`attach_trace_context`] and
/// [`attach_parent`].
#[derive(Debug)]
#[must_use = "dropping the guard detaches the context at once; write `let _guard = …`"]
pub struct TraceContextGuard {
    _entered: Option<Entered>,
    /// Makes the guard `!Send`: it must be dropped on this thread.
    _thread: PhantomData<*const ()>,
}

/// Makes the spans of a future children of the caller: the async form of [`attach_trace_context`].
///
/// The context is current while the future is polled and while it is dropped, on any thread.
///
/// # Examples
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
    /// A future with its own trace context. Returned by [`with_trace_context`] and
    /// [`Carry::carry`](super::Carry::carry).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithTraceContext<F> {
        // `None` only during and after the drop.
        #[pin]
        future: Option<F>,
        carried: Option<Carried>,
    }

    impl<F> PinnedDrop for WithTraceContext<F> {
        fn drop(this: Pin<&mut Self>) {
            // Dropping the future can end spans. They must end in the context in which they began.
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
