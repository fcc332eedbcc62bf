//! What an annotated function runs: enter, gate, finish.
//!
//! [`enter`] (sync) and [`start`] + [`run`] (async) take the static [`Site`] of the function and what was known at
//! entry; [`SyncCall::finish`] and [`Call::finish`] take the [`Outcome`] read from the value. Nothing is formatted or
//! allocated before the gate has answered. A call that is dropped without `finish` ends as a panic or as cancelled.
//! The metric and the span share the same two clock readings and the same attributes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::num::NonZeroU128;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};
use tracing_core::field::Value as TracingValue;

use super::clock::Reading;
use super::conventions as names;
use super::metrics::{Names, Series};
use super::outcome::{ErrorInfo, Outcome};
use super::record::{Record, Side};
use super::runtime::{self, Decision, Runtime, Start, UnsampledGuard};
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
    batch_size: Option<i64>,
    query_text: Option<String>,
    query_summary: Option<String>,
    custom: Vec<(usize, FieldValue)>,
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
#[derive(Debug)]
pub struct Call {
    site: &'static Site,
    runtime: &'static Runtime,
    series: Option<&'static Series>,
    /// `None` when nothing listens, and after the end.
    started: Option<Reading>,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// Nothing is recorded, and nothing is said to the calls inside.
    Plain,
    /// Nothing is recorded of this call and of those inside.
    UnsampledRoot(NonZeroU128),
    /// A span is recorded.
    Recorded(Box<Recorded>),
}

#[derive(Debug)]
struct Recorded {
    /// The identity of the compact record; `None` when only `tracing` layers look.
    start: Option<Start>,
    /// The context with this call as the current span.
    context: Option<Context>,
    span: tracing::Span,
    details: Details,
    /// Names that the series does not hold, because there were too many.
    names: Option<Box<OwnedNames>>,
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
    let runtime = match runtime::current() {
        Some(runtime) => runtime,
        None if is_watched => runtime::layers_only(),
        None => {
            return Call { site, runtime: runtime::layers_only(), series: None, started: None, mode: Mode::Plain };
        }
    };
    let decision = runtime.decide(site);
    if matches!(decision, Decision::Suppressed) {
        return Call { site, runtime, series: None, started: None, mode: Mode::Plain };
    }
    let series = runtime.registry.series(site, names);
    if site.def.site_kind == SiteKind::Job && series.is_measured() {
        runtime.registry.job_active(site, 1);
    }
    let started = Some(Reading::now());
    let mode = match decision {
        Decision::Sampled(identity) => {
            Mode::Recorded(record_start(site, series, names, details, Some(identity), is_watched))
        }
        Decision::Watched if is_watched => Mode::Recorded(record_start(site, series, names, details, None, true)),
        Decision::UnsampledRoot(trace_id) => Mode::UnsampledRoot(trace_id),
        Decision::Watched | Decision::Unsampled | Decision::Suppressed => Mode::Plain,
    };
    Call { site, runtime, series: Some(series), started, mode }
}

