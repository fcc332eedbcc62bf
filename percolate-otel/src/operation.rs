//! What an annotated function runs: enter, gate, finish.
//!
//! [`enter`] (sync) and [`start`] + [`run`] (async) take the static [`Site`] of the function and what was known at
//! entry; [`SyncCall::finish`] and [`Call::finish`] take the [`Outcome`] read from the value. Nothing is formatted or
//! allocated before the gate has answered. A call that is dropped without `finish` ends as a panic or as cancelled.
//! The metric and the span share the same two clock readings and the same attributes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::num::NonZeroU128;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};
use tracing_core::field::Value as TracingValue;

use super::clock::Reading;
use super::conventions::value;
use super::metrics::{Names, Series};
use super::outcome::{ErrorInfo, Outcome};
use super::probe::{Probe, probe_of};
use super::record::{Record, Side};
use super::runtime::{self, Decision, Identity, Runtime, UnsampledGuard};
use super::site::{Kind, Parent, Site, SiteKind, attr};

/// A value of an annotation's own attribute.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// Nothing: the attribute is left out.
    None,
    /// An integer.
    I64(i64),
    /// A floating-point number.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A text known when the program is compiled.
    Static(&'static str),
    /// A text.
    Str(String),
}

macro_rules! field_value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for FieldValue {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

field_value_from! {
    i64 => |value| Self::I64(value);
    i32 => |value| Self::I64(value.into());
    i16 => |value| Self::I64(value.into());
    i8 => |value| Self::I64(value.into());
    isize => |value| Self::I64(i64::try_from(value).unwrap_or(i64::MAX));
    u8 => |value| Self::I64(value.into());
    u16 => |value| Self::I64(value.into());
    u32 => |value| Self::I64(value.into());
    u64 => |value| Self::I64(i64::try_from(value).unwrap_or(i64::MAX));
    usize => |value| Self::I64(i64::try_from(value).unwrap_or(i64::MAX));
    f64 => |value| Self::F64(value);
    f32 => |value| Self::F64(value.into());
    bool => |value| Self::Bool(value);
    &str => |value| Self::Str(value.to_owned());
    String => |value| Self::Str(value);
    &String => |value| Self::Str(value.clone());
    Cow<'_, str> => |value| Self::Str(value.into_owned());
}

impl<T: Into<FieldValue>> From<Option<T>> for FieldValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl FieldValue {
    fn as_tracing(&self) -> Option<&dyn TracingValue> {
        match self {
            Self::None => None,
            Self::I64(value) => Some(value),
            Self::F64(value) => Some(value),
            Self::Bool(value) => Some(value),
            Self::Static(value) => Some(value),
            Self::Str(value) => Some(value),
        }
    }

    pub(crate) fn into_otel(self) -> Option<opentelemetry::Value> {
        match self {
            Self::None => None,
            Self::I64(value) => Some(value.into()),
            Self::F64(value) => Some(value.into()),
            Self::Bool(value) => Some(value.into()),
            Self::Static(value) => Some(value.into()),
            Self::Str(value) => Some(value.into()),
        }
    }
}

/// What only recorded calls say at entry.
#[derive(Debug, Default)]
pub struct Details {
    pub(crate) batch_size: Option<i64>,
    pub(crate) query_text: Option<String>,
    pub(crate) query_summary: Option<String>,
    pub(crate) custom: Vec<(usize, FieldValue)>,
}

impl Details {
    /// `db.operation.batch.size` or `job.batch_size`.
    pub fn batch_size(&mut self, size: i64) {
        self.batch_size = Some(size);
    }

    /// `db.query.text`; already sanitised.
    pub fn query_text(&mut self, text: &str) {
        self.query_text = Some(text.to_owned());
    }

    /// `db.query.summary`; names the span when there is no collection.
    pub fn query_summary(&mut self, summary: &str) {
        self.query_summary = Some(summary.to_owned());
    }

    /// The annotation's own attribute number `index`.
    pub fn field(&mut self, index: usize, value: impl Into<FieldValue>) {
        self.custom.push((index, value.into()));
    }
}

/// One call of an annotated function, from its start to its finish.
///
/// Empty when nothing listens, and after the end.
#[derive(Debug)]
pub struct Call(Option<Live>);

/// A call that something listens to.
#[derive(Debug)]
struct Live {
    runtime: &'static Runtime,
    series: &'static Series,
    started: Reading,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// Nothing is recorded, and nothing is said to the calls inside.
    Plain,
    /// Nothing is recorded of this call and of those inside.
    UnsampledRoot(NonZeroU128),
    /// A span is recorded.
    Recorded(Recorded),
}

#[derive(Debug)]
struct Recorded {
    /// The identity of the compact record; `None` when only `tracing` layers look.
    identity: Option<Identity>,
    /// What few calls have.
    more: Option<Box<More>>,
}

/// What few recorded calls have.
#[derive(Debug, Default)]
struct More {
    /// The context with this call as the current span, where it is entered more than once.
    context: Option<Context>,
    span: Option<tracing::Span>,
    side: Side,
}

/// The names of a call whose series is the overflow one.
#[derive(Debug)]
pub(crate) struct OwnedNames {
    pub(crate) target: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) server_address: Option<String>,
}

