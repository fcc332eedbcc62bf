//! Precedence, defaults and warnings of the settings.

use super::super::Telemetry;
use super::super::builder::TelemetryBuilder;
use super::super::otlp_options::{Otlp, OtlpCompression, OtlpProtocol};
use super::*;

#[expect(
    clippy::needless_pass_by_value,
    reason = "each call creates its builder"
)]
fn decide(builder: TelemetryBuilder, variables: &[(&str, &str)]) -> Settings {
    Settings::decide(builder.choices(), &variables.iter().copied().collect())
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
fn a_programs_exporter_replaces_the_default_but_not_a_named_exporter() {
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
        of("http://collector:4318", "HTTP/JSON"),
        (
            OtlpProtocol::HttpJson,
            "http://collector:4318/v1/traces".to_owned()
        )
    );
    assert_eq!(
        of("http://collector:4318", "grpc"),
        (OtlpProtocol::Grpc, "http://collector:4318".to_owned())
    );
}

#[test]
fn a_timeout_of_zero_is_an_hour_and_no_timeout_is_longer() {
    let hour = Duration::from_secs(3600);
    for value in ["0", "18446744073709551615"] {
        let settings = decided(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", value),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "7"),
            ("OTEL_BSP_EXPORT_TIMEOUT", value),
            ("OTEL_BLRP_EXPORT_TIMEOUT", value),
            ("OTEL_METRIC_EXPORT_TIMEOUT", value),
        ]);
        assert_eq!(settings.traces_otlp.timeout, hour);
        assert_eq!(settings.logs_otlp.timeout, Duration::from_millis(7));
        assert_eq!(settings.batch.export_timeout, hour);
        assert_eq!(settings.logs_batch.export_timeout, hour);
        assert_eq!(settings.metric_timeout, hour);
    }
    let builder = Telemetry::builder()
        .otlp(Otlp::new().timeout(Duration::ZERO))
        .export_timeout(Duration::MAX)
        .batch_delay(Duration::MAX);
    let settings = decide(builder, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "7")]);
    assert_eq!(settings.metrics_otlp.timeout, hour);
    assert_eq!(settings.batch.export_timeout, hour);
    assert_eq!(settings.batch.delay, hour);
}

