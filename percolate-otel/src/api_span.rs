//! The span of a call through the OpenTelemetry API: for programs that set a global tracer
//! provider, and have neither percolate's runtime nor a `tracing` layer that is interested in the
//! call.
//!
//! The provider samples. The span has the attributes of the start when its sampler sees it.

use std::time::SystemTime;

use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};

use crate::attributes::ON_SPANS;
use crate::call_values::{self, CallEnd, at_end, at_start, own_at_end, own_at_start};
use crate::current_context;
use crate::details::{Details, Names};
use crate::metrics::scope;
use crate::own_providers::foreign;
use crate::record::RecordExtras;
use crate::series::Series;
use crate::shared_attributes::SharedAttributes;
use crate::site::{Kind, Parent, Site};

/// A span that has started.
#[derive(Debug)]
pub(crate) struct ApiSpan {
    /// The context with the span.
    context: Context,
    started: SystemTime,
}

impl ApiSpan {
    /// Starts the span of a call. Returns `None` if the provider was shut down.
    pub(crate) fn start(
        tracer: &BoxedTracer,
        (series, names): (&'static Series, Names<'_>),
        parent: Parent,
        (details, shared): (&Details, Option<&SharedAttributes>),
    ) -> Option<Self> {
        let (site, summary) = (series.site, details.query_summary.as_deref());
        let values = at_start(site, names.into()).with_details(details);
        let mut attributes = Vec::with_capacity(10);
        let custom = own_at_start(site, details);
        call_values::collect(site, ON_SPANS, &values, custom, &mut attributes);
        if let Some(shared) = shared {
            shared.add_to(site.def.custom, &mut attributes);
        }
        let started = SystemTime::now();
        let mut builder = SpanBuilder::from_name(series.span_name(names, summary))
            .with_kind(match site.def.kind {
                Kind::Client => SpanKind::Client,
                Kind::Internal => SpanKind::Internal,
            })
            .with_start_time(started)
            .with_attributes(attributes);
        let current = current_context::current();
        if parent == Parent::Link {
            let caller = current.span().span_context().clone();
            let links = caller.is_valid().then(|| Link::with_context(caller));
            builder = builder.with_links(links.into_iter().collect());
        }
        let span = match parent {
            Parent::Child => tracer.build_with_context(builder, &current),
            Parent::Link | Parent::Root => {
                tracer.build_with_context(builder, &without_span(&current))
            }
        };
        let context = current.with_span(span);
        let is_valid = context.span().span_context().is_valid();
        is_valid.then_some(Self { context, started })
    }

    /// The context in which this span is the current one.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Ends the span.
    pub(crate) fn end(self, site: &'static Site, end: CallEnd<'_>, extras: &RecordExtras) {
        let span = self.context.span();
        if span.is_recording() {
            let mut attributes = Vec::with_capacity(4 + extras.details.custom.len());
            let custom = own_at_end(site, &extras.details);
            call_values::collect(site, ON_SPANS, &at_end(end), custom, &mut attributes);
            let probed = extras.probed.counts.iter();
            attributes.extend(probed.map(|(name, value)| KeyValue::new(*name, *value)));
            span.set_attributes(attributes);
            if end.error.is_some() {
                span.set_status(Status::error(""));
            }
        }
        span.end_with_timestamp(self.started + end.duration());
    }
}

/// A context with the baggage and the shared attributes of `current`, and no span. Samplers take an
/// invalid span for a parent that refused.
pub(crate) fn without_span(current: &Context) -> Context {
    let context = SharedAttributes::only(current);
    let baggage = current.baggage();
    if baggage.is_empty() {
        return context;
    }
    context.with_baggage(baggage.iter().map(|(key, (value, metadata))| {
        KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
    }))
}

/// Returns percolate's tracer of the global tracer provider, unless it is the no-op provider, which
/// is the default, or that of a pipeline.
///
/// This starts a span, because a provider has no other visible property: in a context in which
/// telemetry is suppressed, the no-op tracer returns the ids of the parent, and a real one does
/// not. The span is never recorded.
pub(crate) fn find_tracer() -> Option<BoxedTracer> {
    let tracer = foreign(|| global::tracer_with_scope(scope()))?;
    let parent = SpanContext::new(
        1_u128.into(),
        1_u64.into(),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    );
    let context = Context::new()
        .with_telemetry_suppressed()
        .with_remote_span_context(parent.clone());
    let span = tracer.build_with_context(SpanBuilder::from_name(""), &context);
    (*span.span_context() != parent).then_some(tracer)
}
