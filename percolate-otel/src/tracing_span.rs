//! The `tracing` span of a call: for layers of `tracing-subscriber`, among them those of
//! `tracing-opentelemetry`.
//!
//! Its fields are exactly the attributes that the site declares, each in its place.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::TraceContextExt as _;
use tracing_core::field::{Value as TracingValue, ValueSet};

#[cfg(feature = "tracing-opentelemetry")]
use crate::api_span::without_span;
use crate::attributes::{AttributeValue, CallValues};
use crate::call_values::{self, CallEnd, at_start, own_at_end, own_at_start};
use crate::current_context::with_current;
use crate::details::{Details, FieldValue, Names};
use crate::runtime;
use crate::shared_attributes::SharedAttributes;
use crate::site::{Parent, Site, span_name};

/// The most fields a site can have on a `tracing` span; a site with more has none.
const MAX_FIELDS: usize = 64;

/// Returns a span for code that is not annotated: for `tracing` layers only, with the fields of an
/// annotated call.
pub(crate) fn span_by_hand(
    site: &'static Site,
    names: Names<'_>,
    details: &Details,
) -> tracing::Span {
    if !site.is_watched() || runtime::is_suppressed() {
        return tracing::Span::none();
    }
    let name = span_name(site, names, details.query_summary.as_deref());
    let shared = with_current(|cx| SharedAttributes::of(cx).cloned());
    let details = (details, shared.as_ref());
    watched_span(site, (names, &name), Parent::Child, details, false)
}

