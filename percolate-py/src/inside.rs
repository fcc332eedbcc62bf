//! The calls that the current thread runs, so that a call does not wait for itself.
//!
//! A Python function that Rust calls may close the database of the call. Closing waits for the
//! other calls only.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running call, or a background worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call(Arc<AtomicUsize>);

thread_local! {
    static CURRENT: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Call {
    /// Makes this a call of the current thread until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        enter([self.clone()])
    }

    /// Returns whether the current thread runs this call.
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.with_borrow(|current| current.contains(self))
    }

    /// Returns whether a thread of this call waits for other calls.
    pub(crate) fn waits(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Returns the calls of the current thread, for [`enter`] on another thread.
pub(crate) fn current() -> Vec<Call> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes these the calls of the current thread, in addition to its own, until the guard is dropped.
pub(crate) fn enter(calls: impl IntoIterator<Item = Call>) -> Entered {
    CURRENT.with_borrow_mut(|current| {
        let before = current.len();
        current.extend(calls);
        Entered { before }
    })
}

/// Guard of [`enter`].
pub(crate) struct Entered {
    /// The number of calls that the thread ran before.
    before: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| current.truncate(self.before));
    }
}

/// Marks the calls of the current thread as waiting for other calls, until it is dropped. Two calls
/// that wait for each other would never end.
pub(crate) struct Waiting(Vec<Call>);

impl Waiting {
    pub(crate) fn begin() -> Self {
        let calls = current();
        for call in &calls {
            call.0.fetch_add(1, Ordering::Relaxed);
        }
        Self(calls)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for call in &self.0 {
            call.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
