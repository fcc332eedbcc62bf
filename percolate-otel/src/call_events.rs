//! The events of recorded calls, for pipelines with `span_events`: a `tracing` event inside an
//! annotated call becomes an event of that call's span, and of no other.
//!
//! A call that is entered keeps its events on the thread. Runtimes without the option never write
//! here.

use std::cell::RefCell;

use opentelemetry::trace::Event;

/// The most events of one span, as in the SDK's default.
const MAX_EVENTS: usize = 128;

/// The events of one call.
#[derive(Debug, Default)]
pub(crate) struct CallEvents {
    pub(crate) events: Vec<Event>,
    /// The events beyond [`MAX_EVENTS`].
    pub(crate) dropped: u32,
}

thread_local! {
    static CURRENT: RefCell<Option<Box<CallEvents>>> = const { RefCell::new(None) };
}

/// Replaces the events of the call that this thread is inside of; `None` is a call without events.
pub(crate) fn replace(events: Option<Box<CallEvents>>) -> Option<Box<CallEvents>> {
    CURRENT
        .try_with(|current| current.replace(events))
        .ok()
        .flatten()
}

/// Whether this thread is inside of a call that keeps events.
pub(crate) fn is_collecting() -> bool {
    let is_some = |current: &RefCell<Option<_>>| current.try_borrow().is_ok_and(|it| it.is_some());
    CURRENT.try_with(is_some).unwrap_or(false)
}

/// Adds an event to the call that this thread is inside of, if it keeps events.
pub(crate) fn add(event: impl FnOnce() -> Event) {
    _ = CURRENT.try_with(|current| {
        let mut current = current.try_borrow_mut().ok()?;
        let call = current.as_mut()?;
        if call.events.len() < MAX_EVENTS {
            call.events.push(event());
        } else {
            call.dropped = call.dropped.saturating_add(1);
        }
        Some(())
    });
}