/// Starts a call that is not entered yet: its body is a future, given to [`run`].
pub fn start(site: &'static Site, names: Names<'_>, details: &mut dyn FnMut(&mut Details)) -> Call {
    let is_watched = site.is_watched();
    let Some(runtime) = runtime::current().or_else(|| is_watched.then(runtime::layers_only)) else {
        return Call(None);
    };
    let mut call = Call(None);
    listen(&mut call.0, runtime, is_watched, site, names, details);
    call
}

/// Starts a call that something listens to, unless it is suppressed.
#[inline(never)]
fn listen(
    place: &mut Option<Live>,
    runtime: &'static Runtime,
    is_watched: bool,
    site: &'static Site,
    names: Names<'_>,
    details: &mut dyn FnMut(&mut Details),
) {
    let decision = runtime.decide(site);
    if matches!(decision, Decision::Suppressed) {
        return;
    }
    let series = runtime.registry.series(site, names);
    if site.def.site_kind == SiteKind::Job && series.is_measured() {
        runtime.registry.job_active(site, 1);
    }
    let started = Reading::now();
    let mode = match decision {
        Decision::Sampled(identity) => Mode::Recorded(Recorded {
            identity: Some(identity),
            more: (is_watched || site.def.describes || series.is_overflow)
                .then(|| describe(site, series, names, details, is_watched)),
        }),
        Decision::Watched if is_watched => Mode::Recorded(Recorded {
            identity: None,
            more: Some(describe(site, series, names, details, true)),
        }),
        Decision::UnsampledRoot(trace_id) => Mode::UnsampledRoot(trace_id),
        Decision::Watched | Decision::Unsampled | Decision::Suppressed => Mode::Plain,
    };
    *place = Some(Live {
        runtime,
        series,
        started,
        mode,
    });
}

/// What a recorded call has beyond its names and times.
fn describe(
    site: &'static Site,
    series: &'static Series,
    names: Names<'_>,
    details: &mut dyn FnMut(&mut Details),
    is_watched: bool,
) -> Box<More> {
    let mut known = Details::default();
    details(&mut known);
    let span = is_watched.then(|| watched_span(site, site.def.name, names, &known));
    let names = series.is_overflow.then(|| {
        Box::new(OwnedNames {
            target: names.target.map(str::to_owned),
            namespace: names.namespace.map(str::to_owned),
            server_address: names.server_address.map(str::to_owned),
        })
    });
    let side = Side {
        details: known,
        names,
        ..Side::default()
    };
    Box::new(More {
        context: None,
        span,
        side,
    })
}

/// A span made by hand: for `tracing` layers alone, with the fields of an annotated call's span.
pub(crate) fn span_by_hand(
    site: &'static Site,
    operation: &'static str,
    names: Names<'_>,
    query: Option<(String, String)>,
) -> tracing::Span {
    if !site.is_watched() || runtime::is_refused() {
        return tracing::Span::none();
    }
    let (query_text, query_summary) = query.unzip();
    watched_span(
        site,
        operation,
        names,
        &Details {
            query_text,
            query_summary,
            ..Details::default()
        },
    )
}

/// The name of a call's span.
pub(crate) fn span_name(
    site: &Site,
    operation: &'static str,
    target: Option<&str>,
    summary: Option<&str>,
) -> Cow<'static, str> {
    match (site.def.span_name, target, summary) {
        (Some(name), _, _) => Cow::Borrowed(name),
        (None, Some(target), _) => Cow::Owned(format!("{operation} {target}")),
        (None, None, Some(summary)) => Cow::Owned(summary.to_owned()),
        (None, None, None) => Cow::Borrowed(operation),
    }
}

