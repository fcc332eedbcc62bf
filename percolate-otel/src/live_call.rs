//! A call that something listens to: it passes the gate, is entered and left on its threads, and is
//! measured and recorded at its end.
//!
//! Nothing is formatted or allocated before the gate has decided. The metric and the span share the
//! same two clock readings and the same attributes.

use std::borrow::Cow;
use std::num::NonZeroU128;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};

use crate::active::{self, ActiveCall};
use crate::api_span::ApiSpan;
use crate::call_values::CallEnd;
use crate::clock::Reading;
use crate::conventions::{JobStatus, value};
use crate::details::{Details, Names, OwnedNames};
use crate::identity::Identity;
use crate::outcome::{ErrorInfo, Outcome};
use crate::probe::{Probe, probe_of};
use crate::record::{CallRecord, RecordExtras};
use crate::runtime::{Decision, Runtime};
use crate::series::Series;
use crate::site::{Parent, Site, SiteKind};
use crate::tracing_span::{record_end, watched_span};
use crate::unsampled_root::{UnsampledGuard, enter_unsampled_root};

/// A call that something listens to.
#[derive(Debug)]
pub(crate) struct LiveCall {
    runtime: &'static Runtime,
    series: &'static Series,
    started: Reading,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// No span is recorded, and nothing changes for the calls inside.
    Plain,
    /// No span is recorded of this call and of the calls inside.
    UnsampledRoot(NonZeroU128),
    /// A span is recorded.
    Recorded(Recorded),
}

impl Mode {
    /// A call whose span gets its ids elsewhere.
    fn unidentified(extras: Box<CallExtras>) -> Self {
        Self::Recorded(Recorded {
            identity: None,
            extras: Some(extras),
        })
    }
}

#[derive(Debug)]
struct Recorded {
    /// The ids of the compact record; `None` if the span is not percolate's own.
    identity: Option<Identity>,
    /// Boxed because many calls have none.
    extras: Option<Box<CallExtras>>,
}

/// What a recorded call has in addition to its ids.
#[derive(Debug, Default)]
struct CallExtras {
    /// The context with this call as the current span, if the call is entered more than once.
    context: Option<Context>,
    /// The span for `tracing` layers.
    span: Option<tracing::Span>,
    /// The span through the OpenTelemetry API.
    api_span: Option<ApiSpan>,
    /// How many of the first own attributes the `tracing` span has from its start.
    at_start: usize,
    record: RecordExtras,
}

impl CallExtras {
    /// Creates the `tracing` span.
    fn watch(&mut self, site: &'static Site, names: Names<'_>, parent: Parent) {
        let details = &self.record.details;
        self.span = Some(watched_span(site, site.def.name, names, parent, details));
        self.at_start = details.custom.len();
    }
}

/// Starts a call that something listens to, unless it is suppressed.
#[inline(never)]
pub(crate) fn listen(
    place: &mut Option<LiveCall>,
    runtime: &'static Runtime,
    is_watched: bool,
    site: &'static Site,
    names: Names<'_>,
    parent: Parent,
    details: &mut dyn FnMut(&mut Details),
) {
    let decision = runtime.decide(site, parent);
    if matches!(decision, Decision::Suppressed) {
        return;
    }
    let series = runtime.series.find(site, names);
    if site.def.site_kind == SiteKind::Job && series.is_measured() {
        runtime.series.job_active(site, 1);
    }
    let started = Reading::now();
    let mode = match decision {
        Decision::Sampled(identity) => Mode::Recorded(Recorded {
            identity: Some(identity),
            extras: (is_watched || site.def.describes || series.is_overflow).then(|| {
                let mut extras = describe(series, names, details);
                if is_watched {
                    extras.watch(site, names, parent);
                }
                extras
            }),
        }),
        Decision::Watched if is_watched => {
            let mut extras = describe(series, names, details);
            extras.watch(site, names, parent);
            Mode::unidentified(extras)
        }
        Decision::Watched => match runtime.global_tracer() {
            Some(tracer) => {
                let mut extras = describe(series, names, details);
                extras.api_span =
                    ApiSpan::start(tracer, site, names, parent, &extras.record.details);
                Mode::unidentified(extras)
            }
            None => Mode::Plain,
        },
        Decision::UnsampledRoot(trace_id) => Mode::UnsampledRoot(trace_id),
        Decision::Unsampled | Decision::Suppressed => Mode::Plain,
    };
    *place = Some(LiveCall {
        runtime,
        series,
        started,
        mode,
    });
}

