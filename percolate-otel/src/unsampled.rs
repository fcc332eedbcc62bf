//! Reports of unsampled calls that were slow or failed. Each is counted, and emits a `tracing`
//! event at WARN, with a limit of events per second. If the call was the root of its trace, it can
//! also be exported as a span.
//!
//! The events have the target `percolate::unsampled`. They contain names, a duration and the trace
//! id, and no data.

use std::num::NonZeroU128;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{TraceContextExt as _, TraceId};

use crate::clock::nanoseconds;
use crate::current_context::with_current;
use crate::outcome::Outcome;
use crate::series::Series;
use crate::site::{Site, SiteKind};
use crate::unsampled_calls::{UnsampledCalls, UnsampledReport};
use crate::unsampled_root::unsampled_root;

/// The most events that one runtime emits in a second.
pub const MAX_EVENTS_PER_SECOND: u64 = 10;

/// Why an unsampled call is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Slow,
    Failed,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Failed => "failed",
        }
    }
}

/// Which unsampled calls are reported.
#[derive(Debug)]
pub(crate) struct Reports {
    /// The nanoseconds from which a call is slow, unless its annotation has others.
    slow: u64,
    failed: bool,
    pub(crate) exports_roots: bool,
    limit: Limit,
    /// Lists them.
    calls: Option<Arc<UnsampledCalls>>,
}

impl Reports {
    pub(crate) fn new(
        slow: Option<Duration>,
        failed: bool,
        exports_roots: bool,
        calls: Option<Arc<UnsampledCalls>>,
    ) -> Self {
        Self {
            slow: slow.map_or(u64::MAX, nanoseconds),
            failed,
            exports_roots,
            limit: Limit::new(),
            calls,
        }
    }

    /// Returns why an unsampled call is reported; `None` if it is not.
    #[inline]
    pub(crate) fn reason(&self, site: &Site, nanos: u64, outcome: &Outcome) -> Option<Reason> {
        if outcome.error.is_some() && self.failed {
            return Some(Reason::Failed);
        }
        let slow = site.def.slow.map_or(self.slow, nanoseconds);
        (nanos >= slow).then_some(Reason::Slow)
    }

    /// Emits the event and lists the call, unless the limit of this second is reached.
    #[cold]
    pub(crate) fn emit(
        &self,
        (site, series): (&Site, &Series),
        reason: Reason,
        nanos: u64,
        outcome: &Outcome,
        root: Option<NonZeroU128>,
    ) {
        if !self.limit.allows() {
            self.calls.as_deref().inspect(|calls| calls.leave_out());
            return;
        }
        let trace_id = trace_id(root);
        let error_type = outcome.error.as_ref().map(|error| &*error.error_type);
        let (name, target) = (series.operation(), series.names().target);
        if let Some(calls) = &self.calls {
            calls.add(UnsampledReport {
                is_failed: reason == Reason::Failed,
                operation: name.to_string(),
                target: target.unwrap_or_default().to_string(),
                error_type: error_type.map(ToString::to_string),
                nanos,
                end: SystemTime::now(),
                trace_id,
            });
        }
        let trace_id = trace_id.map(|id| format!("{id:032x}"));
        let trace_id = trace_id.as_deref();
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        let why = reason.as_str();
        match site.def.site_kind {
            SiteKind::Db => tracing::event!(
                name: "percolate.call.unsampled",
                target: "percolate::unsampled",
                tracing::Level::WARN,
                percolate.reason = why,
                db.operation.name = name,
                db.collection.name = target,
                error.type = error_type,
                duration_s = seconds,
                trace_id,
                "{why} call was not sampled"
            ),
            SiteKind::Job => tracing::event!(
                name: "percolate.call.unsampled",
                target: "percolate::unsampled",
                tracing::Level::WARN,
                percolate.reason = why,
                job.type = name,
                job.target = target,
                error.type = error_type,
                duration_s = seconds,
                trace_id,
                "{why} job was not sampled"
            ),
        }
    }
}

/// The trace id of the call's parent, or of its unsampled root.
fn trace_id(root: Option<NonZeroU128>) -> Option<u128> {
    let parent = with_current(|cx| {
        let span = cx.span();
        let id = span.span_context().trace_id();
        (id != TraceId::INVALID).then(|| u128::from_be_bytes(id.to_bytes()))
    });
    parent.or_else(|| root.or_else(unsampled_root).map(NonZeroU128::get))
}

/// A limit of events per second, counted without a lock.
#[derive(Debug)]
struct Limit {
    started: Instant,
    /// The second in the upper half, the events in it in the lower.
    window: AtomicU64,
}

impl Limit {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            window: AtomicU64::new(0),
        }
    }

    fn allows(&self) -> bool {
        self.allows_in(self.started.elapsed().as_secs() & 0xffff_ffff)
    }

    fn allows_in(&self, second: u64) -> bool {
        let count = |window: u64| {
            let (known, count) = (window >> 32, window & 0xffff_ffff);
            let count = if known == second { count } else { 0 };
            (count < MAX_EVENTS_PER_SECOND).then_some((second << 32) | (count + 1))
        };
        self.window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_bounded_number_of_events_and_the_next_one_starts_at_zero() {
        let limit = Limit::new();
        let allowed = (0..100).filter(|_| limit.allows_in(7)).count() as u64;
        assert_eq!(allowed, MAX_EVENTS_PER_SECOND);
        assert!(limit.allows_in(8));
    }
}