// ---- the `tracing` span ----

/// Most attributes a site can have on a `tracing` span; further ones of its own are left out there.
const MAX_FIELDS: usize = 64;

/// The values of a site's `tracing` fields, each in its place.
struct Fields<'a> {
    values: [Option<&'a dyn TracingValue>; MAX_FIELDS],
    site: &'static Site,
}

impl<'a> Fields<'a> {
    fn new(site: &'static Site) -> Self {
        Self {
            values: [None; MAX_FIELDS],
            site,
        }
    }

    fn set(&mut self, bit: u32, value: Option<&'a dyn TracingValue>) {
        if let Some(place) = self
            .site
            .field_index(bit)
            .and_then(|index| self.values.get_mut(index))
        {
            *place = value;
        }
    }

    fn set_custom(&mut self, custom: &'a [(usize, FieldValue)]) {
        for (index, value) in custom {
            if let Some(place) = self
                .site
                .custom_index(*index)
                .and_then(|index| self.values.get_mut(index))
            {
                *place = value.as_tracing();
            }
        }
    }

    fn with<T>(&self, f: impl FnOnce(&tracing_core::field::ValueSet<'_>) -> T) -> Option<T> {
        let fields = self.site.metadata.fields();
        let values = self.values.get(..fields.len())?;
        Some(f(&fields.value_set_all(values)))
    }
}

#[expect(
    clippy::ref_option,
    reason = "a field's value is a reference to where it is"
)]
fn optional<T: TracingValue>(value: &Option<T>) -> Option<&dyn TracingValue> {
    value.as_ref().map(|value| value as &dyn TracingValue)
}

fn watched_span(
    site: &'static Site,
    operation: &'static str,
    names: Names<'_>,
    details: &Details,
) -> tracing::Span {
    let def = site.def;
    let name = span_name(
        site,
        operation,
        names.target,
        details.query_summary.as_deref(),
    );
    let name: &str = &name;
    let kind = match def.kind {
        Kind::Client => "client",
        Kind::Internal => "internal",
    };
    let mut fields = Fields::new(site);
    fields.set(attr::OTEL_NAME, Some(&name));
    fields.set(attr::OTEL_KIND, Some(&kind));
    let target = optional(&names.target);
    match def.site_kind {
        SiteKind::Db => {
            fields.set(attr::SYSTEM, Some(&def.system));
            fields.set(attr::OPERATION, Some(&operation));
            fields.set(attr::COLLECTION, target);
            fields.set(attr::NAMESPACE, optional(&names.namespace));
            fields.set(attr::SERVER_ADDRESS, optional(&names.server_address));
            fields.set(attr::BATCH_SIZE, optional(&details.batch_size));
            fields.set(attr::QUERY_SUMMARY, optional(&details.query_summary));
            fields.set(attr::QUERY_TEXT, optional(&details.query_text));
        }
        SiteKind::Job => {
            fields.set(attr::JOB_TYPE, Some(&operation));
            fields.set(attr::JOB_TARGET, target);
            fields.set(attr::JOB_BATCH_SIZE, optional(&details.batch_size));
        }
    }
    fields.set_custom(&details.custom);
    if !site.is_enabled() {
        return tracing::Span::none();
    }
    let span = fields
        .with(|values| match def.parent {
            Parent::Child => tracing::Span::new(site.metadata, values),
            Parent::Link | Parent::Root => tracing::Span::new_root(site.metadata, values),
        })
        .unwrap_or_else(tracing::Span::none);
    if def.parent == Parent::Link {
        link_to_current(&span);
    }
    span
}

/// The `tracing` span's late fields.
fn record_end(site: &'static Site, span: &tracing::Span, end: &End<'_>) {
    if span.is_disabled() {
        return;
    }
    let mut fields = Fields::new(site);
    let error_type = end.outcome.error.as_ref().map(|error| &*error.error_type);
    let status_code = end
        .outcome
        .error
        .as_ref()
        .and_then(|error| error.status_code.as_deref());
    let duration_ms = i64::try_from(end.duration.as_millis()).unwrap_or(i64::MAX);
    if error_type.is_some() {
        fields.set(attr::OTEL_STATUS_CODE, Some(&"ERROR"));
    }
    fields.set(attr::ERROR_TYPE, optional(&error_type));
    match site.def.site_kind {
        SiteKind::Db => {
            fields.set(attr::STATUS_CODE, optional(&status_code));
            fields.set(attr::RETURNED_ROWS, optional(&end.outcome.returned_rows));
            fields.set(attr::AFFECTED_ROWS, optional(&end.outcome.affected_rows));
            fields.set(attr::BATCH_SIZE, optional(&end.outcome.batch_size));
        }
        SiteKind::Job => {
            fields.set(attr::JOB_STATUS, Some(&end.status));
            fields.set(attr::JOB_DURATION_MS, Some(&duration_ms));
            fields.set(attr::JOB_BATCH_SIZE, optional(&end.outcome.batch_size));
        }
    }
    fields.set_custom(end.late);
    fields.with(|values| span.record_all(values));
}

