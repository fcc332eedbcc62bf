//! The calls of annotated functions, as the expansion uses them.
//!
//! [`enter`] (sync) and [`start`] (async, with `in_call`) take the static [`Site`] of the function
//! and what is known at entry. [`SyncCall::finish`] and [`Call::finish`] take the [`Outcome`] of
//! the returned value. A call that is dropped without `finish` ends as a panic or as cancelled.
//! What a call does that something listens to is in `started_call`.

use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

use crate::clock::Reading;
use crate::details::{Details, FieldValue, Names};
use crate::entered::Entered;
use crate::link_target::LinkTarget;
use crate::outcome::Outcome;
use crate::runtime::{self, Runtime};
use crate::site::{Parent, Site};
use crate::started_call::{StartedCall, listen, listen_to_target};
use crate::starting_call::StartingCall;

/// One call of an annotated function, from its start to its finish.
///
/// It is empty if the call is idle, which means that nothing listens to it, and after its end.
#[derive(Debug)]
pub struct Call {
    started: Option<StartedCall>,
    /// The thread was unwinding when the call started.
    was_unwinding: bool,
}

impl Site {
    /// Returns whether something listens to calls of this site on this thread: a pipeline, a meter or
    /// tracer provider, or a `tracing` layer. Calls have no effect otherwise.
    pub fn is_observed(&'static self) -> bool {
        runtime::current().is_some() || self.is_watched()
    }
}

/// Returns the runtime that a call reports to which starts now. `is_watched` is whether a `tracing`
/// layer may be interested in it.
#[inline]
fn listener(is_watched: bool, parent: Parent) -> Option<&'static Runtime> {
    runtime::current().or_else(|| {
        runtime::count_later_call(parent);
        is_watched.then(runtime::unmetered)
    })
}

/// Starts a call without entering it: its body is a future.
pub fn start(
    site: &'static Site,
    names: Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) -> Call {
    let is_watched = site.is_watched();
    let mut started = ManuallyDrop::new(None);
    if let Some(runtime) = listener(is_watched, parent) {
        listen::<false>(
            &mut started,
            runtime,
            is_watched,
            site,
            &names,
            parent,
            details,
        );
    }
    let call = Call {
        started: ManuallyDrop::into_inner(started),
        was_unwinding: std::thread::panicking(),
    };
    call.keep_context()
}

/// Starts a root to whose span others may link, as [`start`] does.
pub(crate) fn start_target(
    site: &'static Site,
    names: Names<'_>,
    target: &LinkTarget,
    details: &mut dyn FnMut(&mut Details),
) -> Call {
    let is_watched = site.is_watched();
    let started = if let Some(runtime) = listener(is_watched, Parent::Root) {
        let call = StartingCall::new(site, &names, Parent::Root, details);
        listen_to_target(runtime, is_watched, call, target)
    } else {
        target.give_up();
        None
    };
    let call = Call {
        started,
        was_unwinding: std::thread::panicking(),
    };
    call.keep_context()
}

impl Call {
    /// Makes this call the current one on this thread until the guard is dropped.
    pub fn scope(&mut self) -> CallScope<'_> {
        let mut entered = Entered::NOTHING;
        if let Some(call) = &mut self.started {
            call.enter(&mut entered, true);
        }
        CallScope {
            call: self,
            entered,
        }
    }

    /// Keeps the current context for the calls inside, which run later.
    fn keep_context(mut self) -> Self {
        self.started = self.started.take().map(StartedCall::keep_context);
        self
    }

    /// Returns whether something listens to the call, so that its outcome is needed.
    pub fn is_live(&self) -> bool {
        self.started.is_some()
    }

    /// Whether code inside the call's scope can observe it.
    pub(crate) fn changes_its_thread(&self) -> bool {
        self.started
            .as_ref()
            .is_some_and(StartedCall::changes_its_thread)
    }

    /// Ends the call with the outcome of its value.
    pub fn finish(mut self, mut outcome: Outcome) {
        if let Some(call) = &mut self.started {
            call.end(&mut outcome, false);
        }
        self.started = None;
    }
}

