//! The SDK reads variables of the process by itself. None of them may reach a pipeline that has an
//! environment of its own, and a value of the builder wins over the variable. Each test starts
//! itself again as a process in which every variable is set.

use std::process::Command;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use percolate_core::db_op;
use percolate_core::otel::{
    Environment, Exporter, Otlp, OtlpCompression, OtlpProtocol, Telemetry, TelemetryBuilder,
};
use percolate_pipeline_tests::{Answer, Collector, typed};
use tracing_subscriber::prelude::*;

const SOON: Duration = Duration::from_secs(20);

/// The endpoints of the collectors, in the child process.
const ENDPOINTS: &str = "PERCOLATE_TEST_ENDPOINTS";

const VARIABLES: &[(&str, &str)] = &[
    ("OTEL_SDK_DISABLED", "true"),
    ("OTEL_LOG_LEVEL", "trace"),
    ("OTEL_SERVICE_NAME", "from-the-process"),
    ("OTEL_RESOURCE_ATTRIBUTES", "leaked=yes,service.name=leaked"),
    ("OTEL_PROPAGATORS", "none"),
    ("OTEL_TRACES_SAMPLER", "always_off"),
    ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ("OTEL_TRACES_EXPORTER", "none"),
    ("OTEL_METRICS_EXPORTER", "none"),
    ("OTEL_LOGS_EXPORTER", "none"),
    ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "1"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "1"),
    ("OTEL_BLRP_EXPORT_TIMEOUT", "1"),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "1"),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "1"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "0"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "0"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    ),
    ("OTEL_CONFIG_FILE", "/nonexistent/otel.yaml"),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", "/nonexistent/otel.yaml"),
];

const OTLP: &[(&str, &str)] = &[
    ("ENDPOINT", "http://127.0.0.1:1"),
    ("PROTOCOL", "http/json"),
    ("HEADERS", "api-key=leaked"),
    ("TIMEOUT", "1"),
    ("COMPRESSION", "gzip"),
    ("INSECURE", "false"),
    ("CERTIFICATE", "/nonexistent/ca.pem"),
    ("CLIENT_KEY", "/nonexistent/key.pem"),
    ("CLIENT_CERTIFICATE", "/nonexistent/cert.pem"),
];

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// Runs the test of this name in a process in which these variables are set.
fn in_a_process_with(test: &str, endpoints: &str, mut variable: impl FnMut(&str) -> bool) {
    let mut child = Command::new(std::env::current_exe().expect("a test binary"));
    child.args([test, "--exact", "--nocapture"]);
    child.env(ENDPOINTS, endpoints);
    let otlp = OTLP.iter().flat_map(|(suffix, value)| {
        ["", "TRACES_", "METRICS_", "LOGS_"]
            .map(|signal| (format!("OTEL_EXPORTER_OTLP_{signal}{suffix}"), *value))
    });
    let general = VARIABLES
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    child.envs(general.chain(otlp).filter(|(name, _)| variable(name)));
    let output = child.output().expect("the test binary runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Exports one call, one span of another crate, one log record and two histograms.
fn export(builder: TelemetryBuilder) {
    let guard = builder
        .logs([Exporter::Otlp])
        .build()
        .expect("the pipeline can be built");
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        for _ in 0..3 {
            tracing::info_span!("request", user = 7_i64).in_scope(|| get("articles"));
        }
        tracing::info!("an event");
    });
    let meter = guard.meter_provider().expect("metrics are exported");
    let sizes = meter.meter("other").u64_histogram("sizes").build();
    sizes.record(7, &[]);
    guard.force_flush(SOON).expect("the collector answers");
    get("articles");
    guard.shutdown(SOON).expect("the collector answers");
    assert_eq!(guard.status().lost_spans(), 0);
}

/// Asserts that the exported data has the defaults and nothing of the variables.
#[track_caller]
fn assert_defaults(collector: &Collector) {
    assert_eq!(collector.header("api-key"), Vec::<String>::new());
    for encoding in ["grpc-encoding", "content-encoding"] {
        assert_eq!(collector.header(encoding), Vec::<String>::new());
    }
    let spans = collector.spans();
    assert_eq!(spans.len(), 6);
    for received in &spans {
        assert!(
            typed(&received.resource, "service.name")
                .is_some_and(|name| name.starts_with("string:unknown_service:")),
            "{received:?}"
        );
        assert_eq!(typed(&received.resource, "leaked"), None);
        assert_ne!(received.span.attributes, []);
    }
    assert_eq!(collector.logs().len(), 1);
    for name in ["db.client.operation.duration", "sizes"] {
        let metric = collector
            .metrics()
            .into_iter()
            .find(|metric| metric.name == name);
        match metric.and_then(|metric| metric.data) {
            Some(Data::Histogram(histogram)) => assert_eq!(
                histogram.aggregation_temporality(),
                AggregationTemporality::Cumulative
            ),
            other => panic!("{name} has explicit buckets: {other:?}"),
        }
    }
}

#[test]
fn no_variable_of_the_process_reaches_a_pipeline_with_its_own_environment() {
    let protocols = [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf];
    if let Ok(endpoints) = std::env::var(ENDPOINTS) {
        for (endpoint, protocol) in endpoints.split(' ').zip(protocols) {
            let otlp = Otlp::to(endpoint).protocol(protocol);
            let builder = Telemetry::builder().environment(Environment::empty());
            export(builder.otlp(otlp));
        }
        return;
    }
    let collectors = [
        Collector::grpc(Answer::Accept),
        Collector::http(Answer::Accept),
    ];
    in_a_process_with(
        "no_variable_of_the_process_reaches_a_pipeline_with_its_own_environment",
        &collectors.each_ref().map(Collector::endpoint).join(" "),
        |_| true,
    );
    collectors.iter().for_each(assert_defaults);
}

#[test]
fn a_value_of_the_builder_wins_over_the_variable_of_the_process() {
    let protocols = [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf];
    if let Ok(endpoints) = std::env::var(ENDPOINTS) {
        for (endpoint, protocol) in endpoints.split(' ').zip(protocols) {
            let otlp = Otlp::to(endpoint)
                .protocol(protocol)
                .compression(OtlpCompression::None)
                .timeout(SOON)
                .header("api-key", "from-the-builder");
            export(Telemetry::builder().otlp(otlp));
        }
        return;
    }
    let collectors = [
        Collector::grpc(Answer::Accept),
        Collector::http(Answer::Accept),
    ];
    let overridden = ["ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION"];
    in_a_process_with(
        "a_value_of_the_builder_wins_over_the_variable_of_the_process",
        &collectors.each_ref().map(Collector::endpoint).join(" "),
        |name| {
            let suffix = name.rsplit('_').next().unwrap_or_default();
            name.starts_with("OTEL_EXPORTER_OTLP_") && overridden.contains(&suffix)
        },
    );
    for collector in &collectors {
        for encoding in ["grpc-encoding", "content-encoding"] {
            assert_eq!(collector.header(encoding), Vec::<String>::new());
        }
        assert_eq!(collector.spans().len(), 6);
        let keys = collector.header("api-key");
        assert!(!keys.is_empty());
        assert!(keys.iter().all(|key| key == "from-the-builder"), "{keys:?}");
    }
}
