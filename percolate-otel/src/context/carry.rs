//! The current context in other places: threads, tasks, thread pools and queues. A context is a thread's own; whoever
//! starts work elsewhere takes it along with one of the helpers here.
//!
//! All of them capture when they are *called*, not when the work runs, and put back what they found.

use std::fmt;
use std::num::NonZeroU128;

use opentelemetry::{Context, ContextGuard};
use tracing::dispatcher::{self, DefaultGuard, Dispatch};

use super::{TraceContext, WithTraceContext, outgoing};
use crate::runtime::{self, Runtime, ScopeGuard, UnsampledGuard};

/// Wraps a closure so that it runs in the context that is current now: for `std::thread::spawn`, scoped threads,
/// `tokio::task::spawn_blocking`, `rayon::spawn` and every other place that takes a closure.
///
/// ```
/// use percolate_otel::{TraceContext, attach_trace_context, carry};
///
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// let there = std::thread::spawn(carry(TraceContext::current)).join().unwrap();
/// assert_eq!(there, TraceContext::current());
/// ```
///
/// Without it the other thread starts from nothing: its spans would be roots of their own.
pub fn carry<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let carried = Carried::capture();
    move || {
        let _entered = carried.enter();
        work()
    }
}

/// Wraps a closure that is called many times, on any threads, such as the body of a rayon iterator.
///
/// ```
/// use percolate_otel::{attach_trace_context, carry_each};
///
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// // With rayon: `(1..=3).into_par_iter().map(carry_each(|n| …))`.
/// let squares: Vec<u32> = (1..=3).map(carry_each(|n: u32| n * n)).collect();
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub fn carry_each<A, R>(work: impl Fn(A) -> R) -> impl Fn(A) -> R {
    let carried = Carried::capture();
    move |argument| {
        let _entered = carried.enter();
        work(argument)
    }
}

/// Futures that take the current context along: for `tokio::spawn`, `JoinSet::spawn` and other executors.
///
/// ```
/// use percolate_otel::{Carry as _, TraceContext, attach_trace_context};
///
/// let spawned = {
///     let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
///     async { TraceContext::current() }.carry()
/// };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert!(tokio::spawn(spawned).await.unwrap().is_some());
/// # });
/// ```
pub trait Carry: Future + Sized {
    /// Runs this future in the context that is current now, wherever it is polled.
    fn carry(self) -> WithTraceContext<Self> {
        WithTraceContext::carried(self, Carried::capture())
    }
}

impl<F: Future> Carry for F {}

/// A message with the context of its sender: what to put into a channel or a queue.
///
/// ```
/// use std::sync::mpsc::channel;
/// use percolate_otel::{TraceContext, Traced, attach_trace_context};
///
/// let (sender, receiver) = channel::<Traced<&str>>();
/// let worker = std::thread::spawn(move || {
///     for message in receiver {
///         // Annotated functions called in here are children of the sender; jobs with `parent = link` link to it.
///         message.run(|job| assert!(job == "index" && TraceContext::current().is_some()));
///     }
/// });
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// sender.send(Traced::new("index")).unwrap();
/// # drop(sender);
/// # worker.join().unwrap();
/// ```
///
/// With the feature `serde` it can leave the process: it is written as `{"value": …, "trace": {headers}}`.
#[derive(Debug, Clone)]
#[must_use = "a message does nothing until it is sent or run"]
pub struct Traced<T> {
    value: T,
    carried: Carried,
}

impl<T> Traced<T> {
    /// Takes the current context along with `value`.
    pub fn new(value: T) -> Self {
        Self {
            value,
            carried: Carried::capture(),
        }
    }

    /// A message that came from another process with these headers.
    pub fn received(value: T, context: &TraceContext) -> Self {
        Self {
            value,
            carried: Carried::remote(context),
        }
    }

    /// The message.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The message without its context.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The sender's context as headers; `None` if the sender was not traced.
    pub fn context(&self) -> Option<TraceContext> {
        let _entered = self.carried.enter();
        TraceContext::current()
    }

    /// Handles the message in the sender's context.
    pub fn run<R>(self, handle: impl FnOnce(T) -> R) -> R {
        let _entered = self.carried.enter();
        handle(self.value)
    }

    /// Handles the message with a future in the sender's context.
    pub fn run_async<F: Future>(self, handle: impl FnOnce(T) -> F) -> WithTraceContext<F> {
        let future = {
            let _entered = self.carried.enter();
            handle(self.value)
        };
        WithTraceContext::carried(future, self.carried)
    }

    /// Another message in the same context.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Traced<U> {
        Traced {
            value: change(self.value),
            carried: self.carried,
        }
    }
}

/// Everything that makes up "here" for telemetry, to be entered elsewhere.
#[derive(Clone)]
pub(crate) struct Carried {
    context: Context,
    /// The root decided against, whose calls are not recorded and which has no span in the context.
    unsampled_root: Option<NonZeroU128>,
    /// Where a test listens; never set in production, where the runtime and the dispatcher are the process's own.
    scope: Option<(&'static Runtime, Dispatch)>,
}

impl Carried {
    /// What is current on this thread.
    pub(crate) fn capture() -> Self {
        Self {
            context: Context::current(),
            unsampled_root: runtime::unsampled_root(),
            scope: runtime::scoped()
                .map(|runtime| (runtime, dispatcher::get_default(Clone::clone))),
        }
    }

    /// The sender of `context` as the parent; the rest stays as it is where this is entered.
    pub(crate) fn remote(context: &TraceContext) -> Self {
        Self::parent(context.to_context())
    }

    /// A context with a remote parent, or with none.
    pub(crate) fn parent(context: Context) -> Self {
        Self {
            context,
            unsampled_root: None,
            scope: None,
        }
    }

    /// Makes it current until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered {
            _context: self.context.clone().attach(),
            _unsampled_root: runtime::enter_unsampled_root(self.unsampled_root),
            _scope: self.scope.as_ref().map(|(runtime, dispatch)| {
                (
                    runtime::scope(Some(runtime)),
                    dispatcher::set_default(dispatch),
                )
            }),
        }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Carried")
            .field(&outgoing::of(&self.context).map(|(parent, _)| parent))
            .finish()
    }
}

/// Puts back what was current before.
#[must_use]
pub(crate) struct Entered {
    _context: ContextGuard,
    _unsampled_root: UnsampledGuard,
    _scope: Option<(ScopeGuard, DefaultGuard)>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}
