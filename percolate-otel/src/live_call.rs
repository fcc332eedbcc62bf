//! A call with a span, or one that has to be known on its thread for other reasons: `record!`, span
//! events, `tracing` layers. It is entered and left on its threads, and measured and recorded at its
//! end.
//!
//! The metric and the span share the same two clock readings and the same attributes.

use std::num::NonZeroU128;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::active::{self, ActiveCall};
use crate::api_span::ApiSpan;
use crate::call_events;
use crate::call_values::CallEnd;
use crate::current_context::{attach, with_current};
use crate::details::{Names, OwnedNames};
use crate::entered::Entered;
use crate::identity::Identity;
use crate::measured_call::CallStart;
use crate::outcome::Outcome;
use crate::probe::probe_of;
use crate::record::{CallRecord, RecordExtras};
use crate::runtime::{Decision, Runtime};
use crate::series::Series;
use crate::site::{Parent, Site, SiteKind};
use crate::starting_call::StartingCall;
use crate::tracing_span::{check_trace_is_continued, record_end, watched_span};
use crate::unsampled_root::UnsampledCall;

/// A call with a span, or one that has to be known on its thread.
#[derive(Debug)]
pub(crate) struct LiveCall {
    start: CallStart,
    sampling: Sampling,
    /// Boxed because many calls have none.
    extras: Option<Box<CallExtras>>,
}

/// Whether a span of the call is exported. A `tracing` span is independent of it: layers that write
/// to a terminal or a file receive the spans that they are interested in, sampled or not.
#[derive(Debug)]
enum Sampling {
    /// No span is exported, and nothing changes for the calls inside.
    Unsampled,
    /// No span is exported of this call and of the calls inside.
    UnsampledRoot(NonZeroU128),
    /// The runtime exports a span with these ids, which are taken at the end.
    Sampled(Option<Identity>),
    /// A foreign set-up samples by itself.
    Foreign,
}

/// What few calls have.
#[derive(Debug, Default)]
struct CallExtras {
    /// The context with this call as the current span, if the call is entered more than once.
    context: Option<Context>,
    /// The span for `tracing` layers.
    span: Option<tracing::Span>,
    /// The span through the OpenTelemetry API.
    api_span: Option<ApiSpan>,
    record: RecordExtras,
}

impl CallExtras {
    /// Creates the `tracing` span.
    fn watch(
        &mut self,
        series: &'static Series,
        names: Names<'_>,
        parent: Parent,
        is_unsampled: bool,
    ) {
        let details = &self.record.details;
        let name = series.span_name(names, details.query_summary.as_deref());
        let span = watched_span(series.site, (names, &name), parent, details, is_unsampled);
        self.span = Some(span);
    }
}

/// Evaluates the details of a recorded call.
fn describe(series: &'static Series, call: StartingCall<'_>) -> Box<CallExtras> {
    let names = call.names;
    let mut extras = Box::<CallExtras>::default();
    (extras.record.details, extras.record.sampled) = call.into_details();
    if series.lacks(names) {
        extras.record.names = Some(Box::new(OwnedNames::of(*names)));
    }
    extras
}

/// Returns the current context with `identity` as its span.
fn context_of(identity: &Identity) -> Context {
    with_current(|cx| cx.with_remote_span_context(identity.span_context()))
}

impl LiveCall {
    /// Starts a call about which `decision` was made.
    #[inline(never)]
    pub(crate) fn start(
        runtime: &'static Runtime,
        is_watched: bool,
        call: StartingCall<'_>,
        decision: Decision,
    ) -> Self {
        let StartingCall {
            site,
            names,
            parent,
            ..
        } = call;
        let series = runtime.series.find(site, names);
        let start = CallStart::new(runtime, series);
        let tracer = match &decision {
            Decision::Watched if !is_watched => runtime.global_tracer(),
            _ => None,
        };
        let has_extras = matches!(decision, Decision::Sampled(_))
            && (site.def.describes || series.lacks(names) || call.was_described());
        let extras = (is_watched || tracer.is_some() || has_extras).then(|| {
            let mut extras = describe(series, call);
            if is_watched {
                let is_unsampled = matches!(decision, Decision::Unsampled);
                extras.watch(series, *names, parent, is_unsampled);
            } else if let Some(tracer) = tracer {
                let details = &extras.record.details;
                extras.api_span = ApiSpan::start(tracer, (series, *names), parent, details);
            }
            extras
        });
        Self {
            start,
            sampling: match decision {
                Decision::Sampled(identity) => Sampling::Sampled(Some(identity)),
                Decision::Watched => Sampling::Foreign,
                Decision::UnsampledRoot(trace_id) => Sampling::UnsampledRoot(trace_id),
                Decision::Unsampled | Decision::Suppressed => Sampling::Unsampled,
            },
            extras,
        }
    }

