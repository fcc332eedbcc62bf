//! The layer for the `tracing` spans and events of other crates: a tracing-opentelemetry layer and
//! a log bridge whose tracer and logger are set when the pipeline is installed, before or after the
//! subscriber. Annotated calls do not pass here; they reach the same processors as records.
//! Invariant: nothing is exported twice, and nothing before the installation.

use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use opentelemetry::trace::{
    Event, Span as _, SpanBuilder, TraceContextExt as _, Tracer, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{self, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::diagnostics::TELEMETRY_TARGET;
use super::logs::PipelineLogger;
use crate::call_events;
use crate::conventions::target;
use crate::current_context::with_current;
use crate::layer::ConventionLayer;
use crate::runtime;

/// The tracer and logger of a pipeline, shared with its layers. Empty before the installation and
/// after the shutdown.
#[derive(Debug, Default)]
pub(super) struct PipelineSlot {
    tracer: ArcSwapOption<SdkTracer>,
    logger: PipelineLogger,
}

impl PipelineSlot {
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

/// Returns the tracer for the spans of other crates.
pub(super) fn tracer(provider: &SdkTracerProvider) -> SdkTracer {
    provider.tracer("tracing")
}

/// Returns the slot of the installed pipeline.
pub(super) fn installed_slot() -> Arc<PipelineSlot> {
    static INSTALLED: LazyLock<Arc<PipelineSlot>> = LazyLock::new(Arc::default);
    Arc::clone(&INSTALLED)
}

/// The tracer of a layer: that of its slot.
#[derive(Debug, Clone)]
struct PipelineTracer(Arc<PipelineSlot>);

impl Tracer for PipelineTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> Self::Span {
        let tracer = self.0.tracer.load();
        let Some(tracer) = &*tracer else {
            return without_ids();
        };
        let span = tracer.build_with_context(builder, parent_cx);
        // A span that is not sampled has an id of its own, which outgoing headers name as their
        // parent. Below an unsampled root they take the ids of the root.
        let is_below_root = !span.is_recording()
            && !parent_cx.has_active_span()
            && runtime::unsampled_root().is_some();
        if is_below_root { without_ids() } else { span }
    }
}

/// Returns a span without ids that records nothing.
fn without_ids() -> Span {
    static NOTHING: LazyLock<SdkTracer> = LazyLock::new(|| {
        let provider = SdkTracerProvider::builder().build();
        // A provider without processors cannot fail to shut down.
        _ = provider.shutdown();
        provider.tracer("")
    });
    NOTHING.build_with_context(SpanBuilder::default(), &Context::new())
}

/// Admits the spans of other crates up to a level, after the installation, and the events whose
/// span is one of them.
///
/// tracing-opentelemetry adds an event to the innermost `tracing` span. Inside an annotated call,
/// which is not a `tracing` span here, that is the span of a caller.
#[derive(Debug, Clone)]
struct PipelineFilter {
    slot: Arc<PipelineSlot>,
    level: LevelFilter,
}

impl PipelineFilter {
    fn admits(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && !is_ours(metadata.target())
    }
}

/// Whether this is the target of annotated calls or of the pipeline's messages.
fn is_ours(target: &str) -> bool {
    [target::DB, target::JOB, TELEMETRY_TARGET].contains(&target)
}

impl<S> Filter<S> for PipelineFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.admits(metadata)
            && self.slot.tracer.load().is_some()
            && with_current(|cx| {
                !cx.is_telemetry_suppressed() && (metadata.is_span() || cx.span().is_recording())
            })
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.admits(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// Admits events up to a level, if the pipeline exports logs.
#[derive(Debug, Clone)]
struct LogFilter {
    slot: Arc<PipelineSlot>,
    level: LevelFilter,
}

impl LogFilter {
    fn admits(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= self.level
            && metadata.target() != TELEMETRY_TARGET
    }
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.admits(metadata) && !self.slot.logger.is_empty()
    }

    /// Installation and shutdown rebuild the interest cache.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.admits(metadata) && !self.slot.logger.is_empty() {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// Returns a layer over a slot. The attributes that tracing-opentelemetry adds by default are off:
/// the conventions define none of them for these spans, and two are deprecated.
pub(super) fn layer<S>(slot: Arc<PipelineSlot>, level: LevelFilter) -> impl Layer<S> + use<S>
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
    let calls = CallEventLayer.with_filter(call_event_filter(level));
    logs.and_then(spans).and_then(calls)
}

/// Adds events to the annotated call around them, in pipelines with `span_events`.
#[derive(Debug)]
struct CallEventLayer;

impl<S: Subscriber> Layer<S> for CallEventLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        call_events::add(|| {
            let metadata = event.metadata();
            let mut visitor = EventVisitor {
                message: None,
                attributes: vec![
                    KeyValue::new("level", metadata.level().as_str()),
                    KeyValue::new("target", metadata.target().to_owned()),
                ],
            };
            event.record(&mut visitor);
            let name = visitor
                .message
                .unwrap_or_else(|| metadata.name().to_owned());
            Event::new(name, SystemTime::now(), visitor.attributes, 0)
        });
    }
}

/// Admits events up to a level whose span is not a `tracing` span.
fn call_event_filter<S>(level: LevelFilter) -> impl Filter<S> {
    let admits = move |metadata: &Metadata<'_>| {
        metadata.is_event() && *metadata.level() <= level && !is_ours(metadata.target())
    };
    let enabled = move |metadata: &Metadata<'_>, _: &layer::Context<'_, S>| {
        admits(metadata)
            && call_events::is_collecting()
            && with_current(|cx| !cx.span().is_recording())
    };
    dynamic_filter_fn(enabled)
        .with_max_level_hint(level)
        .with_callsite_filter(move |metadata| {
            if admits(metadata) {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        })
}

/// Reads an event as tracing-opentelemetry does: its message is the name, its fields are attributes.
struct EventVisitor {
    message: Option<String>,
    attributes: Vec<KeyValue>,
}

impl EventVisitor {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Visit for EventVisitor {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(value.to_owned());
        } else {
            self.put(field, value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = Some(format!("{value:?}"));
        } else {
            self.put(field, format!("{value:?}"));
        }
    }
}

/// Whether the current subscriber has a layer over this slot.
pub(super) fn is_in_subscriber(slot: &Arc<PipelineSlot>) -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch
            .downcast_ref::<PipelineFilter>()
            .is_some_and(|filter| Arc::ptr_eq(&filter.slot, slot))
    })
}

/// Whether spans of this thread reach a subscriber. `tracing::dispatcher::has_been_set` is also
/// true after any thread, such as an exporter's, has set an empty dispatcher for itself.
pub(super) fn has_subscriber() -> bool {
    tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}

/// Installs a `tracing` subscriber if the process has none: the layer, the convention check if there
/// is one, and events up to `level` on stderr.
pub(super) fn install_subscriber(
    slot: &Arc<PipelineSlot>,
    level: LevelFilter,
    conventions: Option<&ConventionLayer>,
) -> bool {
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
        .with(conventions.map(ConventionLayer::layer))
        .with(messages);
    tracing::subscriber::set_global_default(subscriber).is_ok()
}

#[cfg(test)]
mod tests;
