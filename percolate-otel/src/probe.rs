//! What an engine counts of its own while a recorded call runs: a [`Probe`] is asked around the body of every recorded
//! leaf call (one annotated with `leaf`) of its system, and what it reports becomes attributes of the span.
//!
//! Spans of percolate's own pipeline carry them; a `tracing` span has only the fields its call site declares. Calls
//! that are not recorded never ask.

use std::sync::OnceLock;

/// Reads an engine's counters of the current thread.
pub trait Probe: std::fmt::Debug + Send + Sync {
    /// The body of a call begins on this thread, or goes on.
    fn begin(&self);

    /// The body ends or pauses: reports what was counted since [`Probe::begin`], by attribute name. What is reported
    /// under one name in one call adds up.
    fn end(&self, report: &mut dyn FnMut(&'static str, i64));
}

static PROBE: OnceLock<(&'static str, &'static dyn Probe)> = OnceLock::new();

/// Lets `probe` measure the recorded leaf calls whose `db.system.name` is `system`.
///
/// There is one probe in a process; `false` tells that another one was there first.
pub fn set_probe(system: &'static str, probe: &'static dyn Probe) -> bool {
    PROBE.set((system, probe)).is_ok()
}

/// The probe of a system's calls.
#[inline]
pub(crate) fn probe_of(system: &str) -> Option<&'static dyn Probe> {
    PROBE
        .get()
        .filter(|(known, _)| *known == system)
        .map(|(_, probe)| *probe)
}
