//! The compared settings: what each installs in its process, and which variant of the call it
//! measures.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::{
    Sampler as SdkSampler, SdkTracer, SdkTracerProvider, SpanProcessor,
};
use percolate_core::otel::ConventionLayer;
use percolate_core::otel::layer::SampledSpans;
use percolate_core::otel::runtime::{
    self, MeterProviderHandle, OwnAggregation, Runtime, RuntimeConfig, Sampler,
};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::Failed;
use crate::calls::Way;
use crate::export::{Counted, batched, meters};

/// The timeout of a flush.
const PATIENCE: Duration = Duration::from_mins(1);

/// A row of the results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    install: fn() -> Result<Installed, Failed>,
    /// The parent of the calls.
    pub(crate) around: Around,
    /// The share of sampled calls.
    pub(crate) spans: Spans,
}

/// The parent of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// No parent: every call starts a trace.
    Nothing,
    /// A remote parent with these flags, for the whole batch.
    Parent(TraceFlags),
    /// A root span of fastrace, for every hundred calls.
    #[cfg(feature = "fastrace")]
    FastraceRoot,
}

/// The number of spans of a batch of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spans {
    None,
    OnePercent,
    All,
}

/// Waits until all spans are exported.
pub(crate) type Flush = Box<dyn Fn() -> Result<(), Failed> + Send + Sync>;

/// An installed setting.
pub(crate) struct Installed {
    pub(crate) spans: Counted,
    flush: Flush,
}

impl Installed {
    fn nothing() -> Self {
        Self {
            spans: Counted::default(),
            flush: Box::new(|| Ok(())),
        }
    }

    /// Waits until all spans are exported.
    pub(crate) fn flush(&self) -> Result<(), Failed> {
        (self.flush)()
    }
}

/// All settings, in the order of the table.
pub(crate) fn all() -> Vec<Setting> {
    let setting = |name, way, install, spans| Setting {
        name,
        way,
        install,
        around: Around::Nothing,
        spans,
    };
    let unsampled = Around::Parent(TraceFlags::default());
    let sampled = Around::Parent(TraceFlags::SAMPLED);
    vec![
        setting("bare", Way::Bare, nothing, Spans::None),
        setting(
            "percolate_nothing_installed",
            Way::Percolate,
            nothing,
            Spans::None,
        ),
        Setting {
            around: unsampled,
            ..setting(
                "percolate_unsampled_parent",
                Way::Percolate,
                percolate,
                Spans::None,
            )
        },
        Setting {
            around: unsampled,
            ..setting(
                "percolate_unsampled_parent_no_rows",
                Way::Percolate,
                percolate_without_rows,
                Spans::None,
            )
        },
        Setting {
            around: unsampled,
            ..setting(
                "percolate_unsampled_parent_sdk_histograms",
                Way::Percolate,
                percolate_with_sdk_histograms,
                Spans::None,
            )
        },
        setting(
            "percolate_1pct",
            Way::Percolate,
            percolate_1pct,
            Spans::OnePercent,
        ),
        setting("percolate_100pct", Way::Percolate, percolate, Spans::All),
        Setting {
            around: sampled,
            ..setting(
                "percolate_100pct_in_parent",
                Way::Percolate,
                percolate,
                Spans::All,
            )
        },
        setting(
            "percolate_100pct_leaf",
            Way::PercolateLeaf,
            percolate,
            Spans::All,
        ),
        setting(
            "percolate_100pct_with_layer",
            Way::Percolate,
            percolate_with_layer,
            Spans::All,
        ),
        setting(
            "percolate_foreign_setup_100pct",
            Way::Percolate,
            foreign_setup,
            Spans::All,
        ),
        setting(
            "percolate_foreign_setup_100pct_lean",
            Way::Percolate,
            foreign_setup_lean,
            Spans::All,
        ),
        Setting {
            around: unsampled,
            ..setting(
                "percolate_foreign_setup_unsampled_parent",
                Way::Percolate,
                foreign_setup_filtered,
                Spans::None,
            )
        },
        setting(
            "instrument_nothing_installed",
            Way::Instrument,
            nothing,
            Spans::None,
        ),
        setting(
            "instrument_otel_1pct",
            Way::Instrument,
            tracing_otel_1pct,
            Spans::OnePercent,
        ),
        setting(
            "instrument_otel_100pct",
            Way::Instrument,
            tracing_otel,
            Spans::All,
        ),
        setting(
            "instrument_otel_100pct_lean",
            Way::Instrument,
            tracing_otel_lean,
            Spans::All,
        ),
        setting("otel_sdk_1pct", Way::Sdk, sdk_1pct, Spans::OnePercent),
        setting("otel_sdk_100pct", Way::Sdk, sdk, Spans::All),
        setting(
            "otel_sdk_100pct_context_metric",
            Way::SdkFull,
            sdk,
            Spans::All,
        ),
        #[cfg(feature = "fastrace")]
        Setting {
            around: Around::FastraceRoot,
            ..setting(
                "fastrace_100pct",
                Way::Fastrace,
                of_fastrace::fastrace,
                Spans::All,
            )
        },
        #[cfg(feature = "autometrics")]
        setting("autometrics", Way::Autometrics, nothing, Spans::None),
    ]
}

