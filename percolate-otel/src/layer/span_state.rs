//! The state of one open span: bits only.

use super::call_site::CallSite;
use super::flags::Flags;
use super::seen::Seen;

/// The state of one open span.
#[derive(Debug, Clone)]
pub(crate) struct SpanState {
    pub(crate) site: &'static CallSite,
    pub(crate) seen: Seen,
    pub(crate) flags: Flags,
    /// Hash of the operation or job type; 0 if there is none.
    pub(crate) operation: u64,
    /// Hash of the error type; 0 if there is none.
    pub(crate) error: u64,
}

impl SpanState {
    pub(crate) fn new(site: &'static CallSite) -> Self {
        Self {
            site,
            seen: Seen::default(),
            flags: Flags::default(),
            operation: 0,
            error: 0,
        }
    }

    /// Notes an event of level ERROR inside the span.
    pub(crate) fn error_event(&mut self) {
        self.flags.set(Flags::ERROR_EVENT);
    }
}
