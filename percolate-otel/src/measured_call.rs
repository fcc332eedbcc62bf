//! A call without a span, which is the usual one: it is measured at its end, and reported if it was
//! slow or failed.
//!
//! Nothing is allocated for it, and the calls inside have no spans either. The end of a call with a
//! span is measured here too.

use std::num::NonZeroU128;

use crate::aggregation::CellExemplar;
use crate::clock::Reading;
use crate::conventions::JobStatus;
use crate::current_context::with_current;
use crate::entered::Entered;
use crate::identity::Identity;
use crate::outcome::Outcome;
use crate::record::{CallRecord, CallTiming, RecordExtras};
use crate::runtime::Runtime;
use crate::series::Series;
use crate::shared_attributes::SharedAttributes;
use crate::site::{Parent, SiteKind};
use crate::unsampled::Reason;
use crate::unsampled_root::{UnsampledCall, enter_unsampled_root};

/// A call without a span.
#[derive(Debug)]
pub(crate) struct MeasuredCall {
    start: CallStart,
    /// The trace id of outgoing headers, if the call has no parent.
    root: Option<NonZeroU128>,
    /// Whether the current span, if there is one, is its parent.
    is_child: bool,
}

/// What every call that something listens to has from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallStart {
    pub(crate) runtime: &'static Runtime,
    pub(crate) series: &'static Series,
    pub(crate) time: Reading,
}

impl CallStart {
    /// Starts a call that is measured as `series`.
    #[inline]
    pub(crate) fn new(runtime: &'static Runtime, series: &'static Series) -> Self {
        if series.is_measured_job() {
            runtime.series.job_active(series, 1);
        }
        Self {
            runtime,
            series,
            time: Reading::now(),
        }
    }

    /// Measures the end of the call, which took `nanos`. `exemplar` is the call if it is sampled.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the way of every call that is measured"
    )]
    pub(crate) fn measure(
        &self,
        nanos: u64,
        outcome: &mut Outcome,
        cancelled: bool,
        exemplar: Option<&CellExemplar>,
    ) -> CallTiming {
        let Self {
            runtime, series, ..
        } = *self;
        let is_measured = runtime.measures_all() || runtime.measures(outcome);
        let status = match &outcome.error {
            _ if cancelled => JobStatus::Cancelled,
            Some(_) => JobStatus::Failed,
            None => outcome.status,
        };
        if is_measured {
            let ended = (status, nanos);
            runtime.series.measure(series, outcome, ended, exemplar);
            if series.is_measured_job() {
                runtime.series.job_active(series, -1);
            }
        }
        CallTiming {
            started: self.time,
            nanos,
            status,
        }
    }

    /// Reports a call without a span if it was slow or failed. `root` is its trace id if it has no
    /// parent.
    #[inline]
    pub(crate) fn report(
        &self,
        root: Option<NonZeroU128>,
        timing: CallTiming,
        outcome: &mut Outcome,
    ) {
        let reports = &self.runtime.reports;
        if let Some(reason) = reports.reason(self.series.site, timing.nanos, outcome) {
            self.report_as(reason, root, timing, outcome);
        }
    }

    #[cold]
    fn report_as(
        &self,
        reason: Reason,
        root: Option<NonZeroU128>,
        timing: CallTiming,
        outcome: &mut Outcome,
    ) {
        let Self {
            runtime, series, ..
        } = *self;
        let reports = &runtime.reports;
        runtime.series.count_unsampled(series, reason.as_str());
        reports.emit((series.site, series), reason, timing.nanos, outcome, root);
        if let (true, Some(trace_id), Some(recorder)) =
            (reports.exports_roots, root, &runtime.recorder)
        {
            let identity = Identity::root(trace_id);
            let shared = with_current(|cx| SharedAttributes::of(cx).cloned());
            let extras = shared.map(|shared| {
                Box::new(RecordExtras {
                    shared: Some(shared),
                    ..RecordExtras::default()
                })
            });
            recorder.push(CallRecord::new(series, identity, timing, outcome, extras));
        }
    }
}

impl MeasuredCall {
    #[inline]
    pub(crate) fn new(start: CallStart, root: Option<NonZeroU128>, parent: Parent) -> Self {
        Self {
            start,
            root,
            is_child: parent == Parent::Child,
        }
    }

    /// Returns the start, and the trace id of outgoing headers if the call has no parent.
    pub(crate) fn into_parts(self) -> (CallStart, Option<NonZeroU128>) {
        (self.start, self.root)
    }

    /// Whether calls inside are possible.
    pub(crate) fn is_leaf(&self) -> bool {
        self.start.series.site.def.leaf
    }

    /// Whether code between [`MeasuredCall::enter`] and [`MeasuredCall::exit`] can observe that the
    /// call was entered.
    pub(crate) fn changes_its_thread(&self) -> bool {
        // A leaf has no calls inside that would have to be left out.
        self.root.is_some() && !self.start.series.site.def.leaf
    }

    pub(crate) fn is_job(&self) -> bool {
        self.start.series.site.def.site_kind == SiteKind::Job
    }

    /// Makes this call the current one on this thread. `again` is whether it can be entered more
    /// than once, and so in another context than that of its start.
    #[inline]
    pub(crate) fn enter(&self, entered: &mut Entered, again: bool) {
        match self.root {
            None => entered.unsampled_call = Some(UnsampledCall::enter()),
            // It would be a child of the current span, so there was none when it started.
            Some(_) if self.is_child && !again => {
                entered.unsampled = Some(enter_unsampled_root(self.root));
            }
            Some(trace_id) => entered.enter_root(trace_id, None),
        }
    }

    /// Restores what [`MeasuredCall::enter`] changed.
    #[inline]
    pub(crate) fn exit(&self, entered: &mut Entered) {
        if self.root.is_none() {
            entered.unsampled_call = None;
        } else {
            entered.context = None;
            entered.unsampled = None;
        }
    }

    /// Ends the call.
    #[inline]
    pub(crate) fn end(&self, outcome: &mut Outcome, cancelled: bool) {
        self.end_after(self.start.time.elapsed(), outcome, cancelled);
    }

    /// Ends the call, which took `nanos`.
    #[inline]
    pub(crate) fn end_after(&self, nanos: u64, outcome: &mut Outcome, cancelled: bool) {
        let timing = self.start.measure(nanos, outcome, cancelled, None);
        self.start.report(self.root, timing, outcome);
    }

    /// The start of the call.
    pub(crate) fn start_mut(&mut self) -> &mut CallStart {
        &mut self.start
    }
}
