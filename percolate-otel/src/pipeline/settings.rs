//! What the pipeline does, decided: builder methods over the environment over defaults. Reads no variable by itself
//! (see `env`) and makes nothing (see `assemble`). Invariant: a default never hides a variable, and a builder method
//! that was called always wins.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::SpanLimits;

use super::buckets::HistogramBuckets;
use super::builder::TelemetryBuilder;
use super::env::{ConfigWarning, Environment, Reader};
use super::resource;
use super::sampler;
use crate::runtime::Sampler;

/// Where a signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exporter {
    /// A collector, over OTLP.
    Otlp,
    /// A readable tree of spans and a table of metrics on stderr, or on the builder's writer.
    Console,
    /// Nowhere.
    None,
}

/// How OTLP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protobuf over HTTP, usually on port 4318.
    HttpProtobuf,
}

/// How OTLP is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpCompression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// How context travels in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// Nothing; of use alone only.
    None,
}

/// The signals that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records: events of `tracing`.
    Logs,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    fn variable(self, suffix: &str) -> String {
        format!(
            "OTEL_EXPORTER_OTLP_{}_{suffix}",
            self.name().to_ascii_uppercase()
        )
    }

    fn exporter_variable(self) -> &'static str {
        match self {
            Self::Traces => "OTEL_TRACES_EXPORTER",
            Self::Metrics => "OTEL_METRICS_EXPORTER",
            Self::Logs => "OTEL_LOGS_EXPORTER",
        }
    }
}

/// Options of the OTLP exporters. What is not said here comes from the `OTEL_EXPORTER_OTLP_*` variables.
///
/// ```
/// use std::time::Duration;
/// use percolate_otel::{Otlp, OtlpCompression, Telemetry};
///
/// let otlp = Otlp::to("https://collector.example:4317")
///     .header("authorization", "Bearer secret")
///     .compression(OtlpCompression::Gzip)
///     .timeout(Duration::from_secs(3));
/// let builder = Telemetry::builder().otlp(otlp);
/// ```
#[derive(Clone, Default)]
#[must_use = "give it to `TelemetryBuilder::otlp`"]
pub struct Otlp {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<OtlpProtocol>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) compression: Option<OtlpCompression>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) client_key: Option<PathBuf>,
    pub(super) client_certificate: Option<PathBuf>,
}

impl Otlp {
    /// No option said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Export to this endpoint.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self::default().endpoint(endpoint)
    }

    /// The collector's URL. Over HTTP `/v1/traces` and `/v1/metrics` are appended, except where it is given for one
    /// signal only.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// gRPC or HTTP. Unsaid everywhere, it is HTTP for port 4318 and gRPC for any other.
    pub fn protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Adds a header (gRPC metadata) to each request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one export may take, retries included; 10 seconds if unsaid everywhere.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Compression of requests; none if unsaid everywhere.
    pub fn compression(mut self, compression: OtlpCompression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// PEM file of the authorities trusted to sign the collector's certificate; the system's if unsaid everywhere.
    pub fn certificate(mut self, ca: impl Into<PathBuf>) -> Self {
        self.certificate = Some(ca.into());
        self
    }

    /// PEM files of our own certificate and its key, for collectors that ask for one (mTLS).
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some(certificate.into());
        self.client_key = Some(key.into());
        self
    }
}

/// Headers may hold secrets: their names are shown, never their values.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// The OTLP exporter of one signal, decided.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(
        dead_code,
        reason = "decided and reported all the same, used by exporters"
    )
)]
pub(super) struct OtlpSettings {
    pub(super) signal: Signal,
    /// Complete, with scheme and, over HTTP, with its path.
    pub(super) endpoint: String,
    pub(super) protocol: OtlpProtocol,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Duration,
    pub(super) compression: OtlpCompression,
    pub(super) certificate: Option<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// The batch processor's measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchSettings {
    pub(super) queue: usize,
    pub(super) batch: usize,
    pub(super) delay: Duration,
    pub(super) export_timeout: Duration,
}