/// Evaluates the details of a recorded call.
fn describe(
    series: &'static Series,
    names: Names<'_>,
    details: &mut dyn FnMut(&mut Details),
) -> Box<CallExtras> {
    let mut extras = Box::<CallExtras>::default();
    details(&mut extras.record.details);
    if series.is_overflow {
        extras.record.names = Some(Box::new(OwnedNames::of(names)));
    }
    extras
}

/// The thread state that [`LiveCall::enter`] changed, for [`LiveCall::exit`] to restore.
#[derive(Debug)]
#[expect(
    clippy::option_option,
    reason = "the outer `Option` is whether a call was replaced, the inner one is that call"
)]
pub(crate) struct Entered {
    context: Option<ContextGuard>,
    unsampled: Option<UnsampledGuard>,
    /// The previous active call; `Some` if this call replaced it.
    outer: Option<Option<Box<ActiveCall>>>,
    probe: Option<&'static dyn Probe>,
}

impl Entered {
    /// Nothing was changed.
    pub(crate) const NOTHING: Self = Self {
        context: None,
        unsampled: None,
        outer: None,
        probe: None,
    };
}

/// Returns the current context with `identity` as its span.
fn context_of(identity: &Identity) -> Context {
    Context::map_current(|cx| cx.with_remote_span_context(identity.span_context()))
}