/// How a call ended.
struct End<'a> {
    outcome: &'a Outcome,
    status: &'static str,
    duration: Duration,
    late: &'a [(usize, FieldValue)],
}

/// Links a `tracing` span to the current OpenTelemetry span.
#[cfg(feature = "tracing-opentelemetry")]
fn link_to_current(span: &tracing::Span) {
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let linked = Context::map_current(|cx| cx.span().span_context().clone());
    if linked.is_valid() {
        span.add_link(linked);
    }
}

/// Links a `tracing` span to the current `tracing` span, which layers for OpenTelemetry export as a link.
#[cfg(not(feature = "tracing-opentelemetry"))]
fn link_to_current(span: &tracing::Span) {
    span.follows_from(tracing::Span::current());
}

// ---- being inside a call ----

/// What [`Live::enter`] changed on this thread, to be put back by [`Live::exit`].
#[derive(Debug, Default)]
#[expect(
    clippy::option_option,
    reason = "nothing was replaced, or what was replaced was nothing"
)]
struct Inside {
    context: Option<ContextGuard>,
    unsampled: Option<UnsampledGuard>,
    /// The call that `record!` spoke of before; `Some` where this one took its place.
    outer: Option<Option<Box<Active>>>,
    probe: Option<&'static dyn Probe>,
}

/// The call that `record!` on this thread speaks of.
#[derive(Debug)]
struct Active {
    site: &'static Site,
    values: Vec<(usize, FieldValue)>,
}

thread_local! {
    static ACTIVE: RefCell<Option<Box<Active>>> = const { RefCell::new(None) };
}

/// Records the annotation's own attribute number `index` on the call of `site` that this thread is inside of.
pub fn record(site: &'static Site, index: usize, value: &mut dyn FnMut() -> FieldValue) {
    let is_here = |active: &Option<Box<Active>>| {
        active
            .as_ref()
            .is_some_and(|it| std::ptr::eq(it.site, site))
    };
    if !ACTIVE.with_borrow(is_here) {
        return;
    }
    // The user's code runs outside the borrow: it may make calls of its own.
    let value = value();
    ACTIVE.with_borrow_mut(|active| {
        if let Some(active) = active.as_mut().filter(|it| std::ptr::eq(it.site, site)) {
            active.values.retain(|(known, _)| *known != index);
            active.values.push((index, value));
        }
    });
}

/// A context in which the current span is `identity`.
fn context_of(identity: &Identity) -> Context {
    Context::map_current(|cx| cx.with_remote_span_context(identity.span_context()))
}