/// Everything decided.
#[cfg_attr(
    not(feature = "otlp"),
    expect(
        dead_code,
        reason = "decided and reported all the same, used by exporters"
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
    /// As the environment names it; the builder's own sampler comes first.
    pub(super) sampler: Option<Sampler>,
    pub(super) limits: SpanLimits,
    pub(super) batch: BatchSettings,
    pub(super) logs_batch: BatchSettings,
    /// `None`: nobody said; the console then prints at flush and shutdown only.
    pub(super) metric_interval: Option<Duration>,
    pub(super) metric_timeout: Duration,
    pub(super) temporality: Temporality,
    pub(super) buckets: HistogramBuckets,
    pub(super) resource: Resource,
    pub(super) log_level: tracing::level_filters::LevelFilter,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl Settings {
    /// Decides everything from what the builder was told and from the environment.
    pub(super) fn decide(builder: &TelemetryBuilder, environment: &Environment) -> Self {
        let mut reader = Reader::new(environment);
        let reads = &mut reader;
        Self {
            disabled: builder
                .disabled
                .or_else(|| reads.boolean("OTEL_SDK_DISABLED"))
                .unwrap_or(false),
            traces: exporters(reads, Signal::Traces, builder),
            metrics: exporters(reads, Signal::Metrics, builder),
            logs: exporters(reads, Signal::Logs, builder),
            traces_otlp: otlp(reads, Signal::Traces, &builder.traces_otlp, &builder.otlp),
            metrics_otlp: otlp(reads, Signal::Metrics, &builder.metrics_otlp, &builder.otlp),
            logs_otlp: otlp(reads, Signal::Logs, &builder.logs_otlp, &builder.otlp),
            propagators: propagators(reads, builder.propagators.clone()),
            sampler: sampler(reads),
            limits: limits(reads),
            batch: batch(reads, builder),
            logs_batch: logs_batch(reads),
            metric_interval: builder.metric_interval.or_else(|| interval(reads)),
            metric_timeout: reads
                .millis("OTEL_METRIC_EXPORT_TIMEOUT")
                .unwrap_or(Duration::from_secs(30)),
            temporality: temporality(reads, builder.temporality),
            buckets: buckets(reads, builder.buckets.clone()),
            resource: resource(reads, builder),
            log_level: log_level(reads),
            warnings: reader.warnings,
        }
    }
}

/// The default: OTLP as soon as an endpoint is named anywhere, else the console. A builder that was given its own
/// exporter or processor for the signal gets nothing besides. Logs go nowhere unless that is said in so many words.
fn exporters(reads: &mut Reader<'_>, signal: Signal, builder: &TelemetryBuilder) -> Vec<Exporter> {
    let words = [
        ("otlp", Exporter::Otlp),
        ("console", Exporter::Console),
        ("none", Exporter::None),
    ];
    let (said, own) = match signal {
        Signal::Traces => (&builder.traces, builder.has_own_traces()),
        Signal::Metrics => (&builder.metrics, builder.has_own_metrics()),
        Signal::Logs => (&builder.logs, true),
    };
    let from_environment = reads.choices(signal.exporter_variable(), &words);
    let chosen = said.clone().or(from_environment).unwrap_or_else(|| {
        match (own, exports_otlp(reads, builder)) {
            (true, _) => Vec::new(),
            (false, true) => vec![Exporter::Otlp],
            (false, false) => vec![Exporter::Console],
        }
    });
    if chosen.contains(&Exporter::None) && chosen.len() > 1 {
        reads.warn(
            signal.exporter_variable(),
            "`none` beside other exporters means nothing; ignored",
        );
    }
    chosen
        .into_iter()
        .filter(|exporter| *exporter != Exporter::None)
        .collect()
}

fn exports_otlp(reads: &Reader<'_>, builder: &TelemetryBuilder) -> bool {
    let told = [&builder.otlp, &builder.traces_otlp, &builder.metrics_otlp];
    told.iter().any(|otlp| otlp.endpoint.is_some())
        || reads.text("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
        || [Signal::Traces, Signal::Metrics]
            .iter()
            .any(|signal| reads.text(&signal.variable("ENDPOINT")).is_some())
}

/// Builder for the signal, builder for all, variable of the signal, variable for all, default.
fn otlp(reads: &mut Reader<'_>, signal: Signal, own: &Otlp, all: &Otlp) -> OtlpSettings {
    let said = own.endpoint.as_deref().map(|endpoint| (endpoint, true));
    let said = said.or_else(|| all.endpoint.as_deref().map(|endpoint| (endpoint, false)));
    let said = said.or_else(|| {
        reads
            .text(&signal.variable("ENDPOINT"))
            .map(|endpoint| (endpoint, true))
    });
    let said = said.or_else(|| {
        reads
            .text("OTEL_EXPORTER_OTLP_ENDPOINT")
            .map(|endpoint| (endpoint, false))
    });

    let protocols = [
        ("grpc", OtlpProtocol::Grpc),
        ("http/protobuf", OtlpProtocol::HttpProtobuf),
    ];
    let protocol = own.protocol.or(all.protocol);
    let protocol = protocol.or_else(|| {
        either(reads, signal, "PROTOCOL", |reads, name| {
            reads.choice(name, &protocols)
        })
    });
    let protocol = protocol.unwrap_or_else(|| protocol_of_port(said.map(|(endpoint, _)| endpoint)));

    let insecure = either(reads, signal, "INSECURE", Reader::boolean).unwrap_or(false);
    let endpoint = endpoint(said, protocol, signal, insecure);

    let compressions = [
        ("none", OtlpCompression::None),
        ("gzip", OtlpCompression::Gzip),
    ];
    let compression = own.compression.or(all.compression).or_else(|| {
        either(reads, signal, "COMPRESSION", |reads, name| {
            reads.choice(name, &compressions)
        })
    });

    let timeout = own
        .timeout
        .or(all.timeout)
        .or_else(|| either(reads, signal, "TIMEOUT", Reader::millis));
    let mut file = |suffix, own: &Option<PathBuf>, all: &Option<PathBuf>| {
        let said = own.clone().or_else(|| all.clone());
        said.or_else(|| {
            either(reads, signal, suffix, |reads, name| {
                reads.text(name).map(PathBuf::from)
            })
        })
    };
    let certificate = file("CERTIFICATE", &own.certificate, &all.certificate);
    let client_key = file("CLIENT_KEY", &own.client_key, &all.client_key);
    let client_certificate = file(
        "CLIENT_CERTIFICATE",
        &own.client_certificate,
        &all.client_certificate,
    );
    let identity = identity(reads, signal, client_certificate, client_key);

    OtlpSettings {
        signal,
        endpoint,
        protocol,
        headers: headers(reads, signal, own, all),
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        compression: compression.unwrap_or(OtlpCompression::None),
        certificate,
        identity,
    }
}

/// The variable of the signal, else the one for all signals.
fn either<'a, T>(
    reads: &mut Reader<'a>,
    signal: Signal,
    suffix: &str,
    read: impl Fn(&mut Reader<'a>, &str) -> Option<T>,
) -> Option<T> {
    let own = read(reads, &signal.variable(suffix));
    own.or_else(|| read(reads, &format!("OTEL_EXPORTER_OTLP_{suffix}")))
}

/// 4318 is the port of OTLP over HTTP; whoever names it without a protocol means that.
fn protocol_of_port(endpoint: Option<&str>) -> OtlpProtocol {
    let authority = endpoint.map(|endpoint| {
        endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest)
    });
    let authority = authority.and_then(|rest| rest.split('/').next());
    match authority {
        Some(authority) if authority.ends_with(":4318") => OtlpProtocol::HttpProtobuf,
        _ => OtlpProtocol::Grpc,
    }
}

fn endpoint(
    said: Option<(&str, bool)>,
    protocol: OtlpProtocol,
    signal: Signal,
    insecure: bool,
) -> String {
    let default = match protocol {
        OtlpProtocol::Grpc => "http://localhost:4317",
        OtlpProtocol::HttpProtobuf => "http://localhost:4318",
    };
    let (said, complete) = said.unwrap_or((default, false));
    let said = match (
        said.contains("://"),
        insecure || protocol == OtlpProtocol::HttpProtobuf,
    ) {
        (true, _) => said.to_owned(),
        (false, true) => format!("http://{said}"),
        (false, false) => format!("https://{said}"),
    };
    match protocol {
        OtlpProtocol::HttpProtobuf if !complete => {
            format!("{}/v1/{}", said.trim_end_matches('/'), signal.name())
        }
        _ => said,
    }
}

fn headers(
    reads: &mut Reader<'_>,
    signal: Signal,
    own: &Otlp,
    all: &Otlp,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> =
        either(reads, signal, "HEADERS", Reader::pairs).unwrap_or_default();
    for (name, value) in all.headers.iter().chain(&own.headers) {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    headers
}

fn identity(
    reads: &mut Reader<'_>,
    signal: Signal,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<(PathBuf, PathBuf)> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let problem =
                "CLIENT_CERTIFICATE and CLIENT_KEY belong together and one is missing; mTLS is off";
            reads.warn(&signal.variable("CLIENT_CERTIFICATE"), problem);
            None
        }
    }
}