impl LiveCall {
    fn site(&self) -> &'static Site {
        self.series.site
    }

    /// Whether code between [`LiveCall::enter`] and [`LiveCall::exit`] can observe that the call
    /// was entered.
    pub(crate) fn changes_its_thread(&self) -> bool {
        let site = self.site();
        let enters = match &self.mode {
            Mode::Plain => false,
            // A leaf has no calls inside that would have to be left out.
            Mode::UnsampledRoot(_) => !site.def.leaf,
            Mode::Recorded(Recorded { extras, .. }) => {
                !site.def.leaf
                    || extras.as_ref().is_some_and(|extras| extras.span.is_some())
                    || probe_of(site.def.system).is_some()
            }
        };
        enters || !site.def.custom.is_empty()
    }

    /// Makes this call the current one on this thread. `again` is whether it can be entered more
    /// than once.
    #[inline]
    pub(crate) fn enter(&mut self, entered: &mut Entered, again: bool) {
        let site = self.site();
        let mut active = None;
        match &mut self.mode {
            Mode::Plain => {}
            Mode::UnsampledRoot(trace_id) => {
                entered.unsampled = Some(enter_unsampled_root(Some(*trace_id)));
                // The caller of a linked job may be recorded, but what happens inside is not its
                // child.
                entered.context = Context::map_current(|cx| {
                    cx.has_active_span()
                        .then(|| cx.with_remote_span_context(SpanContext::NONE))
                })
                .map(Context::attach);
            }
            Mode::Recorded(Recorded { identity, extras }) => {
                if let Some(identity) = identity.as_ref().filter(|_| !site.def.leaf) {
                    let context = if again {
                        let extras = extras.get_or_insert_default();
                        extras
                            .context
                            .get_or_insert_with(|| context_of(identity))
                            .clone()
                    } else {
                        context_of(identity)
                    };
                    entered.context = Some(context.attach());
                }
                let api_span = extras.as_ref().and_then(|extras| extras.api_span.as_ref());
                if let Some(span) = api_span.filter(|_| !site.def.leaf) {
                    entered.context = Some(span.context().clone().attach());
                }
                if site.def.leaf && (identity.is_some() || api_span.is_some()) {
                    entered.probe = probe_of(site.def.system);
                }
                if let Some(span) = extras.as_ref().and_then(|extras| extras.span.as_ref()) {
                    span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                }
                if !site.def.custom.is_empty() {
                    let extras = extras.get_or_insert_default();
                    active = Some(Box::new(ActiveCall {
                        site,
                        values: std::mem::take(&mut extras.record.details.custom),
                        at_start: extras.at_start,
                    }));
                }
            }
        }
        if !site.def.custom.is_empty() {
            entered.outer = Some(active::replace(active));
        }
        if let Some(probe) = entered.probe {
            probe.begin();
        }
    }

    /// Restores what [`LiveCall::enter`] changed.
    #[inline]
    pub(crate) fn exit(&mut self, entered: &mut Entered) {
        if let (Some(probe), Mode::Recorded(Recorded { extras, .. })) =
            (entered.probe.take(), &mut self.mode)
        {
            let probed = &mut extras.get_or_insert_default().record.probed;
            probe.end(
                &mut |name, value| match probed.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(value),
                    None => probed.push((name, value)),
                },
            );
        }
        if let Some(outer) = entered.outer.take() {
            let active = active::replace(outer);
            if let (
                Some(active),
                Mode::Recorded(Recorded {
                    extras: Some(extras),
                    ..
                }),
            ) = (active, &mut self.mode)
            {
                extras.record.details.custom = active.values;
                extras.at_start = active.at_start;
            }
        }
        if let Mode::Recorded(Recorded {
            extras: Some(extras),
            ..
        }) = &self.mode
            && let Some(span) = &extras.span
        {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        entered.context = None;
        entered.unsampled = None;
    }

    /// Measures the call and ends its span.
    #[inline]
    pub(crate) fn end(&mut self, outcome: &mut Outcome, cancelled: bool) {
        let Self {
            runtime,
            series,
            started,
            ref mut mode,
        } = *self;
        let site = series.site;
        let duration = started.elapsed();
        if !runtime.returned_rows {
            outcome.returned_rows = None;
        }
        let status = match &outcome.error {
            _ if cancelled => JobStatus::Cancelled,
            Some(_) => JobStatus::Failed,
            None => outcome.status,
        };
        runtime
            .series
            .measure(series, CallEnd::new(outcome, status, duration));
        if site.def.site_kind == SiteKind::Job && series.is_measured() {
            runtime.series.job_active(site, -1);
        }
        let timing = (started, duration);
        match mode {
            Mode::Recorded(Recorded { identity, extras }) => {
                if let Some(extras) = extras {
                    let end = CallEnd::new(outcome, status, duration);
                    if let Some(span) = extras.span.take() {
                        let late = &extras.record.details.custom[extras.at_start..];
                        record_end(site, &span, end, late);
                    }
                    if let Some(span) = extras.api_span.take() {
                        span.end(site, end, &extras.record);
                    }
                }
                if let (Some(identity), Some(recorder)) = (identity.take(), &runtime.recorder) {
                    let extras = extras.take().map(|extras| Box::new(extras.record));
                    recorder.push(CallRecord::new(
                        series, identity, timing, status, outcome, extras,
                    ));
                }
            }
            Mode::Plain => report(runtime, series, None, timing, status, outcome),
            Mode::UnsampledRoot(trace_id) => {
                report(runtime, series, Some(*trace_id), timing, status, outcome);
            }
        }
    }

    /// Ends a call that is dropped without `finish`.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        let is_job = self.site().def.site_kind == SiteKind::Job;
        let failure = |error_type| {
            Some(ErrorInfo {
                error_type: Cow::Borrowed(error_type),
                status_code: None,
            })
        };
        if std::thread::panicking() {
            self.end(
                &mut Outcome {
                    error: failure(value::ERROR_TYPE_PANIC),
                    ..Outcome::default()
                },
                false,
            );
        } else {
            let error = if is_job {
                None
            } else {
                failure(value::ERROR_TYPE_CANCELLED)
            };
            self.end(
                &mut Outcome {
                    error,
                    ..Outcome::default()
                },
                true,
            );
        }
    }
}

/// Reports an unsampled call if it was slow or failed.
#[inline]
fn report(
    runtime: &'static Runtime,
    series: &'static Series,
    root: Option<NonZeroU128>,
    (started, duration): (Reading, Duration),
    status: JobStatus,
    outcome: &mut Outcome,
) {
    let reports = &runtime.reports;
    let Some(reason) = reports.reason(series.site, duration, outcome) else {
        return;
    };
    runtime.series.count_unsampled(series, reason.as_str());
    reports.emit((series.site, series), reason, duration, outcome, root);
    if let (true, Some(trace_id), Some(recorder)) = (reports.exports_roots, root, &runtime.recorder)
    {
        recorder.push(CallRecord::new(
            series,
            Identity::root(trace_id),
            (started, duration),
            status,
            outcome,
            None,
        ));
    }
}