/// The setting called `name`.
pub(crate) fn named(name: &str) -> Result<Setting, Failed> {
    all()
        .into_iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| format!("unknown setting `{name}`").into())
}

impl Setting {
    pub(crate) fn install(&self) -> Result<Installed, Failed> {
        (self.install)()
    }
}

impl Around {
    /// Runs `calls` for 0 to `count`, in pieces.
    pub(crate) fn run(self, count: usize, calls: &mut dyn FnMut(Range<usize>)) {
        match self {
            Self::Nothing => calls(0..count),
            Self::Parent(flags) => {
                let parent = SpanContext::new(
                    TraceId::from(7_u128),
                    SpanId::from(9_u64),
                    flags,
                    true,
                    TraceState::default(),
                );
                let _current = Context::current().with_remote_span_context(parent).attach();
                calls(0..count);
            }
            #[cfg(feature = "fastrace")]
            Self::FastraceRoot => {
                for start in (0..count).step_by(100) {
                    let root =
                        fastrace::Span::root("request", fastrace::prelude::SpanContext::random());
                    let _current = root.set_local_parent();
                    calls(start..count.min(start + 100));
                }
            }
        }
    }
}

// ---- installation ----

#[expect(clippy::unnecessary_wraps, reason = "one of several ways to install")]
fn nothing() -> Result<Installed, Failed> {
    Ok(Installed::nothing())
}

fn percolate() -> Result<Installed, Failed> {
    percolate_sampling(Sampler::default())
}

fn percolate_1pct() -> Result<Installed, Failed> {
    percolate_sampling(Sampler::ParentBased(Box::new(Sampler::TraceIdRatio(0.01))))
}

/// Installs percolate as its pipeline does by default.
fn percolate_sampling(sampler: Sampler) -> Result<Installed, Failed> {
    percolate_with(RuntimeConfig {
        sampler,
        own_aggregation: Some(OwnAggregation::default()),
        ..RuntimeConfig::default()
    })
}

/// Installs percolate as its pipeline does for a metric exporter of the application.
fn percolate_with_sdk_histograms() -> Result<Installed, Failed> {
    percolate_with(RuntimeConfig::default())
}

fn percolate_with(config: RuntimeConfig) -> Result<Installed, Failed> {
    let spans = Counted::default();
    let flush = percolate_to(config, Arc::new(batched(spans.clone())))?;
    Ok(Installed { spans, flush })
}

/// Records only the histogram of durations.
fn percolate_without_rows() -> Result<Installed, Failed> {
    let spans = Counted::default();
    let config = RuntimeConfig {
        returned_rows: false,
        own_aggregation: Some(OwnAggregation::default()),
        ..RuntimeConfig::default()
    };
    let flush = percolate_to(config, Arc::new(batched(spans.clone())))?;
    Ok(Installed { spans, flush })
}

/// Installs percolate's runtime with exact metrics and returns its flush.
pub(crate) fn percolate_to(
    config: RuntimeConfig,
    processor: Arc<dyn SpanProcessor>,
) -> Result<Flush, Failed> {
    let runtime: &'static Runtime = Runtime::build(RuntimeConfig {
        meter_provider: Some(MeterProviderHandle::new(meters())),
        sink: runtime::sdk_sink(vec![Arc::clone(&processor)]),
        ..config
    })?;
    runtime::install(runtime)?;
    Ok(Box::new(move || {
        if !runtime.flush(PATIENCE) || runtime.dropped_spans() > 0 {
            return Err(format!("percolate dropped {} spans", runtime.dropped_spans()).into());
        }
        Ok(processor.force_flush()?)
    }))
}

fn percolate_with_layer() -> Result<Installed, Failed> {
    let checked = ConventionLayer::new();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(checked.layer()))?;
    percolate()
}

fn foreign_setup() -> Result<Installed, Failed> {
    global::set_meter_provider(meters());
    tracing_otel()
}

/// As the documentation advises: without the attributes that the layer adds.
fn foreign_setup_lean() -> Result<Installed, Failed> {
    global::set_meter_provider(meters());
    tracing_otel_lean()
}