fn propagators(reads: &mut Reader<'_>, said: Option<Vec<Propagator>>) -> Vec<Propagator> {
    let words = [
        ("tracecontext", Propagator::TraceContext),
        ("baggage", Propagator::Baggage),
        ("none", Propagator::None),
    ];
    let chosen = said.or_else(|| reads.choices("OTEL_PROPAGATORS", &words));
    let chosen = chosen.unwrap_or_else(|| vec![Propagator::TraceContext, Propagator::Baggage]);
    chosen
        .into_iter()
        .filter(|propagator| *propagator != Propagator::None)
        .collect()
}

fn sampler(reads: &mut Reader<'_>) -> Option<Sampler> {
    let name = reads.text("OTEL_TRACES_SAMPLER")?;
    let (sampler, problem) = sampler::from_names(name, reads.text("OTEL_TRACES_SAMPLER_ARG"));
    if let Some(problem) = problem {
        reads.warn("OTEL_TRACES_SAMPLER", format!("`{name}`: {problem}"));
    }
    sampler
}

fn limits(reads: &mut Reader<'_>) -> SpanLimits {
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

fn batch(reads: &mut Reader<'_>, builder: &TelemetryBuilder) -> BatchSettings {
    let queue = builder
        .queue_size
        .or_else(|| reads.count("OTEL_BSP_MAX_QUEUE_SIZE"))
        .unwrap_or(2048)
        .max(1);
    let batch = builder
        .batch_size
        .or_else(|| reads.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"));
    let delay = builder
        .batch_delay
        .or_else(|| reads.millis("OTEL_BSP_SCHEDULE_DELAY"));
    let export_timeout = builder
        .export_timeout
        .or_else(|| reads.millis("OTEL_BSP_EXPORT_TIMEOUT"));
    if batch.is_some_and(|batch| batch > queue) {
        reads.warn(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            format!("larger than the queue; using its size, {queue}"),
        );
    }
    BatchSettings {
        queue,
        batch: batch.unwrap_or(512).clamp(1, queue),
        delay: delay.unwrap_or(Duration::from_secs(5)),
        export_timeout: export_timeout.unwrap_or(Duration::from_secs(30)),
    }
}

fn logs_batch(reads: &mut Reader<'_>) -> BatchSettings {
    let queue = reads.count("OTEL_BLRP_MAX_QUEUE_SIZE").unwrap_or(2048);
    BatchSettings {
        queue,
        batch: reads
            .count("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE")
            .unwrap_or(512)
            .min(queue),
        delay: reads
            .millis("OTEL_BLRP_SCHEDULE_DELAY")
            .unwrap_or(Duration::from_secs(1)),
        export_timeout: reads
            .millis("OTEL_BLRP_EXPORT_TIMEOUT")
            .unwrap_or(Duration::from_secs(30)),
    }
}

fn interval(reads: &mut Reader<'_>) -> Option<Duration> {
    let interval = reads.millis("OTEL_METRIC_EXPORT_INTERVAL")?;
    if interval.is_zero() {
        reads.warn("OTEL_METRIC_EXPORT_INTERVAL", "0 is no interval; ignored");
        return None;
    }
    Some(interval)
}

fn temporality(reads: &mut Reader<'_>, said: Option<Temporality>) -> Temporality {
    let words = [
        ("cumulative", Temporality::Cumulative),
        ("delta", Temporality::Delta),
        ("lowmemory", Temporality::LowMemory),
    ];
    let read = reads.choice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", &words);
    said.or(read).unwrap_or_default()
}

fn buckets(reads: &mut Reader<'_>, said: Option<HistogramBuckets>) -> HistogramBuckets {
    let words = [
        ("explicit_bucket_histogram", false),
        ("base2_exponential_bucket_histogram", true),
    ];
    let exponential = reads.choice(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        &words,
    );
    if let Some(problem) = said.as_ref().and_then(HistogramBuckets::problem) {
        reads.warn("TelemetryBuilder::histogram_buckets", problem);
        return HistogramBuckets::Storage;
    }
    let read = exponential
        .filter(|exponential| *exponential)
        .map(|_| HistogramBuckets::Exponential);
    said.or(read).unwrap_or_default()
}

fn resource(reads: &mut Reader<'_>, builder: &TelemetryBuilder) -> Resource {
    let mut attributes = reads.pairs("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if let Some(name) = reads.text("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != resource::SERVICE_NAME);
        attributes.push((resource::SERVICE_NAME.to_owned(), name.to_owned()));
    }
    let attributes = attributes
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value));
    resource::build(
        builder.detect_resource,
        attributes,
        builder.resource.iter().cloned(),
    )
}

