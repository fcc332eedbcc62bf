//! Carries the current context to threads, tasks, thread pools and queues. A context belongs to its
//! thread, so work that starts on another thread needs one of these helpers.
//!
//! The context is captured when a helper is *called*, not when the work runs. The previous context
//! of the other thread is restored afterwards.

use super::attach::WithTraceContext;
use super::carried::Carried;
use super::trace_context::TraceContext;

/// Wraps a closure so that it runs in the current context, for example with `std::thread::spawn`,
/// scoped threads, `tokio::task::spawn_blocking` or `rayon::spawn`.
///
/// Without it, spans on the other thread are roots.
///
/// # Examples
/// ```
/// use percolate_otel::{TraceContext, attach_trace_context, carry};
///
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// let there = std::thread::spawn(carry(TraceContext::current)).join().unwrap();
/// assert_eq!(there, TraceContext::current());
/// ```
pub fn carry<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let carried = Carried::capture();
    move || {
        let _entered = carried.enter();
        work()
    }
}

/// Wraps a closure that is called several times, on any threads, such as the body of a rayon
/// iterator.
///
/// # Examples
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

/// Carries the current context with a future, for `tokio::spawn`, `JoinSet::spawn` and other
/// executors.
///
/// # Examples
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
    /// Returns a future that runs in the current context, on any thread.
    fn carry(self) -> WithTraceContext<Self> {
        WithTraceContext::carried(self, Carried::capture())
    }
}

impl<F: Future> Carry for F {}

/// A message with the context of its sender, for channels and queues.
///
/// With the feature `serde` it can be sent to another process. It is serialised as `{"value": …,
/// "trace": {headers}}`.
///
/// # Examples
/// ```
/// use std::sync::mpsc::channel;
/// use percolate_otel::{TraceContext, Traced, attach_trace_context};
///
/// let (sender, receiver) = channel::<Traced<&str>>();
/// let worker = std::thread::spawn(move || {
///     for message in receiver {
///         // Spans of annotated functions are children of the sender; jobs with `parent = link` link to it.
///         message.run(|job| assert!(job == "index" && TraceContext::current().is_some()));
///     }
/// });
/// let _guard = attach_trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok());
/// sender.send(Traced::new("index")).unwrap();
/// # drop(sender);
/// # worker.join().unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message does nothing until it is sent or run"]
pub struct Traced<T> {
    value: T,
    carried: Carried,
}

impl<T> Traced<T> {
    /// Creates a message with the current context.
    pub fn new(value: T) -> Self {
        Self {
            value,
            carried: Carried::capture(),
        }
    }

    /// Creates a message that was received from another process with these headers.
    pub fn received(value: T, context: &TraceContext) -> Self {
        Self {
            value,
            carried: Carried::remote(context),
        }
    }

    /// Returns the message.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the sender's context as headers, `None` if the sender was not traced.
    pub fn context(&self) -> Option<TraceContext> {
        let _entered = self.carried.enter();
        TraceContext::current()
    }

    /// Calls `handle` with the message in the sender's context.
    pub fn run<R>(self, handle: impl FnOnce(T) -> R) -> R {
        let _entered = self.carried.enter();
        handle(self.value)
    }

    /// Calls `handle` with the message and runs the future that it returns, in the sender's
    /// context.
    pub fn run_async<F: Future>(self, handle: impl FnOnce(T) -> F) -> WithTraceContext<F> {
        let future = {
            let _entered = self.carried.enter();
            handle(self.value)
        };
        WithTraceContext::carried(future, self.carried)
    }

    /// Returns another message in the same context.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Traced<U> {
        Traced {
            value: change(self.value),
            carried: self.carried,
        }
    }
}