#[test]
fn the_query_string_of_an_endpoint_follows_the_path_of_the_signal() {
    let of = |endpoint| {
        let settings = decided(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        assert_eq!(settings.traces_otlp.refused, None);
        settings.traces_otlp.endpoint
    };
    assert_eq!(
        of("HTTP://collector:4318/base/?tenant=a/b"),
        "http://collector:4318/base/v1/traces?tenant=a/b"
    );
    assert_eq!(
        of("http://collector:4318?x=1#part"),
        "http://collector:4318/v1/traces?x=1"
    );
    let settings = decided(&[(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://collector:4318/own?x=1",
    )]);
    assert_eq!(
        settings.traces_otlp.endpoint,
        "http://collector:4318/own?x=1"
    );
}

#[test]
fn an_endpoint_that_cannot_be_used_is_refused() {
    let of = |endpoint| {
        let settings = decided(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        settings.traces_otlp.refused.unwrap_or_default()
    };
    assert_eq!(
        of("unix:/run/otel.sock"),
        "Unix sockets are not supported; set an http:// or https:// URL"
    );
    assert_eq!(
        of("ftp://collector"),
        "only http:// and https:// URLs are supported"
    );
    assert_eq!(
        of("http://collector:4317?x=1"),
        "a URL for gRPC has no query string; remove it, or set http/protobuf"
    );
}

#[test]
fn a_path_of_a_grpc_endpoint_is_reported() {
    let settings = decided(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317/base")]);
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["OTEL_EXPORTER_OTLP_ENDPOINT: a URL for gRPC has no path; it is ignored"]
    );
    let root = decided(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317/")]);
    assert_eq!(root.warnings, []);
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
fn an_endpoint_without_a_scheme_is_secure_by_default() {
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
            Otlp::to("http://builder:4317")
                .header("X-Team", "builder")
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
    assert_eq!(settings.traces_otlp.endpoint, "http://builder:4317");
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        settings.traces_otlp.headers,
        [header("x-other", "env"), header("X-Team", "builder")]
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
fn invalid_values_are_reported_and_leave_the_default() {
    let settings = decided(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_PROPAGATORS", "xray"),
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
        "each warning is reported once: {:?}",
        settings.warnings
    );
}

#[test]
fn exponential_buckets_can_be_set_in_the_environment() {
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

#[test]
fn an_invalid_header_of_the_environment_is_reported_without_its_text_and_ignored() {
    let settings = decided(&[(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Authorization: Bearer c2VjcmV0==,x-name=%C3%A9secret,x-line=a%0Asecret,x-team=storage",
    )]);
    let expected = [("x-team".to_owned(), "storage".to_owned())];
    assert_eq!(settings.traces_otlp.headers, expected);
    let problems: Vec<_> = settings
        .warnings
        .iter()
        .map(|warning| warning.problem.as_str())
        .collect();
    assert_eq!(
        problems,
        [
            "member 1 is not a valid header; ignored",
            "member 2 is not a valid header; ignored",
            "member 3 is not a valid header; ignored"
        ]
    );
}

#[test]
fn words_are_read_in_any_letter_case() {
    let settings = decided(&[
        ("OTEL_TRACES_SAMPLER", "ALWAYS_OFF"),
        ("OTEL_TRACES_EXPORTER", "OTLP"),
        ("OTEL_METRICS_EXPORTER", "None"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/Protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZip"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ("OTEL_PROPAGATORS", "Baggage"),
        ("OTEL_LOG_LEVEL", "Debug"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "LowMemory",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "Base2_Exponential_Bucket_Histogram",
        ),
    ]);
    assert_eq!(settings.warnings, []);
    assert!(matches!(settings.sampler, Some(Sampler::AlwaysOff)));
    assert_eq!(
        (settings.traces, settings.metrics),
        (vec![Exporter::Otlp], vec![])
    );
    assert_eq!(settings.traces_otlp.protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(settings.traces_otlp.compression, OtlpCompression::Gzip);
    assert_eq!(settings.propagators, [Propagator::Baggage]);
    assert_eq!(
        settings.log_level,
        tracing::level_filters::LevelFilter::DEBUG
    );
    assert_eq!(settings.temporality, Temporality::LowMemory);
    assert_eq!(settings.buckets, HistogramBuckets::Exponential);
}

#[test]
fn a_sampler_that_cannot_be_read_is_reported_as_severe_with_what_applies_instead() {
    let expected = [
        (
            "jaeger_remote",
            "using parentbased_always_on, which samples every new trace",
        ),
        ("traceidratio", "using 1, which samples every new trace"),
    ];
    for (name, problem) in expected {
        let variables = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", "a lot"),
        ];
        let warnings = decided(&variables).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].is_severe());
        assert!(warnings[0].problem.ends_with(problem), "{warnings:?}");
        let own = Telemetry::builder().sampler(Sampler::AlwaysOff);
        let warnings = decide(own, &variables).warnings;
        assert_eq!(warnings, [], "the builder's sampler applies");
    }
    let unknown = decided(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]);
    assert!(unknown.sampler.is_none(), "the default applies");
}

#[test]
fn keys_and_values_of_resource_attributes_are_percent_decoded() {
    let resource = decided(&[(
        "OTEL_RESOURCE_ATTRIBUTES",
        "team%2Cname=a%3Db, deployment.environment.name = test ",
    )])
    .resource;
    let value = |key: &'static str| resource.get(&opentelemetry::Key::from_static_str(key));
    assert_eq!(value("team,name"), Some("a=b".into()));
    assert_eq!(value("deployment.environment.name"), Some("test".into()));
}

#[test]
fn one_invalid_resource_attribute_discards_the_whole_value() {
    for (member, problem) in [
        ("secret", "member 2 has no `=`; the whole value is ignored"),
        ("=secret", "member 2 has no key; the whole value is ignored"),
        (
            "b=%FF",
            "member 2 is not percent-encoded text; the whole value is ignored",
        ),
        (
            "b%G1=secret",
            "member 2 is not percent-encoded text; the whole value is ignored",
        ),
        (
            "b=50%",
            "member 2 is not percent-encoded text; the whole value is ignored",
        ),
    ] {
        let value = format!("a=1,{member},c=3");
        let settings = decided(&[
            ("OTEL_RESOURCE_ATTRIBUTES", value.as_str()),
            ("OTEL_SERVICE_NAME", "articles"),
        ]);
        let problems: Vec<_> = settings
            .warnings
            .iter()
            .map(|warning| warning.problem.as_str())
            .collect();
        assert_eq!(problems, [problem]);
        let get = |key| {
            settings
                .resource
                .get(&opentelemetry::Key::from_static_str(key))
        };
        assert_eq!((get("a"), get("c")), (None, None));
        assert_eq!(get("service.name"), Some("articles".into()));
    }
}

#[test]
fn a_configuration_file_is_reported_as_not_supported() {
    for variable in ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] {
        let settings = decided(&[(variable, "/etc/otel.yaml"), ("OTEL_SERVICE_NAME", "x")]);
        let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [format!(
                "{variable}: configuration files are not supported; the other variables are used"
            )]
        );
    }
}