    fn site(&self) -> &'static Site {
        self.start.series.site
    }

    /// Whether a span of this call is exported by percolate or created by a foreign set-up.
    fn is_recorded(&self) -> bool {
        matches!(self.sampling, Sampling::Sampled(_)) || self.extras.is_some()
    }

    /// Whether code between [`LiveCall::enter`] and [`LiveCall::exit`] can observe that the call
    /// was entered.
    pub(crate) fn changes_its_thread(&self) -> bool {
        let site = self.site();
        let has_span = |extras: &CallExtras| extras.span.is_some() || extras.api_span.is_some();
        let enters = match &self.sampling {
            Sampling::Unsampled | Sampling::Foreign => false,
            // A leaf has no calls inside that would have to be left out.
            Sampling::UnsampledRoot(_) => !site.def.leaf,
            Sampling::Sampled(_) => !site.def.leaf || probe_of(site.def.system).is_some(),
        };
        self.start.runtime.span_events
            || enters
            || self.extras.as_deref().is_some_and(has_span)
            || !site.def.custom.is_empty()
    }

    /// Makes this call the current one on this thread. `again` is whether it can be entered more
    /// than once.
    #[inline(never)]
    pub(crate) fn enter(&mut self, entered: &mut Entered, again: bool) {
        let site = self.site();
        let is_recorded = self.is_recorded();
        match &self.sampling {
            Sampling::UnsampledRoot(trace_id) => entered.enter_root(*trace_id),
            Sampling::Sampled(Some(identity)) if !site.def.leaf => {
                let context = if again {
                    let extras = self.extras.get_or_insert_default();
                    extras
                        .context
                        .get_or_insert_with(|| context_of(identity))
                        .clone()
                } else {
                    context_of(identity)
                };
                entered.context = attach(context);
            }
            Sampling::Sampled(Some(_)) => entered.probe = probe_of(site.def.system),
            Sampling::Unsampled => entered.unsampled_call = Some(UnsampledCall::enter()),
            Sampling::Foreign | Sampling::Sampled(None) => {}
        }
        if let Some(extras) = &self.extras {
            if let Some(span) = &extras.api_span {
                if site.def.leaf {
                    entered.probe = probe_of(site.def.system);
                } else {
                    entered.context = attach(span.context().clone());
                }
            }
            if let Some(span) = &extras.span {
                span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                if matches!(self.sampling, Sampling::Foreign) {
                    check_trace_is_continued();
                }
            }
        }
        if !site.def.custom.is_empty() {
            let active = is_recorded.then(|| {
                let extras = self.extras.get_or_insert_default();
                let values = std::mem::take(&mut extras.record.details.custom);
                Box::new(ActiveCall { site, values })
            });
            entered.outer = Some(active::replace(active));
        }
        if self.start.runtime.span_events {
            let events = matches!(self.sampling, Sampling::Sampled(_)).then(|| {
                let extras = self.extras.get_or_insert_default();
                extras.record.events.take().unwrap_or_default()
            });
            entered.outer_events = Some(call_events::replace(events));
        }
        if let Some(probe) = entered.probe {
            probe.begin();
        }
    }

    /// Restores what [`LiveCall::enter`] changed.
    #[inline(never)]
    pub(crate) fn exit(&mut self, entered: &mut Entered) {
        if let Some(probe) = entered.probe.take() {
            let probed = &mut self.extras.get_or_insert_default().record.probed;
            probe.end(
                &mut |name, value| match probed.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(value),
                    None => probed.push((name, value)),
                },
            );
        }
        if let Some(outer) = entered.outer.take() {
            let active = active::replace(outer);
            if let (Some(active), Some(extras)) = (active, &mut self.extras) {
                extras.record.details.custom = active.values;
            }
        }
        if let Some(outer) = entered.outer_events.take() {
            let events = call_events::replace(outer);
            if let (Some(events), Some(extras)) = (events, &mut self.extras) {
                extras.record.events = Some(events);
            }
        }
        if let Some(span) = self.extras.as_ref().and_then(|extras| extras.span.as_ref()) {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        entered.context = None;
        entered.unsampled = None;
        entered.unsampled_call = None;
    }

    /// Measures the call and ends its span.
    #[inline(never)]
    pub(crate) fn end(&mut self, outcome: &mut Outcome, cancelled: bool) {
        let start = self.start;
        let exemplar = match &self.sampling {
            Sampling::Sampled(Some(identity)) if start.runtime.series.has_exemplars() => {
                Some(identity.exemplar())
            }
            _ => None,
        };
        let timing = start.measure(outcome, cancelled, exemplar.as_ref());
        if let Some(extras) = &mut self.extras {
            let site = start.series.site;
            let end = CallEnd::new(outcome, timing.status, timing.nanos);
            if let Some(span) = extras.span.take() {
                record_end(site, &span, end, &extras.record.details);
            }
            if let Some(span) = extras.api_span.take() {
                span.end(site, end, &extras.record);
            }
        }
        match &mut self.sampling {
            Sampling::Sampled(identity) => {
                if let (Some(identity), Some(recorder)) = (identity.take(), &start.runtime.recorder)
                {
                    let extras = self.extras.take().map(|extras| Box::new(extras.record));
                    let record = CallRecord::new(start.series, identity, timing, outcome, extras);
                    recorder.push(record);
                }
            }
            Sampling::Foreign if self.extras.is_some() => {}
            Sampling::Foreign | Sampling::Unsampled => start.report(None, timing, outcome),
            Sampling::UnsampledRoot(trace_id) => start.report(Some(*trace_id), timing, outcome),
        }
    }

    pub(crate) fn is_job(&self) -> bool {
        self.site().def.site_kind == SiteKind::Job
    }
}
