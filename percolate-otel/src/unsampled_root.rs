//! Whether this thread is inside a root call that is not sampled. Such a call has no span in the
//! OpenTelemetry `Context`, so its calls inside read it here, and outgoing headers take its trace
//! id.

use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZeroU128;

thread_local! {
    static UNSAMPLED_ROOT: Cell<Option<NonZeroU128>> = const { Cell::new(None) };
}

/// Returns the trace id of the unsampled root this thread is inside of.
pub fn unsampled_root() -> Option<NonZeroU128> {
    UNSAMPLED_ROOT.get()
}

/// Sets (or clears) the unsampled root of this thread until the guard is dropped.
#[must_use = "the state is restored when the guard is dropped"]
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
