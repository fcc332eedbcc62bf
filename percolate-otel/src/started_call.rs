//! A call that something listens to, and which of its two forms it has: measured only, or with a
//! span.

use std::mem::ManuallyDrop;
use std::time::Instant;

use crate::conventions::value;
use crate::details::{Details, Names};
use crate::entered::Entered;
use crate::link_target::LinkTarget;
use crate::live_call::{LiveCall, shared_context};
use crate::measured_call::{CallStart, MeasuredCall};
use crate::outcome::{ErrorInfo, Outcome};
use crate::runtime::{Decision, Gate, Runtime};
use crate::site::{Parent, Site};
use crate::starting_call::StartingCall;

/// A call that something listens to.
#[derive(Debug)]
pub(crate) enum StartedCall {
    /// It has no span, and records nothing on its thread.
    Measured(MeasuredCall),
    /// It has a span, or needs to be known on its thread.
    Live(LiveCall),
}

/// Starts a call in `place`, which is empty, unless the call is suppressed. `IS_SYNC` is whether the
/// body is a function.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the call of an annotated function starts in one place of two"
)]
pub(crate) fn listen<const IS_SYNC: bool>(
    place: &mut ManuallyDrop<Option<StartedCall>>,
    runtime: &'static Runtime,
    is_watched: bool,
    site: &'static Site,
    names: &Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) {
    let is_simple = !runtime.span_events && site.def.late == 0;
    let is_plain = !is_watched && is_simple;
    let gate = runtime.gate::<IS_SYNC>(parent);
    let root = match gate {
        Gate::Suppressed => return,
        Gate::Unsampled if is_plain => None,
        // A layer that could be interested is not: see `SampledSpans`.
        Gate::Unsampled if is_watched && is_simple && !site.is_enabled(true) => None,
        Gate::Unsampled | Gate::Root | Gate::Open => {
            let mut call = StartingCall::new(site, names, parent, details);
            match runtime.decide(gate, &mut call) {
                Decision::Suppressed => return,
                Decision::Unsampled if is_plain => None,
                Decision::UnsampledRoot(trace_id) if is_plain => Some(trace_id),
                decision => {
                    let live = LiveCall::start(runtime, is_watched, call, decision);
                    *place = ManuallyDrop::new(Some(StartedCall::Live(live)));
                    return;
                }
            }
        }
    };
    let start = CallStart::new(runtime, runtime.series.find(site, names));
    let measured = MeasuredCall::new(start, root, parent);
    *place = ManuallyDrop::new(Some(StartedCall::Measured(measured)));
}

/// Starts a root to whose span others may link, unless the call is suppressed.
#[cold]
pub(crate) fn listen_to_target(
    runtime: &'static Runtime,
    is_watched: bool,
    mut call: StartingCall<'_>,
    target: &LinkTarget,
) -> Option<StartedCall> {
    match runtime.decide_target(&mut call, target) {
        Decision::Suppressed => None,
        decision => {
            let live = LiveCall::start(runtime, is_watched, call, decision);
            Some(StartedCall::Live(live))
        }
    }
}

impl StartedCall {
    /// Whether code between [`StartedCall::enter`] and [`StartedCall::exit`] can observe that the
    /// call was entered.
    pub(crate) fn changes_its_thread(&self) -> bool {
        match self {
            Self::Measured(call) => call.changes_its_thread(),
            Self::Live(call) => call.changes_its_thread(),
        }
    }

    /// Keeps the current context for the calls inside, which run when an iterator is read or a future is
    /// polled. Another context may be current by then.
    pub(crate) fn keep_context(self) -> Self {
        match self {
            Self::Measured(call) => match shared_context().filter(|_| !call.is_leaf()) {
                Some(context) => Self::Live(LiveCall::measured(call, context)),
                None => Self::Measured(call),
            },
            Self::Live(mut call) => {
                call.keep_context();
                Self::Live(call)
            }
        }
    }

    /// Makes this call the current one on this thread. `again` is whether it can be entered more
    /// than once.
    #[inline]
    pub(crate) fn enter(&mut self, entered: &mut Entered, again: bool) {
        match self {
            Self::Measured(call) => call.enter(entered, again),
            Self::Live(call) => call.enter(entered, again),
        }
    }

    /// Restores what [`StartedCall::enter`] changed.
    #[inline]
    pub(crate) fn exit(&mut self, entered: &mut Entered) {
        match self {
            Self::Measured(call) => call.exit(entered),
            Self::Live(call) => call.exit(entered),
        }
    }

    /// Measures the call and ends its span.
    #[inline]
    pub(crate) fn end(&mut self, outcome: &mut Outcome, cancelled: bool) {
        match self {
            Self::Measured(call) => call.end(outcome, cancelled),
            Self::Live(call) => call.end(outcome, cancelled),
        }
    }

    /// Ends the call at `end`, which may be earlier than now.
    pub(crate) fn end_at(&mut self, end: Instant, outcome: &mut Outcome) {
        let nanos = self.start_mut().time.until(end);
        match self {
            Self::Measured(call) => call.end_after(nanos, outcome, false),
            Self::Live(call) => call.end_after(nanos, outcome, false),
        }
    }

    /// The start of the call.
    pub(crate) fn start_mut(&mut self) -> &mut CallStart {
        match self {
            Self::Measured(call) => call.start_mut(),
            Self::Live(call) => call.start_mut(),
        }
    }

    fn is_job(&self) -> bool {
        match self {
            Self::Measured(call) => call.is_job(),
            Self::Live(call) => call.is_job(),
        }
    }

    /// Ends a call whose body panicked.
    #[cold]
    pub(crate) fn end_panicked(&mut self) {
        let panic = ErrorInfo::new(value::ERROR_TYPE_PANIC);
        self.end(&mut Outcome::failed(panic), false);
    }

    /// Ends a call that is dropped before it is finished.
    #[cold]
    pub(crate) fn end_cancelled(&mut self) {
        let error = (!self.is_job()).then(|| ErrorInfo::new(value::ERROR_TYPE_CANCELLED));
        let mut outcome = Outcome {
            error,
            ..Outcome::default()
        };
        self.end(&mut outcome, true);
    }
}
