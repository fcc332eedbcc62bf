//! A call with a span, or one that has to be known on its thread for other reasons: `record!`, span
//! events, `tracing` layers. It is entered and left on its threads, and measured and recorded at its
//! end.
//!
//! The metric and the span share the same two clock readings and the same attributes.

use std::num::NonZeroU128;

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, TraceContextExt as _};

use crate::active::{self, ActiveCall};
use crate::api_span::ApiSpan;
use crate::attributes::ON_SPANS;
use crate::call_events;
use crate::call_values::{self, CallEnd, at_start, own_at_start};
use crate::current_context::{attach, with_current};
use crate::details::{Details, FieldValue, Names, OwnedNames};
use crate::entered::Entered;
use crate::identity::Identity;
use crate::link_target::LinkTarget;
use crate::measured_call::{CallStart, MeasuredCall};
use crate::outcome::Outcome;
use crate::probe::ProbeReport;
use crate::record::{CallRecord, RecordExtras};
use crate::runtime::{Decision, Runtime};
use crate::series::Series;
use crate::shared_attributes::{SharedAttributes, SpanStart};
use crate::site::{Kind, Site, SiteKind};
use crate::starting_call::StartingCall;
use crate::tracing_span::{check_trace_is_continued, record_end, watched_span};
use crate::unsampled_root::UnsampledCall;

/// A call with a span, or one that has to be known on its thread.
#[derive(Debug)]
pub(crate) struct LiveCall {
    start: CallStart,
    sampling: Sampling,
    /// What the record has in addition to names. Boxed because many calls have none, and because the
    /// box becomes part of the record.
    record: Option<Box<RecordExtras>>,
    /// Spans and contexts that only this thread needs. Few calls have any.
    spans: Option<Box<Spans>>,
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
    /// The runtime exports a span with these ids if another span links to it before it ends. They are
    /// taken at the end.
    IfLinked(Option<(Identity, LinkTarget)>),
    /// A foreign set-up samples by itself.
    Foreign,
}

/// The spans of a call, apart from the one that the runtime exports.
#[derive(Debug, Default)]
struct Spans {
    /// The context of the calls inside, with the span of a sampled call. Only if the call is entered
    /// more than once.
    context: Option<Context>,
    /// The span for `tracing` layers.
    span: Option<tracing::Span>,
    /// The span through the OpenTelemetry API.
    api_span: Option<ApiSpan>,
}

impl Spans {
    fn has_span(&self) -> bool {
        self.span.is_some() || self.api_span.is_some()
    }
}

/// Evaluates the details of a recorded call.
fn describe(series: &'static Series, call: StartingCall<'_>) -> Box<RecordExtras> {
    let names = call.names;
    let mut record = Box::<RecordExtras>::default();
    (record.details, record.sampled) = call.into_details();
    if series.lacks(names) {
        record.names = Some(Box::new(OwnedNames::of(*names)));
    }
    record
}

/// Describes the span of a sampled call.
#[cold]
fn span_start(
    series: &'static Series,
    names: Names<'_>,
    details: &Details,
    identity: &Identity,
) -> SpanStart {
    let site = series.site;
    let values = at_start(site, names.into()).with_details(details);
    let mut attributes = Vec::with_capacity(10);
    let own = own_at_start(site, details);
    call_values::collect(site, ON_SPANS, &values, own, &mut attributes);
    let has_parent = identity.parent_span_id() != SpanId::INVALID;
    let parent = with_current(|cx| cx.span().span_context().clone());
    SpanStart {
        name: series
            .span_name(names, details.query_summary.as_deref())
            .into_owned(),
        kind: match site.def.kind {
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        },
        span_context: identity.span_context(),
        parent: has_parent.then_some(parent),
        link: identity.link().cloned(),
        attributes,
    }
}

