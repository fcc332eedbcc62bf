//! Counters of an engine on its spans. A [`Probe`] reads them before and after the body of every
//! recorded leaf call (one annotated with `leaf`) of its system, and the differences become
//! attributes of the span.
//!
//! A `tracing` span does not have them, because it has only the fields that its call site declares.
//! Calls that are not recorded do not run the probe.

use std::sync::OnceLock;

/// Reads an engine's counters of the current thread.
pub trait Probe: std::fmt::Debug + Send + Sync {
    /// Called when the body of a call starts or continues on this thread.
    fn begin(&self);

    /// Called when the body ends or pauses. Reports what was counted since [`Probe::begin`] by
    /// attribute name. Values of one name are added up over the call.
    fn end(&self, report: &mut dyn FnMut(&'static str, i64));
}

static PROBE: OnceLock<(&'static str, &'static dyn Probe)> = OnceLock::new();

/// Sets the probe for recorded leaf calls whose `db.system.name` is `system`.
///
/// A process has one probe. Returns `false` if one was set before.
pub fn set_probe(system: &'static str, probe: &'static dyn Probe) -> bool {
    PROBE.set((system, probe)).is_ok()
}

/// Returns the probe for calls of a system.
#[inline]
pub(crate) fn probe_of(system: &str) -> Option<&'static dyn Probe> {
    PROBE
        .get()
        .filter(|(known, _)| *known == system)
        .map(|(_, probe)| *probe)
}