/// Creates the span of a call that starts now. `span_name` is its name for OpenTelemetry, and
/// `is_unsampled` is whether its parent is not sampled.
pub(crate) fn watched_span(
    site: &'static Site,
    (names, span_name): (Names<'_>, &str),
    parent: Parent,
    (details, shared): (&Details, Option<&SharedAttributes>),
    is_unsampled: bool,
) -> tracing::Span {
    let mut values = at_start(site, names.into()).with_details(details);
    values.span_name = Some(span_name);
    let custom = own_at_start(site, details);
    let span = with_fields(site, &values, custom, |fields| match parent {
        _ if !site.is_enabled(is_unsampled) => tracing::Span::none(),
        Parent::Child => tracing::Span::new(site.metadata, fields),
        Parent::Link | Parent::Root => tracing::Span::new_root(site.metadata, fields),
    });
    let span = span.unwrap_or_else(tracing::Span::none);
    if parent != Parent::Child {
        keep_context(&span);
    }
    if parent == Parent::Link {
        link_to_current(&span);
    }
    if let Some(shared) = shared {
        set_shared(site, &span, shared);
    }
    span
}

/// Checks once, inside the span of a call, whether a layer continues the trace context that was
/// attached. A tracing-opentelemetry layer of another version of OpenTelemetry does not: it has
/// contexts of its own, and nothing else shows it.
#[inline]
pub(crate) fn check_trace_is_continued() {
    if !IS_CHECKED.load(Ordering::Relaxed) {
        check_trace_once();
    }
}

static IS_CHECKED: AtomicBool = AtomicBool::new(false);

#[cold]
fn check_trace_once() {
    let (is_remote, is_local) = with_current(|cx| {
        let span = cx.span();
        let span = span.span_context();
        let is_sampled = span.is_valid() && span.is_sampled();
        (
            is_sampled && span.is_remote(),
            is_sampled && !span.is_remote(),
        )
    });
    // Without a sampled span nothing is known yet.
    let is_first = (is_remote || is_local) && !IS_CHECKED.swap(true, Ordering::Relaxed);
    if !is_first || is_local {
        return;
    }
    tracing::warn!(
        target: "percolate::telemetry",
        "no layer of the `tracing` subscriber continues the trace context that was attached; if \
         tracing-opentelemetry exports the spans, it uses another version of `opentelemetry` than \
         percolate: `attach_trace_context`, `inject`, `carry` and `parent = link` have no effect; \
         run `cargo tree -d` and use one version"
    );
}

/// Records on the span how its call ended.
pub(crate) fn record_end(
    site: &'static Site,
    span: &tracing::Span,
    end: CallEnd<'_>,
    details: &Details,
) {
    if span.is_disabled() {
        return;
    }
    let values = call_values::at_end(end);
    let custom = own_at_end(site, details);
    with_fields(site, &values, custom, |fields| span.record_all(fields));
}

/// Calls `then` with the values of a site's `tracing` fields, each in its place. Returns `None` if the
/// site has too many fields.
fn with_fields<'a, T>(
    site: &'static Site,
    values: &CallValues<'a>,
    custom: impl Iterator<Item = &'a (usize, FieldValue)>,
    then: impl FnOnce(&ValueSet<'_>) -> T,
) -> Option<T> {
    // Most sites have few fields, and all places have to be initialised.
    match site.metadata.fields().len() {
        0..=12 => with_places::<12, _>(site, values, custom, then),
        13..=24 => with_places::<24, _>(site, values, custom, then),
        _ => with_places::<MAX_FIELDS, _>(site, values, custom, then),
    }
}

fn with_places<'a, const PLACES: usize, T>(
    site: &'static Site,
    values: &CallValues<'a>,
    custom: impl Iterator<Item = &'a (usize, FieldValue)>,
    then: impl FnOnce(&ValueSet<'_>) -> T,
) -> Option<T> {
    // The values that there are, in the order of their fields.
    let mut given: [Option<AttributeValue<'a>>; PLACES] = [None; PLACES];
    let mut places = [0; PLACES];
    let mut count = 0;
    call_values::visit(site, u32::MAX, values, custom, |place, _, value| {
        if let (Some(slot), Some(at)) = (given.get_mut(count), places.get_mut(count)) {
            (*slot, *at) = (Some(value), place);
            count += 1;
        }
    });
    let mut references: [Option<&dyn TracingValue>; PLACES] = [None; PLACES];
    for (value, place) in given.iter().flatten().zip(places) {
        if let Some(reference) = references.get_mut(place) {
            *reference = Some(as_tracing(value));
        }
    }
    let fields = site.metadata.fields();
    Some(then(&fields.value_set_all(references.get(..fields.len())?)))
}

fn as_tracing<'v>(value: &'v AttributeValue<'_>) -> &'v dyn TracingValue {
    match value {
        AttributeValue::Static(value) | AttributeValue::Str(value) => value,
        AttributeValue::I64(value) => value,
        AttributeValue::F64(value) => value,
        AttributeValue::Bool(value) => value,
    }
}

/// Sets the attributes of the context. They are no fields of the span, so only a layer for
/// OpenTelemetry has them.
#[cfg(feature = "tracing-opentelemetry")]
fn set_shared(site: &'static Site, span: &tracing::Span, shared: &SharedAttributes) {
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    for attribute in shared.beyond(site.def.custom) {
        span.set_attribute(attribute.key.clone(), attribute.value.clone());
    }
}

/// Without the layer of this version there is nothing that can have attributes without a field.
#[cfg(not(feature = "tracing-opentelemetry"))]
fn set_shared(_: &'static Site, _: &tracing::Span, _: &SharedAttributes) {}

/// Keeps the baggage and the shared attributes inside a root span. The layer makes an empty context
/// current in it otherwise.
#[cfg(feature = "tracing-opentelemetry")]
fn keep_context(span: &tracing::Span) {
    use opentelemetry::baggage::BaggageExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let context = with_current(|cx| {
        let has_values = !cx.baggage().is_empty() || SharedAttributes::of(cx).is_some();
        has_values.then(|| without_span(cx))
    });
    if let Some(context) = context {
        // Without a layer for OpenTelemetry there is no context.
        _ = span.set_parent(context);
    }
}

#[cfg(not(feature = "tracing-opentelemetry"))]
fn keep_context(_: &tracing::Span) {}

/// Links a `tracing` span to the current OpenTelemetry span.
#[cfg(feature = "tracing-opentelemetry")]
fn link_to_current(span: &tracing::Span) {
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let linked = with_current(|cx| cx.span().span_context().clone());
    if linked.is_valid() {
        span.add_link(linked);
    }
}

/// Links a `tracing` span to the current `tracing` span, which layers for OpenTelemetry export as a
/// link.
#[cfg(not(feature = "tracing-opentelemetry"))]
fn link_to_current(span: &tracing::Span) {
    span.follows_from(tracing::Span::current());
}