/// Returns the current context if it has attributes for the calls inside.
pub(crate) fn shared_context() -> Option<Context> {
    with_current(|cx| SharedAttributes::of(cx).map(|_| cx.clone()))
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
        mut call: StartingCall<'_>,
        decision: Decision,
    ) -> Self {
        let shared = call.shared.take();
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
        let has_extras = matches!(decision, Decision::Sampled(_) | Decision::IfLinked(..))
            && (site.def.describes
                || series.lacks(names)
                || call.was_described()
                || shared.is_some());
        let mut record =
            (is_watched || tracer.is_some() || has_extras).then(|| describe(series, call));
        if let (Some(record), Some(shared)) = (&mut record, shared) {
            record.shared = Some(match &decision {
                Decision::Sampled(identity) => {
                    shared.resolved(&|| span_start(series, *names, &record.details, identity))
                }
                _ => shared,
            });
        }
        let mut spans = None::<Box<Spans>>;
        if let Some(record) = &record {
            let (details, shared) = (&record.details, record.shared.as_ref());
            if is_watched {
                let is_unsampled = matches!(decision, Decision::Unsampled);
                let name = series.span_name(*names, details.query_summary.as_deref());
                let span = watched_span(
                    site,
                    (*names, &name),
                    parent,
                    (details, shared),
                    is_unsampled,
                );
                spans.get_or_insert_default().span = Some(span);
            } else if let Some(tracer) = tracer {
                let span = ApiSpan::start(tracer, (series, *names), parent, (details, shared));
                spans.get_or_insert_default().api_span = span;
            }
        }
        Self {
            start,
            sampling: match decision {
                Decision::Sampled(identity) => Sampling::Sampled(Some(identity)),
                Decision::IfLinked(identity, target) => {
                    Sampling::IfLinked(Some((identity, target)))
                }
                Decision::Watched => Sampling::Foreign,
                Decision::UnsampledRoot(trace_id) => Sampling::UnsampledRoot(trace_id),
                Decision::Unsampled | Decision::Suppressed => Sampling::Unsampled,
            },
            record,
            spans,
        }
    }

    fn site(&self) -> &'static Site {
        self.start.series.site
    }

    /// Whether a span of this call is exported by percolate or created by a foreign set-up.
    fn is_recorded(&self) -> bool {
        matches!(self.sampling, Sampling::Sampled(_) | Sampling::IfLinked(_)) || self.has_span()
    }

    /// Whether the call has a span besides the one that the runtime exports.
    fn has_span(&self) -> bool {
        self.spans.as_deref().is_some_and(Spans::has_span)
    }

    fn has_api_span(&self) -> bool {
        let has = |spans: &Spans| spans.api_span.is_some();
        self.spans.as_deref().is_some_and(has)
    }

    /// A call without a span whose calls inside have this context.
    pub(crate) fn measured(call: MeasuredCall, context: Context) -> Self {
        let (start, root) = call.into_parts();
        Self {
            start,
            sampling: root.map_or(Sampling::Unsampled, Sampling::UnsampledRoot),
            record: None,
            spans: Some(Box::new(Spans {
                context: Some(context),
                ..Spans::default()
            })),
        }
    }

    /// Keeps the current context for the calls inside, if it matters to them.
    pub(crate) fn keep_context(&mut self) {
        if self.site().def.leaf {
            return;
        }
        let context = match &self.sampling {
            Sampling::Sampled(Some(identity)) => Some(context_of(identity)),
            // The span has a context of its own.
            Sampling::Foreign if self.has_api_span() => None,
            _ => shared_context(),
        };
        if let Some(context) = context {
            let spans = self.spans.get_or_insert_default();
            spans.context.get_or_insert(context);
        }
    }

    /// Whether code between [`LiveCall::enter`] and [`LiveCall::exit`] can observe that the call
    /// was entered.
    pub(crate) fn changes_its_thread(&self) -> bool {
        let site = self.site();
        let enters = match &self.sampling {
            Sampling::Unsampled | Sampling::Foreign => false,
            // A leaf has no calls inside that would have to be left out.
            Sampling::UnsampledRoot(_) | Sampling::IfLinked(_) => !site.def.leaf,
            Sampling::Sampled(_) => !site.def.leaf || self.start.series.probe().is_some(),
        };
        self.start.runtime.span_events || enters || self.spans.is_some() || site.def.late != 0
    }

    /// Makes this call the current one on this thread. `again` is whether it can be entered more
    /// than once.
    #[inline(never)]
    pub(crate) fn enter(&mut self, entered: &mut Entered, again: bool) {
        let site = self.site();
        let is_recorded = self.is_recorded();
        let kept = self
            .spans
            .as_deref()
            .and_then(|spans| spans.context.as_ref());
        match &self.sampling {
            Sampling::UnsampledRoot(trace_id) => entered.enter_root(*trace_id, kept),
            Sampling::IfLinked(Some((_, target))) => entered.enter_root(target.trace_id(), kept),
            Sampling::Sampled(Some(identity)) if !site.def.leaf => {
                let context = if again {
                    let spans = self.spans.get_or_insert_default();
                    spans
                        .context
                        .get_or_insert_with(|| context_of(identity))
                        .clone()
                } else {
                    context_of(identity)
                };
                entered.context = attach(context);
            }
            Sampling::Sampled(Some(_)) => entered.probe = self.start.series.probe(),
            Sampling::Unsampled => {
                entered.context = kept.cloned().and_then(attach);
                entered.unsampled_call = Some(UnsampledCall::enter());
            }
            Sampling::Foreign => entered.context = kept.cloned().and_then(attach),
            Sampling::Sampled(None) | Sampling::IfLinked(None) => {}
        }
        if let Some(spans) = &self.spans {
            if let Some(span) = &spans.api_span {
                if site.def.leaf {
                    entered.probe = self.start.series.probe();
                } else {
                    entered.context = attach(span.context().clone());
                }
            }
            if let Some(span) = &spans.span {
                span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                if matches!(self.sampling, Sampling::Foreign) {
                    check_trace_is_continued();
                }
            }
        }
        if site.def.late != 0 {
            let active = is_recorded.then(|| {
                let record = self.record.get_or_insert_default();
                let values = std::mem::take(&mut record.details.custom);
                Box::new(ActiveCall { site, values })
            });
            entered.outer = Some(active::replace(active));
        }
        if self.start.runtime.span_events {
            let events = matches!(self.sampling, Sampling::Sampled(_)).then(|| {
                let record = self.record.get_or_insert_default();
                record.events.take().unwrap_or_default()
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
            let start = self.start.time;
            let is_sampled = matches!(self.sampling, Sampling::Sampled(_));
            let probed = &mut self.record.get_or_insert_default().probed;
            probe.end(&mut ProbeReport::new(probed, start, is_sampled));
        }
        if let Some(outer) = entered.outer.take() {
            let active = active::replace(outer);
            if let (Some(active), Some(record)) = (active, &mut self.record) {
                record.details.custom = active.values;
            }
        }
        if let Some(outer) = entered.outer_events.take() {
            let events = call_events::replace(outer);
            if let (Some(events), Some(record)) = (events, &mut self.record) {
                record.events = Some(events);
            }
        }
        if let Some(span) = self.spans.as_ref().and_then(|spans| spans.span.as_ref()) {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        entered.context = None;
        entered.unsampled = None;
        entered.unsampled_call = None;
    }

    /// Measures the call and ends its span.
    #[inline]
    pub(crate) fn end(&mut self, outcome: &mut Outcome, cancelled: bool) {
        self.end_after(self.start.time.elapsed(), outcome, cancelled);
    }

    /// Measures the call, which took `nanos`, and ends its span.
    #[inline(never)]
    pub(crate) fn end_after(&mut self, nanos: u64, outcome: &mut Outcome, cancelled: bool) {
        let start = self.start;
        let exemplar = match &self.sampling {
            Sampling::Sampled(Some(identity)) if start.runtime.series.has_exemplars() => {
                Some(identity.exemplar())
            }
            _ => None,
        };
        let timing = start.measure(nanos, outcome, cancelled, exemplar.as_ref());
        let has_span = self.has_span();
        if let (Some(spans), Some(record)) = (&mut self.spans, &self.record) {
            let site = start.series.site;
            let end = CallEnd::new(outcome, timing.status, timing.nanos);
            if let Some(span) = spans.span.take() {
                record_end(site, &span, end, &record.details);
            }
            if let Some(span) = spans.api_span.take() {
                span.end(site, end, record);
            }
        }
        match &mut self.sampling {
            Sampling::Sampled(identity) => {
                if let (Some(identity), Some(recorder)) = (identity.take(), &start.runtime.recorder)
                {
                    let extras = self.record.take();
                    let record = CallRecord::new(start.series, identity, timing, outcome, extras);
                    recorder.push(record);
                }
            }
            Sampling::IfLinked(span) => {
                let Some((identity, target)) = span.take() else {
                    return;
                };
                match &start.runtime.recorder {
                    Some(recorder) if target.is_linked_at_end() => {
                        let extras = self.record.take();
                        let record =
                            CallRecord::new(start.series, identity, timing, outcome, extras);
                        recorder.push(record);
                    }
                    _ => start.report(Some(target.trace_id()), timing, outcome),
                }
            }
            Sampling::Foreign if has_span => {}
            Sampling::Foreign | Sampling::Unsampled => start.report(None, timing, outcome),
            Sampling::UnsampledRoot(trace_id) => start.report(Some(*trace_id), timing, outcome),
        }
    }

    /// The start of the call.
    pub(crate) fn start_mut(&mut self) -> &mut CallStart {
        &mut self.start
    }

    /// Sets the annotation's own attribute number `index`, which spans get when the call ends. The
    /// call is not entered.
    pub(crate) fn record(&mut self, index: usize, value: FieldValue) {
        if self.is_recorded() {
            let custom = &mut self.record.get_or_insert_default().details.custom;
            custom.retain(|(known, _)| *known != index);
            custom.push((index, value));
        }
    }

    pub(crate) fn is_job(&self) -> bool {
        self.site().def.site_kind == SiteKind::Job
    }
}