impl Call {
    /// Moves the start of the call to an earlier time.
    pub(crate) fn set_start(&mut self, time: Instant) {
        if let Some(call) = &mut self.started {
            call.start_mut().time = Reading::Instant(time);
        }
    }

    /// Sets the annotation's own attribute number `index`, if the call has a span.
    pub(crate) fn record(&mut self, index: usize, value: FieldValue) {
        if let Some(StartedCall::Live(call)) = &mut self.started {
            call.record(index, value);
        }
    }

    /// Ends the call at `end`, which may be earlier than now.
    pub(crate) fn finish_at(mut self, end: Instant, mut outcome: Outcome) {
        if let Some(call) = &mut self.started {
            call.end_at(end, &mut outcome);
        }
        self.started = None;
    }

    /// Ends the call whose step or poll panicked.
    pub(crate) fn end_panicked(mut self) {
        if let Some(call) = &mut self.started {
            call.end_panicked();
        }
        self.started = None;
    }

    /// Ends the call that is dropped before its end.
    pub(crate) fn end_cancelled(mut self) {
        if let Some(call) = &mut self.started {
            call.end_cancelled();
        }
        self.started = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(call) = &mut self.started {
            if !self.was_unwinding && std::thread::panicking() {
                call.end_panicked();
            } else {
                call.end_cancelled();
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
        if let Some(call) = &mut self.call.started {
            call.exit(&mut self.entered);
        }
    }
}

/// A synchronous call: entered from its start to its finish.
///
/// Nothing is dropped with it: what it holds is gone when it has ended, so that dropping an idle call
/// is one comparison.
#[derive(Debug)]
pub struct SyncCall {
    /// `None` if the call is idle, and after its end.
    started: ManuallyDrop<Option<StartedCall>>,
    /// Empty after [`StartedCall::exit`].
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
    if let Some(runtime) = listener(is_watched, parent) {
        listen::<true>(
            &mut call.started,
            runtime,
            is_watched,
            site,
            &names,
            parent,
            details,
        );
        if let Some(started) = &mut *call.started {
            started.enter(&mut call.entered, false);
        }
    }
}

impl SyncCall {
    /// A call that has not started.
    #[inline]
    pub const fn idle() -> Self {
        Self {
            started: ManuallyDrop::new(None),
            entered: ManuallyDrop::new(Entered::NOTHING),
        }
    }

    /// Returns whether something listens to the call, so that its outcome is needed.
    #[inline]
    pub fn is_live(&self) -> bool {
        self.started.is_some()
    }

    /// Ends the call with the outcome of its value.
    pub fn finish(&mut self, mut outcome: Outcome) {
        match &mut *self.started {
            Some(StartedCall::Measured(call)) => {
                call.exit(&mut self.entered);
                call.end(&mut outcome, false);
                // It owns nothing that is to be dropped.
                self.started = ManuallyDrop::new(None);
            }
            Some(StartedCall::Live(call)) => {
                call.exit(&mut self.entered);
                call.end(&mut outcome, false);
                *self.started = None;
            }
            None => {}
        }
    }

    /// Leaves the call without ending it, because the iterator or stream that it returned goes on.
    pub fn detach(mut self) -> Call {
        if let Some(started) = &mut *self.started {
            started.exit(&mut self.entered);
        }
        let call = Call {
            started: self.started.take(),
            was_unwinding: std::thread::panicking(),
        };
        call.keep_context()
    }
}

impl SyncCall {
    #[cold]
    fn end_panicked(&mut self) {
        if let Some(mut started) = self.started.take() {
            started.exit(&mut self.entered);
            // The body has no other way to leave the call.
            started.end_panicked();
        }
    }
}

impl UnwindSafe for SyncCall {}
impl RefUnwindSafe for SyncCall {}

impl Drop for SyncCall {
    #[inline]
    fn drop(&mut self) {
        if self.started.is_some() {
            self.end_panicked();
        }
    }
}

#[cfg(test)]
mod tests;
