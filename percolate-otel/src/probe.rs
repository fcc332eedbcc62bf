//! Counters of an engine on its spans. A [`Probe`] reads them before and after the body of every
//! recorded leaf call (one annotated with `leaf`) of its system, and the differences become
//! attributes of the span.
//!
//! A `tracing` span does not have them, because it has only the fields that its call site declares.
//! Calls that are not recorded do not run the probe.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::SpanContext;

use crate::clock::Reading;

/// Reads an engine's counters of the current thread.
pub trait Probe: std::fmt::Debug + Send + Sync {
    /// Called when the body of a call starts or continues on this thread.
    fn begin(&self);

    /// Called when the body ends or pauses. Reports what was counted since [`Probe::begin`].
    fn end(&self, report: &mut ProbeReport<'_>);
}

/// Receives what a [`Probe`] has counted in a call.
#[derive(Debug)]
pub struct ProbeReport<'a> {
    probed: &'a mut Probed,
    start: Reading,
    has_links: bool,
}

/// What a probe has reported of a call.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    pub(crate) counts: Vec<(&'static str, i64)>,
    pub(crate) links: Vec<SpanContext>,
}

impl<'a> ProbeReport<'a> {
    pub(crate) fn new(probed: &'a mut Probed, start: Reading, has_links: bool) -> Self {
        Self {
            probed,
            start,
            has_links,
        }
    }

    /// Adds an attribute. Values of one name are added up over the call.
    pub fn count(&mut self, name: &'static str, value: i64) {
        let counts = &mut self.probed.counts;
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(value),
            None => counts.push((name, value)),
        }
    }

    /// Adds links from the span of the call. `spans` is called with the time since the call started, if the
    /// span is one of percolate's pipeline. Others have no links of a probe.
    pub fn link<I: IntoIterator<Item = SpanContext>>(&mut self, spans: impl FnOnce(Duration) -> I) {
        if self.has_links {
            let since_start = Duration::from_nanos(self.start.elapsed());
            self.probed.links.extend(spans(since_start));
        }
    }
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