fn log_level(reads: &mut Reader<'_>) -> tracing::level_filters::LevelFilter {
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

#[cfg(test)]
mod tests {
    use super::super::Telemetry;
    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "builders are made in the call"
    )]
    fn decide(builder: TelemetryBuilder, variables: &[(&str, &str)]) -> Settings {
        Settings::decide(&builder, &variables.iter().copied().collect())
    }

    fn decided(variables: &[(&str, &str)]) -> Settings {
        decide(Telemetry::builder(), variables)
    }

    #[test]
    fn without_an_endpoint_everything_goes_to_the_console() {
        let settings = decided(&[]);
        assert_eq!(
            (settings.traces, settings.metrics),
            (vec![Exporter::Console], vec![Exporter::Console])
        );
        assert_eq!(settings.batch.queue, 2048);
        assert_eq!(settings.warnings, []);
    }

    #[test]
    fn an_endpoint_for_any_signal_makes_otlp_the_default_and_a_named_exporter_still_wins() {
        let settings = decided(&[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://collector:4317",
            ),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        assert_eq!(
            (settings.traces, settings.metrics),
            (vec![Exporter::Otlp], vec![])
        );
        assert_eq!(settings.traces_otlp.endpoint, "http://collector:4317");
        assert_eq!(settings.metrics_otlp.endpoint, "http://localhost:4317");
    }

    #[test]
    fn an_exporter_of_the_program_replaces_the_default_but_not_one_that_was_named() {
        #[derive(Debug)]
        struct Nowhere;
        impl opentelemetry_sdk::trace::SpanExporter for Nowhere {
            async fn export(
                &self,
                _: Vec<opentelemetry_sdk::trace::SpanData>,
            ) -> opentelemetry_sdk::error::OTelSdkResult {
                Ok(())
            }
        }
        let builder = || Telemetry::builder().span_exporter(Nowhere);
        assert_eq!(decide(builder(), &[]).traces, []);
        assert_eq!(
            decide(builder(), &[("OTEL_TRACES_EXPORTER", "console")]).traces,
            [Exporter::Console]
        );
    }

    #[test]
    fn the_protocol_follows_the_port_unless_it_is_named() {
        let of = |endpoint, protocol| {
            let settings = decided(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ]);
            (settings.traces_otlp.protocol, settings.traces_otlp.endpoint)
        };
        let http = |endpoint: &str| (OtlpProtocol::HttpProtobuf, endpoint.to_owned());
        assert_eq!(
            of("http://collector:4318", ""),
            http("http://collector:4318/v1/traces")
        );
        assert_eq!(
            of("http://collector:9999/base/", "http/protobuf"),
            http("http://collector:9999/base/v1/traces")
        );
        assert_eq!(
            of("http://collector:4318", "grpc"),
            (OtlpProtocol::Grpc, "http://collector:4318".to_owned())
        );
    }

    #[test]
    fn an_endpoint_for_one_signal_is_taken_as_it_is() {
        let settings = decided(&[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://collector:4318/custom",
            ),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4317"),
        ]);
        assert_eq!(
            settings.traces_otlp.endpoint,
            "http://collector:4318/custom"
        );
        assert_eq!(settings.traces_otlp.protocol, OtlpProtocol::HttpProtobuf);
        assert_eq!(settings.metrics_otlp.protocol, OtlpProtocol::Grpc);
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_secure_unless_told_otherwise() {
        let grpc = |insecure| {
            let settings = decided(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
                ("OTEL_EXPORTER_OTLP_INSECURE", insecure),
            ]);
            settings.traces_otlp.endpoint
        };
        assert_eq!(grpc(""), "https://collector:4317");
        assert_eq!(grpc("true"), "http://collector:4317");
    }

    #[test]
    fn the_builder_wins_over_every_variable() {
        let builder = Telemetry::builder()
            .otlp(
                Otlp::to("http://told:4317")
                    .header("X-Team", "told")
                    .timeout(Duration::from_secs(1)),
            )
            .queue_size(10)
            .traces([Exporter::Otlp, Exporter::Console])
            .disabled(false);
        let settings = decide(
            builder,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4317"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=env,x-other=env"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "99"),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_SDK_DISABLED", "true"),
            ],
        );
        assert_eq!(settings.traces_otlp.endpoint, "http://told:4317");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            settings.traces_otlp.headers,
            [header("x-other", "env"), header("X-Team", "told")]
        );
        assert_eq!(settings.traces_otlp.timeout, Duration::from_secs(1));
        assert_eq!(settings.batch.queue, 10);
        assert_eq!(
            settings.batch.batch, 10,
            "a batch is never larger than the queue"
        );
        assert_eq!(settings.traces, [Exporter::Otlp, Exporter::Console]);
        assert!(!settings.disabled);
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_leaves_the_default() {
        let settings = decided(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ]);
        assert!(settings.sampler.is_none());
        assert!(!settings.disabled);
        assert_eq!(
            settings.propagators,
            [Propagator::TraceContext, Propagator::Baggage]
        );
        assert_eq!(settings.traces_otlp.compression, OtlpCompression::None);
        assert!(settings.traces_otlp.identity.is_none());
        for variable in [
            "OTEL_SDK_DISABLED",
            "OTEL_TRACES_SAMPLER",
            "OTEL_PROPAGATORS",
        ] {
            let count = settings
                .warnings
                .iter()
                .filter(|warning| warning.variable == variable)
                .count();
            assert_eq!(count, 1, "{variable}: {:?}", settings.warnings);
        }
        let once: std::collections::HashSet<_> =
            settings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            once.len(),
            settings.warnings.len(),
            "each complaint is made once: {:?}",
            settings.warnings
        );
    }

    #[test]
    fn exponential_buckets_can_be_asked_for_in_the_environment() {
        let variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
        assert_eq!(
            decided(&[(variable, "base2_exponential_bucket_histogram")]).buckets,
            HistogramBuckets::Exponential
        );
        assert_eq!(
            decided(&[(variable, "explicit_bucket_histogram")]).buckets,
            HistogramBuckets::Storage
        );
    }
}
