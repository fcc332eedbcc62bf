//! The current OpenTelemetry context of this thread, also while the thread ends.
//!
//! The functions of the API panic in destructors that run after the API's own, and a panic there
//! aborts the process. An application can make calls in such a destructor, for example to flush a
//! buffer. While a thread ends its context is empty here, and nothing is attached.

use std::cell::Cell;
use std::panic::catch_unwind;

use opentelemetry::{Context, ContextGuard};

/// What is known of this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    New,
    /// [`END`] is noticed.
    Running,
    Ending,
}

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread::New) };
    /// Dropped before the context of the API, which is created first.
    static END: End = const { End };
}

/// Notices the end of a thread.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        THREAD.set(Thread::Ending);
    }
}

/// Whether thread-local values of this thread are being dropped.
#[inline]
pub(crate) fn is_thread_ending() -> bool {
    match THREAD.get() {
        Thread::Running => false,
        Thread::New => is_first_call_last(),
        Thread::Ending => true,
    }
}

/// Prepares a new thread. If it is ending already, the API's context may be gone.
#[cold]
fn is_first_call_last() -> bool {
    let has_context = catch_unwind(|| Context::map_current(|_| ())).is_ok();
    let is_noticed = END.try_with(|_| ()).is_ok();
    let thread = if has_context && is_noticed {
        Thread::Running
    } else {
        Thread::Ending
    };
    THREAD.set(thread);
    thread == Thread::Ending
}

/// Calls `f` with the current context.
#[inline]
pub(crate) fn with_current<T>(f: impl FnOnce(&Context) -> T) -> T {
    if is_thread_ending() {
        f(&Context::new())
    } else {
        Context::map_current(f)
    }
}

/// Returns the current context.
pub(crate) fn current() -> Context {
    with_current(Context::clone)
}

/// Makes a context the current one until the guard is dropped.
pub(crate) fn attach(context: Context) -> Option<ContextGuard> {
    (!is_thread_ending()).then(|| context.attach())
}
