//! The pipeline's settings: builder methods over the environment over defaults. Variables are read
//! through `env`; nothing is created here (see `assemble`). Invariant: a default never hides a
//! variable, and a builder method that was called always wins.

mod batch;
mod otlp;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::SpanLimits;

pub(super) use self::batch::BatchSettings;
pub(super) use self::otlp::OtlpSettings;
use self::otlp::otlp;
use super::buckets::HistogramBuckets;
use super::choices::Choices;
use super::drive::{LONGEST, time_limit};
use super::env::{ConfigWarning, Environment, VariableReader};
use super::propagator::Propagator;
use super::resource;
use super::sampler;
use super::signal::{Exporter, Signal};
use crate::runtime::Sampler;

/// The decided settings.
#[cfg_attr(
    not(any(feature = "otlp", test)),
    expect(
        dead_code,
        reason = "decided in every build, for the warnings; read by the exporters"
    )
)]
pub(super) struct Settings {
    pub(super) disabled: bool,
    pub(super) traces: Vec<Exporter>,
    pub(super) metrics: Vec<Exporter>,
    pub(super) logs: Vec<Exporter>,
    pub(super) traces_otlp: OtlpSettings,
    pub(super) metrics_otlp: OtlpSettings,
    pub(super) logs_otlp: OtlpSettings,
    pub(super) propagators: Vec<Propagator>,
    /// The sampler of the environment; `None` if the builder has one.
    pub(super) sampler: Option<Sampler>,
    pub(super) limits: SpanLimits,
    pub(super) batch: BatchSettings,
    pub(super) logs_batch: BatchSettings,
    /// `None` if it is not set; the console then prints only at flush and shutdown.
    pub(super) metric_interval: Option<Duration>,
    pub(super) metric_timeout: Duration,
    pub(super) temporality: Temporality,
    /// The buckets of the durations.
    pub(super) buckets: HistogramBuckets,
    /// Whether the histograms that `buckets` does not name have exponential buckets.
    pub(super) exponential: bool,
    /// Whether histograms have sampled calls as exemplars.
    pub(super) exemplars: bool,
    pub(super) resource: Resource,
    pub(super) log_level: tracing::level_filters::LevelFilter,
    /// The folder of exported files.
    pub(super) file_folder: PathBuf,
    /// The file of the report.
    pub(super) report: Option<PathBuf>,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl Settings {
    /// Decides all settings from the builder's options and the environment.
    pub(super) fn decide(choices: &Choices, environment: &Environment) -> Self {
        let mut reader = VariableReader::new(environment);
        let reads = &mut reader;
        let exponential = exponential(reads);
        Self {
            disabled: choices
                .disabled
                .or_else(|| reads.boolean("OTEL_SDK_DISABLED"))
                .unwrap_or(false),
            traces: exporters(reads, Signal::Traces, choices),
            metrics: exporters(reads, Signal::Metrics, choices),
            logs: exporters(reads, Signal::Logs, choices),
            traces_otlp: otlp(reads, Signal::Traces, &choices.traces_otlp, &choices.otlp),
            metrics_otlp: otlp(reads, Signal::Metrics, &choices.metrics_otlp, &choices.otlp),
            logs_otlp: otlp(reads, Signal::Logs, &choices.logs_otlp, &choices.otlp),
            propagators: propagators(reads, choices.propagators.clone()),
            sampler: sampler(reads, choices),
            limits: limits(reads),
            batch: batch(reads, choices),
            logs_batch: logs_batch(reads),
            metric_interval: choices.metric_interval.or_else(|| interval(reads)),
            metric_timeout: time_limit(
                reads
                    .millis("OTEL_METRIC_EXPORT_TIMEOUT")
                    .unwrap_or(Duration::from_secs(30)),
            ),
            temporality: temporality(reads, choices.temporality),
            buckets: buckets(reads, choices.buckets.clone(), exponential),
            exponential,
            exemplars: exemplars(reads),
            resource: resource(reads, choices),
            log_level: log_level(reads),
            file_folder: choices
                .file_folder
                .clone()
                .or_else(|| reads.text("PERCOLATE_FILE_FOLDER").map(PathBuf::from))
                .unwrap_or_default(),
            report: choices
                .report
                .clone()
                .or_else(|| reads.text("PERCOLATE_REPORT").map(PathBuf::from)),
            warnings: reader.warnings,
        }
    }
}

/// Decides the exporters of one signal. Default: OTLP if any endpoint is set, else the console;
/// none if the builder has its own exporter or processor for the signal. Logs have no default
/// exporter.
fn exporters(reads: &mut VariableReader<'_>, signal: Signal, choices: &Choices) -> Vec<Exporter> {
    let mut words = vec![
        ("otlp", Exporter::Otlp),
        ("console", Exporter::Console),
        ("otlp_file", Exporter::OtlpFile),
        ("none", Exporter::None),
    ];
    if signal == Signal::Traces {
        words.push(("chrome", Exporter::Chrome));
    }
    let (chosen_in_code, own) = match signal {
        Signal::Traces => (&choices.traces, choices.has_own_traces()),
        Signal::Metrics => (&choices.metrics, choices.has_own_metrics()),
        Signal::Logs => (&choices.logs, true),
    };
    let from_environment = reads.choices(signal.exporter_variable(), &words);
    let chosen = chosen_in_code
        .clone()
        .or(from_environment)
        .unwrap_or_else(|| match (own, exports_otlp(reads, choices)) {
            (true, _) => Vec::new(),
            (false, true) => vec![Exporter::Otlp],
            (false, false) => vec![Exporter::Console],
        });
    if chosen.contains(&Exporter::None) && chosen.len() > 1 {
        reads.warn(
            signal.exporter_variable(),
            "`none` has no effect with other exporters; ignored",
        );
    }
    let is_used = |exporter: &Exporter| match exporter {
        Exporter::None => false,
        Exporter::Chrome if signal != Signal::Traces => {
            reads.warn(
                &format!("TelemetryBuilder::{}", signal.name()),
                "a Chrome trace contains spans only; ignored",
            );
            false
        }
        _ => true,
    };
    chosen.into_iter().filter(is_used).collect()
}

fn exports_otlp(reads: &VariableReader<'_>, choices: &Choices) -> bool {
    let options = [&choices.otlp, &choices.traces_otlp, &choices.metrics_otlp];
    options.iter().any(|otlp| otlp.endpoint.is_some())
        || reads.text("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
        || [Signal::Traces, Signal::Metrics]
            .iter()
            .any(|signal| reads.text(&signal.variable("ENDPOINT")).is_some())
}

fn propagators(
    reads: &mut VariableReader<'_>,
    from_builder: Option<Vec<Propagator>>,
) -> Vec<Propagator> {
    let words = [
        ("tracecontext", Propagator::TraceContext),
        ("baggage", Propagator::Baggage),
        ("b3", Propagator::B3),
        ("b3multi", Propagator::B3Multi),
        ("jaeger", Propagator::Jaeger),
        ("none", Propagator::None),
    ];
    let chosen = from_builder.or_else(|| reads.choices("OTEL_PROPAGATORS", &words));
    let chosen = chosen.unwrap_or_else(|| vec![Propagator::TraceContext, Propagator::Baggage]);
    chosen
        .into_iter()
        .filter(|propagator| *propagator != Propagator::None)
        .collect()
}

fn sampler(reads: &mut VariableReader<'_>, choices: &Choices) -> Option<Sampler> {
    if choices.sampler.is_some() {
        return None;
    }
    let name = reads.text("OTEL_TRACES_SAMPLER")?;
    let (sampler, problem) = sampler::from_names(name, reads.text("OTEL_TRACES_SAMPLER_ARG"));
    if let Some(problem) = problem {
        reads.warn("OTEL_TRACES_SAMPLER", format!("`{name}`: {problem}"));
    }
    sampler
}

fn limits(reads: &mut VariableReader<'_>) -> SpanLimits {
    let mut limits = SpanLimits::default();
    let mut set = |name, limit: &mut u32| *limit = reads.limit(name).unwrap_or(*limit);
    set(
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        &mut limits.max_attributes_per_span,
    );
    set(
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        &mut limits.max_events_per_span,
    );
    set("OTEL_SPAN_LINK_COUNT_LIMIT", &mut limits.max_links_per_span);
    set(
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        &mut limits.max_attributes_per_event,
    );
    set(
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        &mut limits.max_attributes_per_link,
    );
    limits
}

fn batch(reads: &mut VariableReader<'_>, choices: &Choices) -> BatchSettings {
    let queue = choices
        .queue_size
        .or_else(|| reads.count("OTEL_BSP_MAX_QUEUE_SIZE"))
        .unwrap_or(2048)
        .max(1);
    let batch = choices
        .batch_size
        .or_else(|| reads.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"));
    let delay = choices
        .batch_delay
        .or_else(|| reads.millis("OTEL_BSP_SCHEDULE_DELAY"));
    let export_timeout = choices
        .export_timeout
        .or_else(|| reads.millis("OTEL_BSP_EXPORT_TIMEOUT"));
    if batch.is_some_and(|batch| batch > queue) {
        reads.warn(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            format!("larger than the queue; using the queue size {queue}"),
        );
    }
    BatchSettings {
        queue,
        batch: batch.unwrap_or(512).clamp(1, queue),
        delay: delay.unwrap_or(Duration::from_secs(5)).min(LONGEST),
        export_timeout: time_limit(export_timeout.unwrap_or(Duration::from_secs(30))),
    }
}

fn logs_batch(reads: &mut VariableReader<'_>) -> BatchSettings {
    let queue = reads.count("OTEL_BLRP_MAX_QUEUE_SIZE").unwrap_or(2048);
    BatchSettings {
        queue,
        batch: reads
            .count("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE")
            .unwrap_or(512)
            .min(queue),
        delay: reads
            .millis("OTEL_BLRP_SCHEDULE_DELAY")
            .unwrap_or(Duration::from_secs(1))
            .min(LONGEST),
        export_timeout: time_limit(
            reads
                .millis("OTEL_BLRP_EXPORT_TIMEOUT")
                .unwrap_or(Duration::from_secs(30)),
        ),
    }
}

fn interval(reads: &mut VariableReader<'_>) -> Option<Duration> {
    let interval = reads.millis("OTEL_METRIC_EXPORT_INTERVAL")?;
    if interval.is_zero() {
        reads.warn(
            "OTEL_METRIC_EXPORT_INTERVAL",
            "0 is not a valid interval; ignored",
        );
        return None;
    }
    Some(interval)
}

fn temporality(reads: &mut VariableReader<'_>, from_builder: Option<Temporality>) -> Temporality {
    let words = [
        ("cumulative", Temporality::Cumulative),
        ("delta", Temporality::Delta),
        ("lowmemory", Temporality::LowMemory),
    ];
    let read = reads.choice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", &words);
    from_builder.or(read).unwrap_or_default()
}

/// Whether histograms have exponential buckets by default.
fn exponential(reads: &mut VariableReader<'_>) -> bool {
    let words = [
        ("explicit_bucket_histogram", false),
        ("base2_exponential_bucket_histogram", true),
    ];
    let variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    reads.choice(variable, &words).unwrap_or(false)
}

/// Whether histograms have exemplars. A call that is not sampled has no span that an exemplar could
/// name, so `always_on` has the effect of `trace_based`.
fn exemplars(reads: &mut VariableReader<'_>) -> bool {
    let words = [
        ("trace_based", true),
        ("always_on", true),
        ("always_off", false),
    ];
    reads
        .choice("OTEL_METRICS_EXEMPLAR_FILTER", &words)
        .unwrap_or(true)
}

fn buckets(
    reads: &mut VariableReader<'_>,
    from_builder: Option<HistogramBuckets>,
    exponential: bool,
) -> HistogramBuckets {
    if let Some(problem) = from_builder.as_ref().and_then(HistogramBuckets::problem) {
        reads.warn("TelemetryBuilder::histogram_buckets", problem);
        return HistogramBuckets::Storage;
    }
    let default = if exponential {
        HistogramBuckets::Exponential
    } else {
        HistogramBuckets::Storage
    };
    from_builder.unwrap_or(default)
}

fn resource(reads: &mut VariableReader<'_>, choices: &Choices) -> Resource {
    let mut attributes = reads
        .attributes("OTEL_RESOURCE_ATTRIBUTES")
        .unwrap_or_default();
    if let Some(name) = reads.text("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != resource::SERVICE_NAME);
        attributes.push((resource::SERVICE_NAME.to_owned(), name.to_owned()));
    }
    let attributes = attributes
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value));
    resource::build(
        choices.detect_resource,
        attributes,
        choices.resource.iter().cloned(),
    )
}

fn log_level(reads: &mut VariableReader<'_>) -> tracing::level_filters::LevelFilter {
    use tracing::level_filters::LevelFilter;
    let words = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    reads
        .choice("OTEL_LOG_LEVEL", &words)
        .unwrap_or(LevelFilter::WARN)
}