fn record_start(
    site: &'static Site,
    series: &'static Series,
    names: Names<'_>,
    details: &mut dyn FnMut(&mut Details),
    identity: Option<Start>,
    is_watched: bool,
) -> Box<Recorded> {
    let mut known = Details::default();
    details(&mut known);
    let span = if is_watched { watched_span(site, site.def.name, names, &known) } else { tracing::Span::none() };
    let context = match &identity {
        Some(identity) if !site.def.leaf => {
            Some(Context::map_current(|cx| cx.with_remote_span_context(identity.context.clone())))
        }
        _ => None,
    };
    let names = series.is_overflow.then(|| {
        Box::new(OwnedNames {
            target: names.target.map(str::to_owned),
            namespace: names.namespace.map(str::to_owned),
            server_address: names.server_address.map(str::to_owned),
        })
    });
    Box::new(Recorded { start: identity, context, span, details: known, names })
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
    watched_span(site, operation, names, &Details { query_text, query_summary, ..Details::default() })
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
        Self { values: [None; MAX_FIELDS], site }
    }

    fn set(&mut self, bit: u32, value: Option<&'a dyn TracingValue>) {
        if let Some(place) = self.site.field_index(bit).and_then(|index| self.values.get_mut(index)) {
            *place = value;
        }
    }

    fn set_custom(&mut self, custom: &'a [(usize, FieldValue)]) {
        for (index, value) in custom {
            if let Some(place) = self.site.custom_index(*index).and_then(|index| self.values.get_mut(index)) {
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

#[expect(clippy::ref_option, reason = "a field's value is a reference to where it is")]
fn optional<T: TracingValue>(value: &Option<T>) -> Option<&dyn TracingValue> {
    value.as_ref().map(|value| value as &dyn TracingValue)
}

fn watched_span(site: &'static Site, operation: &'static str, names: Names<'_>, details: &Details) -> tracing::Span {
    let def = site.def;
    let name = span_name(site, operation, names.target, details.query_summary.as_deref());
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
    let span = fields
        .with(|values| match def.parent {
            Parent::Child => tracing::Span::new(site.metadata, values),
            Parent::Link | Parent::Root => tracing::Span::new_root(site.metadata, values),
        })
        .unwrap_or_else(tracing::Span::none);
    if def.parent == Parent::Link {
        use tracing_opentelemetry::OpenTelemetrySpanExt as _;
        let linked = Context::map_current(|cx| cx.span().span_context().clone());
        if linked.is_valid() {
            span.add_link(linked);
        }
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
    let status_code = end.outcome.error.as_ref().and_then(|error| error.status_code.as_deref());
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

// ---- being inside a call ----

/// What [`Call::enter`] changed on this thread, to be put back by [`Call::exit`].
#[derive(Debug, Default)]
struct Inside {
    context: Option<ContextGuard>,
    unsampled: Option<UnsampledGuard>,
    outer: Option<Active>,
    is_active: bool,
}

/// The call that `record!` on this thread speaks of.
#[derive(Debug)]
struct Active {
    site: &'static Site,
    is_recorded: bool,
    values: Vec<(usize, FieldValue)>,
}

thread_local! {
    static ACTIVE: RefCell<Option<Active>> = const { RefCell::new(None) };
}

/// Records the annotation's own attribute number `index` on the call of `site` that this thread is inside of.
pub fn record(site: &'static Site, index: usize, value: &mut dyn FnMut() -> FieldValue) {
    let is_recorded = ACTIVE.with_borrow(|active| {
        active.as_ref().is_some_and(|active| active.is_recorded && std::ptr::eq(active.site, site))
    });
    if is_recorded {
        let value = value();
        ACTIVE.with_borrow_mut(|active| {
            if let Some(active) = active {
                active.values.retain(|(known, _)| *known != index);
                active.values.push((index, value));
            }
        });
    }
}

impl Call {
    /// Makes this call the current one on this thread.
    fn enter(&mut self) -> Inside {
        let mut inside = Inside::default();
        if self.started.is_none() {
            return inside;
        }
        let mut late = Vec::new();
        match &mut self.mode {
            Mode::Plain => {}
            Mode::UnsampledRoot(trace_id) => {
                inside.unsampled = Some(runtime::enter_unsampled_root(Some(*trace_id)));
                // A linked job's caller may be recorded: what happens in here is none of its children.
                inside.context = Context::map_current(|cx| {
                    cx.has_active_span().then(|| cx.with_remote_span_context(SpanContext::NONE))
                })
                .map(Context::attach);
            }
            Mode::Recorded(recorded) => {
                inside.context = recorded.context.clone().map(Context::attach);
                recorded.span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                late = std::mem::take(&mut recorded.details.custom);
            }
        }
        if !self.site.def.custom.is_empty() {
            let is_recorded = matches!(self.mode, Mode::Recorded(_));
            inside.outer = ACTIVE.replace(Some(Active { site: self.site, is_recorded, values: late }));
            inside.is_active = true;
        }
        inside
    }

    /// Puts back what [`Call::enter`] changed.
    fn exit(&mut self, mut inside: Inside) {
        if inside.is_active {
            let active = ACTIVE.replace(inside.outer.take());
            if let (Some(active), Mode::Recorded(recorded)) = (active, &mut self.mode) {
                recorded.details.custom = active.values;
            }
        }
        if let Mode::Recorded(recorded) = &self.mode {
            recorded.span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        drop(inside);
    }

    /// Makes this call the current one on this thread until the guard is dropped.
    pub fn scope(&mut self) -> CallScope<'_> {
        let inside = Some(self.enter());
        CallScope { call: self, inside }
    }

    /// Ends the call with what its value says.
    pub fn finish(mut self, outcome: Outcome) {
        self.end(outcome, None);
    }

    fn end(&mut self, mut outcome: Outcome, cancelled: Option<&'static str>) {
        let Some(started) = self.started.take() else { return };
        let duration = started.elapsed();
        if !self.runtime.returned_rows {
            outcome.returned_rows = None;
        }
        let status = match cancelled {
            Some(status) => status,
            None if outcome.error.is_some() => "failed",
            None if outcome.partial => "partial",
            None => "success",
        };
        if let Some(series) = self.series {
            self.runtime.registry.measure(series, duration.as_secs_f64(), &outcome, status);
            if self.site.def.site_kind == SiteKind::Job && series.is_measured() {
                self.runtime.registry.job_active(self.site, -1);
            }
        }
        let recorded = match std::mem::replace(&mut self.mode, Mode::Plain) {
            Mode::Recorded(recorded) => recorded,
            Mode::Plain => return self.report(None, (started, duration), status, outcome),
            Mode::UnsampledRoot(trace_id) => return self.report(Some(trace_id), (started, duration), status, outcome),
        };
        let Recorded { start, context, span, details, names, .. } = *recorded;
        record_end(self.site, &span, &End { outcome: &outcome, status, duration, late: &details.custom });
        drop(span);
        drop(context);
        let (Some(start), Some(recorder), Some(series)) = (start, &self.runtime.recorder, self.series) else { return };
        recorder.push(Record::new(
            self.site,
            series,
            start,
            (started, duration),
            status,
            outcome,
            details.into(),
            names,
        ));
    }

    /// Makes an unsampled call visible that was slow or failed.
    fn report(
        &self,
        root: Option<NonZeroU128>,
        (started, duration): (Reading, Duration),
        status: &'static str,
        outcome: Outcome,
    ) {
        let reports = &self.runtime.reports;
        let Some(reason) = reports.reason(self.site, duration, &outcome) else { return };
        let Some(series) = self.series else { return };
        self.runtime.registry.count_unsampled(series, reason.as_str());
        reports.emit((self.site, series), reason, duration, &outcome, root);
        if let (true, Some(trace_id), Some(recorder)) = (reports.exports_roots, root, &self.runtime.recorder) {
            let start = Start::root(trace_id, None);
            let timing = (started, duration);
            recorder.push(Record::new(self.site, series, start, timing, status, outcome, Side::default(), None));
        }
    }

    /// Ends a call that did not come to its finish.
    fn abandon(&mut self) {
        if self.started.is_none() {
            return;
        }
        let is_job = self.site.def.site_kind == SiteKind::Job;
        let failure = |error_type| Some(ErrorInfo { error_type: Cow::Borrowed(error_type), status_code: None });
        if std::thread::panicking() {
            self.end(Outcome { error: failure(names::ERROR_TYPE_PANIC), ..Outcome::default() }, None);
        } else {
            let error = if is_job { None } else { failure(names::ERROR_TYPE_CANCELLED) };
            self.end(Outcome { error, ..Outcome::default() }, Some("cancelled"));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Leaves a call's scope when dropped.
#[derive(Debug)]
pub struct CallScope<'a> {
    call: &'a mut Call,
    inside: Option<Inside>,
}

impl Drop for CallScope<'_> {
    fn drop(&mut self) {
        if let Some(inside) = self.inside.take() {
            self.call.exit(inside);
        }
    }
}

/// A synchronous call: entered from its start to its finish.
#[derive(Debug)]
pub struct SyncCall {
    inside: Option<Inside>,
    call: Call,
}

/// Starts and enters a call.
pub fn enter(site: &'static Site, names: Names<'_>, details: &mut dyn FnMut(&mut Details)) -> SyncCall {
    let mut call = start(site, names, details);
    let inside = Some(call.enter());
    SyncCall { inside, call }
}

impl SyncCall {
    /// Ends the call with what its value says.
    pub fn finish(mut self, outcome: Outcome) {
        self.leave();
        self.call.end(outcome, None);
    }

    /// Leaves the call without ending it: what it returned is still at work.
    pub fn detach(mut self) -> Call {
        self.leave();
        let Call { site, runtime, series, .. } = self.call;
        let mode = std::mem::replace(&mut self.call.mode, Mode::Plain);
        Call { site, runtime, series, started: self.call.started.take(), mode }
    }

    fn leave(&mut self) {
        if let Some(inside) = self.inside.take() {
            self.call.exit(inside);
        }
    }
}

impl Drop for SyncCall {
    fn drop(&mut self) {
        self.leave();
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
    InCall { future: Some(future), call: Some(call) }
}

impl<F: Future> Future for InCall<F> {
    type Output = (Call, F::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(call), Some(future)) = (this.call.as_mut(), this.future.as_mut().as_pin_mut()) else {
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

impl From<Details> for Side {
    fn from(details: Details) -> Self {
        Self {
            batch_size: details.batch_size,
            query_text: details.query_text,
            query_summary: details.query_summary,
            custom: details.custom,
        }
    }
}

#[cfg(test)]
mod tests;
