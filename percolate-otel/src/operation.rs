//! The calls of annotated functions, as the expansion uses them.
//!
//! [`enter`] (sync) and [`start`] (async, with `in_call`) take the static [`Site`] of the function
//! and what is known at entry. [`SyncCall::finish`] and [`Call::finish`] take the [`Outcome`] of
//! the returned value. A call that is dropped without `finish` ends as a panic or as cancelled.
//! What a call does that something listens to is in `live_call`.

use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::details::{Details, Names};
use crate::live_call::{Entered, LiveCall, listen};
use crate::outcome::Outcome;
use crate::runtime;
use crate::site::{Parent, Site};

/// One call of an annotated function, from its start to its finish.
///
/// It is empty if the call is idle, which means that nothing listens to it, and after its end.
#[derive(Debug)]
pub struct Call(Option<LiveCall>);

/// Starts a call without entering it: its body is a future.
pub fn start(
    site: &'static Site,
    names: Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) -> Call {
    let is_watched = site.is_watched();
    let Some(runtime) = runtime::current().or_else(|| is_watched.then(runtime::unmetered)) else {
        return Call(None);
    };
    let mut call = Call(None);
    listen(
        &mut call.0,
        runtime,
        is_watched,
        site,
        names,
        parent,
        details,
    );
    call
}

impl Call {
    /// Makes this call the current one on this thread until the guard is dropped.
    pub fn scope(&mut self) -> CallScope<'_> {
        let mut entered = Entered::NOTHING;
        if let Some(live) = &mut self.0 {
            live.enter(&mut entered, true);
        }
        CallScope {
            call: self,
            entered,
        }
    }

    /// Returns whether something listens to the call, so that its outcome is needed.
    pub fn is_live(&self) -> bool {
        self.0.is_some()
    }

    /// Whether code inside the call's scope can observe it.
    pub(crate) fn changes_its_thread(&self) -> bool {
        self.0.as_ref().is_some_and(LiveCall::changes_its_thread)
    }

    /// Ends the call with the outcome of its value.
    pub fn finish(mut self, mut outcome: Outcome) {
        if let Some(live) = &mut self.0 {
            live.end(&mut outcome, false);
        }
        self.0 = None;
    }
}

impl Call {
    /// Ends the call whose step or poll panicked.
    pub(crate) fn end_panicked(mut self) {
        if let Some(live) = &mut self.0 {
            live.end_panicked();
        }
        self.0 = None;
    }

    /// Ends the call that is dropped before its end.
    pub(crate) fn end_cancelled(mut self) {
        if let Some(live) = &mut self.0 {
            live.end_cancelled();
        }
        self.0 = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(live) = &mut self.0 {
            if live.is_unwinding() {
                live.end_panicked();
            } else {
                live.end_cancelled();
            }
        }
    }
}

// A panic between any two statements of a call leaves it in a state in which it can be dropped, and
// no reference leads into it.
impl UnwindSafe for Call {}
impl RefUnwindSafe for Call {}

/// Leaves a call's scope when dropped.
#[derive(Debug)]
pub struct CallScope<'a> {
    call: &'a mut Call,
    entered: Entered,
}

impl Drop for CallScope<'_> {
    fn drop(&mut self) {
        if let Some(live) = &mut self.call.0 {
            live.exit(&mut self.entered);
        }
    }
}

/// A synchronous call: entered from its start to its finish.
#[derive(Debug)]
pub struct SyncCall {
    live: Option<LiveCall>,
    /// Empty after [`LiveCall::exit`], so that dropping an idle call only tests `live`.
    entered: ManuallyDrop<Entered>,
}

/// Starts and enters a call in place, so that an idle call is a few instructions.
pub fn enter(
    call: &mut SyncCall,
    site: &'static Site,
    names: Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) {
    let is_watched = site.is_watched();
    if let Some(runtime) = runtime::current().or_else(|| is_watched.then(runtime::unmetered)) {
        listen(
            &mut call.live,
            runtime,
            is_watched,
            site,
            names,
            parent,
            details,
        );
        if let Some(live) = &mut call.live {
            live.enter(&mut call.entered, false);
        }
    }
}

impl SyncCall {
    /// A call that has not started.
    #[inline]
    pub const fn idle() -> Self {
        Self {
            live: None,
            entered: ManuallyDrop::new(Entered::NOTHING),
        }
    }

    /// Returns whether something listens to the call, so that its outcome is needed.
    #[inline]
    pub const fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Ends the call with the outcome of its value.
    pub fn finish(&mut self, mut outcome: Outcome) {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.entered);
            live.end(&mut outcome, false);
        }
        self.live = None;
    }

    /// Leaves the call without ending it, because the iterator or stream that it returned goes on.
    pub fn detach(mut self) -> Call {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.entered);
        }
        Call(self.live.take())
    }
}

impl SyncCall {
    #[cold]
    fn end_panicked(&mut self) {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.entered);
            // The body has no other way to leave the call.
            live.end_panicked();
        }
    }
}

impl UnwindSafe for SyncCall {}
impl RefUnwindSafe for SyncCall {}

impl Drop for SyncCall {
    #[inline]
    fn drop(&mut self) {
        if self.live.is_some() {
            self.end_panicked();
        }
    }
}

#[cfg(test)]
mod tests;