/// With the filter for spans below a parent that is not sampled.
fn foreign_setup_filtered() -> Result<Installed, Failed> {
    global::set_meter_provider(meters());
    let spans = Counted::default();
    let provider = provider(SdkSampler::AlwaysOn, batched(spans.clone()));
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(SampledSpans)
            .with(layer),
    )?;
    Ok(installed(spans, provider))
}

fn provider(sampler: SdkSampler, processor: impl SpanProcessor + 'static) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_sampler(SdkSampler::ParentBased(Box::new(sampler)))
        .with_span_processor(processor)
        .build()
}

fn installed(spans: Counted, provider: SdkTracerProvider) -> Installed {
    Installed {
        spans,
        flush: Box::new(move || Ok(provider.force_flush()?)),
    }
}

fn tracing_otel() -> Result<Installed, Failed> {
    let spans = Counted::default();
    Ok(installed(
        spans.clone(),
        tracing_otel_to(SdkSampler::AlwaysOn, batched(spans), true)?,
    ))
}

fn tracing_otel_1pct() -> Result<Installed, Failed> {
    let spans = Counted::default();
    Ok(installed(
        spans.clone(),
        tracing_otel_to(SdkSampler::TraceIdRatioBased(0.01), batched(spans), true)?,
    ))
}

fn tracing_otel_lean() -> Result<Installed, Failed> {
    let spans = Counted::default();
    Ok(installed(
        spans.clone(),
        tracing_otel_to(SdkSampler::AlwaysOn, batched(spans), false)?,
    ))
}

/// Installs tracing-opentelemetry; with or without the attributes that it adds.
pub(crate) fn tracing_otel_to(
    sampler: SdkSampler,
    processor: impl SpanProcessor + 'static,
    has_extras: bool,
) -> Result<SdkTracerProvider, Failed> {
    let provider = provider(sampler, processor);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(has_extras)
        .with_threads(has_extras)
        .with_target(has_extras)
        .with_tracked_inactivity(has_extras);
    // Without the level, the exporter's own HTTP/2 spans would be exported in turn.
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(layer),
    )?;
    Ok(provider)
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();
static HISTOGRAM: OnceLock<Histogram<f64>> = OnceLock::new();

#[expect(clippy::unnecessary_wraps, reason = "one of several ways to install")]
fn sdk() -> Result<Installed, Failed> {
    let spans = Counted::default();
    Ok(installed(
        spans.clone(),
        sdk_to(SdkSampler::AlwaysOn, batched(spans)),
    ))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several ways to install")]
fn sdk_1pct() -> Result<Installed, Failed> {
    let spans = Counted::default();
    Ok(installed(
        spans.clone(),
        sdk_to(SdkSampler::TraceIdRatioBased(0.01), batched(spans)),
    ))
}

/// Creates the tracer and the histogram for calls of the SDK by hand.
pub(crate) fn sdk_to(
    sampler: SdkSampler,
    processor: impl SpanProcessor + 'static,
) -> SdkTracerProvider {
    let provider = provider(sampler, processor);
    _ = TRACER.set(provider.tracer("bench"));
    let meters = meters();
    let histogram = meters
        .meter("bench")
        .f64_histogram("db.client.operation.duration")
        .with_unit("s")
        .with_boundaries(percolate_core::otel::STORAGE_BOUNDS.to_vec())
        .build();
    _ = HISTOGRAM.set(histogram);
    // Keeps its reader until the process ends.
    std::mem::forget(meters);
    provider
}

/// The tracer of calls of the SDK by hand.
pub(crate) fn tracer() -> &'static SdkTracer {
    TRACER
        .get()
        .expect("the setting of this way of calling installs it")
}

/// The histogram of calls of the SDK by hand.
pub(crate) fn histogram() -> &'static Histogram<f64> {
    HISTOGRAM
        .get()
        .expect("the setting of this way of calling installs it")
}

#[cfg(feature = "fastrace")]
mod of_fastrace {
    use fastrace::collector::{Config, Reporter, SpanRecord};

    use super::{Counted, Failed, Installed};

    struct Dropping(Counted);

    impl Reporter for Dropping {
        fn report(&mut self, spans: Vec<SpanRecord>) {
            // The roots around the calls are not counted.
            self.0
                .add(spans.iter().filter(|span| span.name == "get").count());
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of several ways to install")]
    pub(super) fn fastrace() -> Result<Installed, Failed> {
        let spans = Counted::default();
        fastrace::set_reporter(Dropping(spans.clone()), Config::default());
        let flush = || {
            fastrace::flush();
            Ok(())
        };
        Ok(Installed {
            spans,
            flush: Box::new(flush),
        })
    }
}
