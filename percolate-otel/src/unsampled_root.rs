//! Whether this thread is inside a call that is not sampled. Such a call has no span in the
//! OpenTelemetry `Context`, so its calls inside read it here, and so do outgoing headers: under a
//! root they take its trace id, under an unsampled caller a span id for the current operation.

use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZeroU128;

thread_local! {
    static UNSAMPLED_ROOT: Cell<Option<NonZeroU128>> = const { Cell::new(None) };
    /// How many calls below an unsampled caller this thread is inside of.
    static UNSAMPLED_CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Returns whether this thread is inside a call below an unsampled caller.
pub(crate) fn is_in_unsampled_call() -> bool {
    UNSAMPLED_CALLS.try_with(Cell::get).unwrap_or(0) > 0
}

/// A call below an unsampled caller that this thread is inside of, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnsampledCall {
    not_send: PhantomData<*const ()>,
}

impl UnsampledCall {
    pub(crate) fn enter() -> Self {
        _ = UNSAMPLED_CALLS.try_with(|calls| calls.set(calls.get().saturating_add(1)));
        Self {
            not_send: PhantomData,
        }
    }
}

impl Drop for UnsampledCall {
    fn drop(&mut self) {
        _ = UNSAMPLED_CALLS.try_with(|calls| calls.set(calls.get().saturating_sub(1)));
    }
}

/// Returns the trace id of the unsampled root this thread is inside of.
pub fn unsampled_root() -> Option<NonZeroU128> {
    UNSAMPLED_ROOT.get()
}

/// Sets (or clears) the unsampled root of this thread until the guard is dropped.
#[must_use = "the state is restored when the guard is dropped"]
#[inline]
pub fn enter_unsampled_root(trace_id: Option<NonZeroU128>) -> UnsampledGuard {
    UnsampledGuard {
        before: UNSAMPLED_ROOT.replace(trace_id),
        not_send: PhantomData,
    }
}

/// Restores the state before [`enter_unsampled_root`] when dropped.
#[derive(Debug)]
pub struct UnsampledGuard {
    before: Option<NonZeroU128>,
    not_send: PhantomData<*const ()>,
}

impl Drop for UnsampledGuard {
    fn drop(&mut self) {
        UNSAMPLED_ROOT.set(self.before);
    }
}