impl Live {
    fn site(&self) -> &'static Site {
        self.series.site
    }

    /// Whether what runs between [`Live::enter`] and [`Live::exit`] can tell.
    fn changes_its_thread(&self) -> bool {
        let site = self.site();
        let enters = match &self.mode {
            Mode::Plain => false,
            // What makes no spans need not know that none would be recorded.
            Mode::UnsampledRoot(_) => !site.def.leaf,
            Mode::Recorded(Recorded { more, .. }) => {
                !site.def.leaf
                    || more.as_ref().is_some_and(|more| more.span.is_some())
                    || probe_of(site.def.system).is_some()
            }
        };
        enters || !site.def.custom.is_empty()
    }

    /// Makes this call the current one on this thread. `again` tells whether that happens more than once.
    fn enter(&mut self, inside: &mut Inside, again: bool) {
        let site = self.site();
        let mut active = None;
        match &mut self.mode {
            Mode::Plain => {}
            Mode::UnsampledRoot(trace_id) => {
                inside.unsampled = Some(runtime::enter_unsampled_root(Some(*trace_id)));
                // A linked job's caller may be recorded: what happens in here is none of its children.
                inside.context = Context::map_current(|cx| {
                    cx.has_active_span()
                        .then(|| cx.with_remote_span_context(SpanContext::NONE))
                })
                .map(Context::attach);
            }
            Mode::Recorded(Recorded { identity, more }) => {
                if let Some(identity) = identity.as_ref().filter(|_| !site.def.leaf) {
                    let context = if again {
                        let more = more.get_or_insert_default();
                        more.context
                            .get_or_insert_with(|| context_of(identity))
                            .clone()
                    } else {
                        context_of(identity)
                    };
                    inside.context = Some(context.attach());
                }
                if let Some(span) = more.as_ref().and_then(|more| more.span.as_ref()) {
                    span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                }
                if site.def.leaf && identity.is_some() {
                    inside.probe = probe_of(site.def.system);
                }
                if !site.def.custom.is_empty() {
                    let more = more.get_or_insert_default();
                    let values = std::mem::take(&mut more.side.details.custom);
                    active = Some(Box::new(Active { site, values }));
                }
            }
        }
        if !site.def.custom.is_empty() {
            inside.outer = Some(ACTIVE.replace(active));
        }
        if let Some(probe) = inside.probe {
            probe.begin();
        }
    }

    /// Puts back what [`Live::enter`] changed.
    fn exit(&mut self, inside: &mut Inside) {
        if let (Some(probe), Mode::Recorded(Recorded { more, .. })) =
            (inside.probe.take(), &mut self.mode)
        {
            let probed = &mut more.get_or_insert_default().side.probed;
            probe.end(
                &mut |name, value| match probed.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(value),
                    None => probed.push((name, value)),
                },
            );
        }
        if let Some(outer) = inside.outer.take() {
            let active = ACTIVE.replace(outer);
            if let (
                Some(active),
                Mode::Recorded(Recorded {
                    more: Some(more), ..
                }),
            ) = (active, &mut self.mode)
            {
                more.side.details.custom = active.values;
            }
        }
        if let Mode::Recorded(Recorded {
            more: Some(more), ..
        }) = &self.mode
            && let Some(span) = &more.span
        {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        inside.context = None;
        inside.unsampled = None;
    }

    fn end(&mut self, outcome: &mut Outcome, cancelled: Option<&'static str>) {
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
        let status = match cancelled {
            Some(status) => status,
            None if outcome.error.is_some() => "failed",
            None if outcome.cancelled => "cancelled",
            None if outcome.partial => "partial",
            None => value::JOB_STATUS_SUCCESS,
        };
        runtime.registry.measure(series, duration, outcome, status);
        if site.def.site_kind == SiteKind::Job && series.is_measured() {
            runtime.registry.job_active(site, -1);
        }
        let timing = (started, duration);
        match mode {
            Mode::Recorded(Recorded { identity, more }) => {
                if let Some((more, span)) = more
                    .as_mut()
                    .and_then(|more| more.span.take().map(|span| (more, span)))
                {
                    let late = &more.side.details.custom;
                    record_end(
                        site,
                        &span,
                        &End {
                            outcome,
                            status,
                            duration,
                            late,
                        },
                    );
                }
                if let (Some(identity), Some(recorder)) = (identity.take(), &runtime.recorder) {
                    let side = more.take().map(|more| Box::new(more.side));
                    recorder.push(Record::new(series, identity, timing, status, outcome, side));
                }
            }
            Mode::Plain => report(runtime, series, None, timing, status, outcome),
            Mode::UnsampledRoot(trace_id) => {
                report(runtime, series, Some(*trace_id), timing, status, outcome)
            }
        }
    }

    /// Ends a call that did not come to its finish.
    #[cold]
    fn abandon(&mut self) {
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
                None,
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
                Some("cancelled"),
            );
        }
    }
}

/// Makes an unsampled call visible that was slow or failed.
#[inline]
fn report(
    runtime: &'static Runtime,
    series: &'static Series,
    root: Option<NonZeroU128>,
    (started, duration): (Reading, Duration),
    status: &'static str,
    outcome: &mut Outcome,
) {
    let reports = &runtime.reports;
    let Some(reason) = reports.reason(series.site, duration, outcome) else {
        return;
    };
    runtime.registry.count_unsampled(series, reason.as_str());
    reports.emit((series.site, series), reason, duration, outcome, root);
    if let (true, Some(trace_id), Some(recorder)) = (reports.exports_roots, root, &runtime.recorder)
    {
        recorder.push(Record::new(
            series,
            Identity::root(trace_id),
            (started, duration),
            status,
            outcome,
            None,
        ));
    }
}

