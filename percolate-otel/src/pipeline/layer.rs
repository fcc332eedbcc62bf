//! Other people's `tracing` spans in the same pipeline: a tracing-opentelemetry layer that finds its tracer when the
//! pipeline is installed, before or after the subscriber; and events as log records, likewise. percolate's own calls do
//! not pass here; they reach the same processors as records. Invariant: nothing is exported twice, and nothing at all
//! before installation.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use opentelemetry::Context;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, TraceContextExt as _, TraceId, Tracer,
    TracerProvider as _,
};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{self, Filter, Layer as _};
use tracing_subscriber::registry::LookupSpan;

use super::logs::{LogBridge, PipelineLogger};
use crate::conventions::target;
use crate::runtime;

/// The layer that serves other people's `tracing` spans and events, for a subscriber of type `S`.
pub type TelemetryLayer<S> = layer::Layered<SpanLayer<S>, Filtered<LogBridge, LogFilter, S>, S>;

/// The part of a [`TelemetryLayer`] that serves spans.
pub type SpanLayer<S> = Filtered<OpenTelemetryLayer<S, PipelineTracer>, PipelineFilter, S>;

/// Where a layer finds the tracer of its pipeline.
#[derive(Debug, Default)]
pub(super) struct Slot {
    tracer: ArcSwapOption<SdkTracer>,
    logger: PipelineLogger,
}

impl Slot {
    pub(super) fn fill(&self, tracer: SdkTracer, logs: Option<&SdkLoggerProvider>) {
        self.tracer.store(Some(Arc::new(tracer)));
        if let Some(logs) = logs {
            self.logger.fill(logs);
        }
        tracing::callsite::rebuild_interest_cache();
    }

    pub(super) fn empty(&self) {
        self.tracer.store(None);
        self.logger.empty();
        tracing::callsite::rebuild_interest_cache();
    }
}

/// The tracer for other people's spans.
pub(super) fn tracer(provider: &SdkTracerProvider) -> SdkTracer {
    provider.tracer("tracing")
}

/// The slot of the installed pipeline.
pub(super) fn installed_slot() -> Arc<Slot> {
    static INSTALLED: LazyLock<Arc<Slot>> = LazyLock::new(Arc::default);
    Arc::clone(&INSTALLED)
}

/// The tracer of whichever pipeline a [`TelemetryLayer`] belongs to.
#[derive(Debug, Clone)]
pub struct PipelineTracer(Arc<Slot>);

impl Tracer for PipelineTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> Self::Span {
        let tracer = self.0.tracer.load();
        let Some(tracer) = &*tracer else {
            return without_ids();
        };
        let span = tracer.build_with_context(builder, parent_cx);
        if span.is_recording() {
            return span;
        }
        // The SDK gives a span that it refuses ids of its own, which nobody will ever see: headers that go out would
        // name a parent that does not exist. What is not recorded does not come between.
        let parent = parent_cx.span().span_context().clone();
        if parent.is_valid() {
            with_ids_of(&parent, parent_cx)
        } else if runtime::unsampled_root().is_some() {
            without_ids()
        } else {
            span
        }
    }
}

/// A span without ids that records nothing.
fn without_ids() -> Span {
    static NOTHING: LazyLock<SdkTracer> = LazyLock::new(|| {
        let provider = SdkTracerProvider::builder().build();
        // It has no processors: there is nothing that could fail.
        _ = provider.shutdown();
        provider.tracer("")
    });
    NOTHING.build_with_context(SpanBuilder::default(), &Context::new())
}

/// A span that records nothing and stands for its parent.
fn with_ids_of(parent: &SpanContext, parent_cx: &Context) -> Span {
    static STAND_IN: LazyLock<SdkTracer> = LazyLock::new(|| {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOff)
            .with_id_generator(ParentsId);
        provider.build().tracer("")
    });
    PARENT.set(parent.span_id());
    STAND_IN.build_with_context(SpanBuilder::default(), parent_cx)
}

thread_local! {
    /// The span id that [`ParentsId`] gives out.
    static PARENT: Cell<SpanId> = const { Cell::new(SpanId::INVALID) };
}

/// Gives a span its parent's id; the SDK itself takes the parent's trace id.
#[derive(Debug)]
struct ParentsId;

impl IdGenerator for ParentsId {
    fn new_trace_id(&self) -> TraceId {
        TraceId::INVALID
    }

    fn new_span_id(&self) -> SpanId {
        PARENT.get()
    }
}

/// What a [`TelemetryLayer`] leaves to others: percolate's own targets, everything before installation, and what is
/// more detailed than its level.
#[derive(Debug, Clone)]
pub struct PipelineFilter {
    slot: Arc<Slot>,
    level: LevelFilter,
}

impl PipelineFilter {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && !is_ours(metadata.target())
    }
}

/// percolate's calls, and what the pipeline says about itself.
fn is_ours(target: &str) -> bool {
    [target::DB, target::JOB, super::TELEMETRY_TARGET].contains(&target)
}

impl<S> Filter<S> for PipelineFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.wants(metadata)
            && self.slot.tracer.load().is_some()
            && !Context::map_current(Context::is_telemetry_suppressed)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// Which events become log records: those up to the level, where logs are exported at all.
#[derive(Debug, Clone)]
pub struct LogFilter {
    slot: Arc<Slot>,
    level: LevelFilter,
}

impl LogFilter {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= self.level
            && metadata.target() != super::TELEMETRY_TARGET
    }
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.wants(metadata) && !self.slot.logger.is_empty()
    }

    /// Installing and shutting down ask again.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) && !self.slot.logger.is_empty() {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// The layer over a slot. The attributes tracing-opentelemetry adds on its own are off: none of them belongs to the
/// conventions of the spans they would be put on, and two of them are deprecated.
pub(super) fn layer<S>(slot: Arc<Slot>, level: LevelFilter) -> TelemetryLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let logs = slot.logger.bridge().with_filter(LogFilter {
        slot: Arc::clone(&slot),
        level,
    });
    let spans = OpenTelemetryLayer::new(PipelineTracer(Arc::clone(&slot)))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(PipelineFilter { slot, level });
    logs.and_then(spans)
}

/// Whether the current subscriber has a layer of this slot.
pub(super) fn is_in_subscriber(slot: &Arc<Slot>) -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch
            .downcast_ref::<PipelineFilter>()
            .is_some_and(|filter| Arc::ptr_eq(&filter.slot, slot))
    })
}

/// Whether spans of this thread reach a subscriber. `tracing::dispatcher::has_been_set` does not tell: it says so too
/// once any thread, such as one of an exporter, has silenced itself.
pub(super) fn has_subscriber() -> bool {
    tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}

/// Becomes the process's subscriber, if there is none: the layer, and events of the level and above on stderr.
pub(super) fn install_subscriber(slot: &Arc<Slot>, level: LevelFilter) -> bool {
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt as _;
    if has_subscriber() {
        return false;
    }
    let events = filter_fn(move |metadata| metadata.is_event() && *metadata.level() <= level);
    let messages = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_filter(events.with_max_level_hint(level));
    let subscriber = tracing_subscriber::registry()
        .with(layer(Arc::clone(slot), LevelFilter::INFO))
        .with(messages);
    tracing::subscriber::set_global_default(subscriber).is_ok()
}