impl Call {
    /// Makes this call the current one on this thread until the guard is dropped.
    pub fn scope(&mut self) -> CallScope<'_> {
        let mut inside = Inside::default();
        if let Some(live) = &mut self.0 {
            live.enter(&mut inside, true);
        }
        CallScope { call: self, inside }
    }

    /// Whether something listens, so that the outcome matters.
    pub fn is_live(&self) -> bool {
        self.0.is_some()
    }

    /// Whether what runs inside the call's scope can tell.
    pub(crate) fn changes_its_thread(&self) -> bool {
        self.0.as_ref().is_some_and(Live::changes_its_thread)
    }

    /// Ends the call with what its value says.
    pub fn finish(mut self, mut outcome: Outcome) {
        if let Some(live) = &mut self.0 {
            live.end(&mut outcome, None);
        }
        self.0 = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(live) = &mut self.0 {
            live.abandon();
        }
    }
}

/// Leaves a call's scope when dropped.
#[derive(Debug)]
pub struct CallScope<'a> {
    call: &'a mut Call,
    inside: Inside,
}

impl Drop for CallScope<'_> {
    fn drop(&mut self) {
        if let Some(live) = &mut self.call.0 {
            live.exit(&mut self.inside);
        }
    }
}

/// A synchronous call: entered from its start to its finish.
#[derive(Debug)]
pub struct SyncCall {
    live: Option<Live>,
    /// [`Live::exit`] takes everything out of it, so that dropping a call that nobody listened to is one look at `live`.
    inside: ManuallyDrop<Inside>,
}

/// Starts and enters a call, in its place: a call that nothing listens to is a few instructions.
pub fn enter(
    call: &mut SyncCall,
    site: &'static Site,
    names: Names<'_>,
    details: &mut dyn FnMut(&mut Details),
) {
    let is_watched = site.is_watched();
    if let Some(runtime) = runtime::current().or_else(|| is_watched.then(runtime::layers_only)) {
        listen(&mut call.live, runtime, is_watched, site, names, details);
        if let Some(live) = &mut call.live {
            live.enter(&mut call.inside, false);
        }
    }
}

impl SyncCall {
    /// The place of a call that has not started.
    #[inline]
    pub const fn idle() -> Self {
        let inside = Inside {
            context: None,
            unsampled: None,
            outer: None,
            probe: None,
        };
        Self {
            live: None,
            inside: ManuallyDrop::new(inside),
        }
    }

    /// Whether something listens, so that the outcome matters.
    #[inline]
    pub const fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Ends the call with what its value says.
    pub fn finish(&mut self, mut outcome: Outcome) {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.inside);
            live.end(&mut outcome, None);
        }
        self.live = None;
    }

    /// Leaves the call without ending it: what it returned is still at work.
    pub fn detach(mut self) -> Call {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.inside);
        }
        Call(self.live.take())
    }
}

impl SyncCall {
    #[cold]
    fn abandon(&mut self) {
        if let Some(live) = &mut self.live {
            live.exit(&mut self.inside);
            live.abandon();
        }
    }
}

impl Drop for SyncCall {
    #[inline]
    fn drop(&mut self) {
        if self.live.is_some() {
            self.abandon();
        }
    }
}

pin_project_lite::pin_project! {
    /// A future inside a call: entered whenever it is polled; dropped unfinished, the call ends as cancelled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InCall<F> {
        #[pin]
        future: Option<F>,
        call: Option<Call>,
    }

    impl<F> PinnedDrop for InCall<F> {
        fn drop(this: Pin<&mut Self>) {
            // What the body's locals do when they are dropped still belongs to the call.
            let mut this = this.project();
            let scope = this.call.as_mut().map(Call::scope);
            this.future.set(None);
            drop(scope);
        }
    }
}

/// Runs the body of an asynchronous call. Gives the call back, to be finished with what the value says.
pub fn run<F: Future>(call: Call, future: F) -> InCall<F> {
    InCall {
        future: Some(future),
        call: Some(call),
    }
}

impl<F: Future> Future for InCall<F> {
    type Output = (Call, F::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(call), Some(future)) = (this.call.as_mut(), this.future.as_mut().as_pin_mut())
        else {
            return Poll::Pending;
        };
        let scope = call.scope();
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        drop(scope);
        match (polled, this.call) {
            (Poll::Ready(output), call) => match call.take() {
                Some(call) => Poll::Ready((call, output)),
                None => Poll::Pending,
            },
            (Poll::Pending, _) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
