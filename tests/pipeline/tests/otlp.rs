//! The data that a collector receives: annotated calls and the spans of other crates over gRPC,
//! HTTP and TLS, with names, kinds, attribute types, parent ids, scope and resource, and the
//! histograms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, exemplar,
};
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use percolate_core::otel::{
    Environment, Otlp, OtlpCompression, OtlpProtocol, Sampler, Telemetry, TelemetryBuilder,
    TelemetryGuard, TraceContext, attach_trace_context,
};
use percolate_core::{background_job, db_op};
use percolate_pipeline_tests::{Answer, Collector, typed};
use tracing_subscriber::prelude::*;

const SOON: Duration = Duration::from_secs(20);

#[db_op(get, cf, namespace = "demo")]
fn get(cf: &str, found: bool) -> Result<Option<Vec<u8>>, std::io::Error> {
    Ok(found.then(|| cf.as_bytes().to_vec()))
}

#[db_op(put, cf)]
fn put_busy(cf: &str) -> Result<(), std::io::Error> {
    Err(std::io::Error::new(
        std::io::ErrorKind::ResourceBusy,
        cf.to_owned(),
    ))
}

#[background_job(index.key.rebuild, target = "all", batch_size = |n| *n)]
fn rebuild(found: bool) -> usize {
    _ = get("articles", found);
    2
}

/// A pipeline that does not read the environment of the test process.
fn pipeline(otlp: Otlp) -> TelemetryBuilder {
    Telemetry::builder()
        .environment(Environment::empty())
        .service_name("shop")
        .otlp(otlp)
}

fn build(builder: TelemetryBuilder) -> TelemetryGuard {
    builder.build().expect("the pipeline can be built")
}

#[test]
fn an_annotated_call_arrives_with_its_name_kind_and_typed_attributes() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())));
    let scope = guard.enter();
    rebuild(true);
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");

    let job = collector.span("index.key.rebuild all");
    let get = collector.span("get articles");
    assert_eq!(get.span.kind(), SpanKind::Client);
    assert_eq!(job.span.kind(), SpanKind::Internal);
    assert_eq!(get.span.parent_span_id, job.span.span_id);
    assert_eq!(get.span.trace_id, job.span.trace_id);
    assert_eq!(job.span.parent_span_id, Vec::<u8>::new());
    assert!(get.span.start_time_unix_nano >= job.span.start_time_unix_nano);
    assert!(get.span.end_time_unix_nano <= job.span.end_time_unix_nano);

    let of_get = |key| typed(&get.span.attributes, key);
    assert_eq!(of_get("db.system.name").as_deref(), Some("string:rocksdb"));
    assert_eq!(of_get("db.operation.name").as_deref(), Some("string:get"));
    assert_eq!(
        of_get("db.collection.name").as_deref(),
        Some("string:articles")
    );
    assert_eq!(of_get("db.namespace").as_deref(), Some("string:demo"));
    assert_eq!(
        of_get("db.response.returned_rows").as_deref(),
        Some("int:1")
    );
    assert_eq!(of_get("error.type"), None);
    assert_eq!(get.span.status, Some(Status::default()), "unset on success");
    let of_job = |key| typed(&job.span.attributes, key);
    assert_eq!(
        of_job("job.type").as_deref(),
        Some("string:index.key.rebuild")
    );
    assert_eq!(of_job("job.target").as_deref(), Some("string:all"));
    assert_eq!(of_job("job.batch_size").as_deref(), Some("int:2"));
    assert_eq!(of_job("job.status").as_deref(), Some("string:success"));
    assert!(of_job("job.duration_ms").is_some_and(|value| value.starts_with("int:")));

    assert_eq!(get.scope.name, "percolate");
    assert_eq!(
        typed(&get.resource, "service.name").as_deref(),
        Some("string:shop")
    );
    assert_eq!(
        typed(&get.resource, "process.pid"),
        Some(format!("int:{}", std::process::id()))
    );
    assert_eq!(
        typed(&get.resource, "telemetry.sdk.language").as_deref(),
        Some("string:rust")
    );
}

#[test]
fn a_failed_call_arrives_with_status_and_error_type() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())));
    let scope = guard.enter();
    put_busy("articles").expect_err("it is busy");
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let put = collector.span("put articles");
    assert_eq!(
        put.span.status.clone().map(|status| status.code()),
        Some(StatusCode::Error)
    );
    assert!(
        typed(&put.span.attributes, "error.type").is_some_and(|value| value.starts_with("string:"))
    );
}

#[test]
fn the_duration_histogram_arrives_in_seconds_with_the_storage_bounds() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())));
    let scope = guard.enter();
    for _ in 0..3 {
        get("articles", true).expect("found");
    }
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let (unit, points) = collector.histogram("db.client.operation.duration");
    assert_eq!(unit, "s");
    assert_eq!(points.len(), 1, "one series: {points:?}");
    assert_eq!(points[0].count, 3);
    assert_eq!(
        points[0].explicit_bounds,
        percolate_core::otel::STORAGE_BOUNDS
    );
    assert!(
        points[0].sum.is_some_and(|sum| sum > 0.0 && sum < 1.0),
        "{points:?}"
    );
    let attribute = |key| typed(&points[0].attributes, key);
    assert_eq!(
        attribute("db.operation.name").as_deref(),
        Some("string:get")
    );
    assert_eq!(
        attribute("db.collection.name").as_deref(),
        Some("string:articles")
    );
    assert_eq!(attribute("error.type"), None);
}

#[test]
fn histograms_have_the_chosen_buckets() {
    use percolate_core::otel::{ADVISED_BOUNDS, HistogramBuckets};
    let data = |buckets| {
        let collector = Collector::grpc(Answer::Accept);
        let guard = build(pipeline(Otlp::to(collector.endpoint())).histogram_buckets(buckets));
        let scope = guard.enter();
        get("articles", true).expect("found");
        drop(scope);
        guard.shutdown(SOON).expect("the collector answers");
        let duration = collector
            .metrics()
            .into_iter()
            .find(|metric| metric.name == "db.client.operation.duration");
        duration.and_then(|metric| metric.data)
    };
    match data(HistogramBuckets::Advised) {
        Some(Data::Histogram(histogram)) => {
            assert_eq!(histogram.data_points[0].explicit_bounds, ADVISED_BOUNDS);
        }
        other => panic!("explicit buckets: {other:?}"),
    }
    match data(HistogramBuckets::Exponential) {
        Some(Data::ExponentialHistogram(histogram)) => {
            assert_eq!(histogram.data_points[0].count, 1);
        }
        other => panic!("exponential buckets: {other:?}"),
    }
}

#[test]
fn exponential_buckets_in_the_environment_are_those_of_every_histogram() {
    use opentelemetry::metrics::MeterProvider as _;
    use percolate_core::otel::HistogramBuckets;
    let names = |builder: TelemetryBuilder| {
        let collector = Collector::grpc(Answer::Accept);
        let environment: Environment = [(
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        )]
        .into_iter()
        .collect();
        let otlp = Otlp::to(collector.endpoint());
        let guard = build(builder.environment(environment).otlp(otlp));
        let scope = guard.enter();
        rebuild(true);
        drop(scope);
        let meter = guard.meter_provider().expect("metrics are exported");
        let meter = meter.meter("other");
        meter.u64_histogram("sizes").build().record(7, &[]);
        let bounded = meter.f64_histogram("waits").with_boundaries(vec![1.0, 2.0]);
        bounded.build().record(1.5, &[]);
        meter.u64_counter("calls").build().add(1, &[]);
        guard.shutdown(SOON).expect("the collector answers");
        let mut explicit: Vec<_> = collector
            .metrics()
            .into_iter()
            .filter(|metric| matches!(metric.data, Some(Data::Histogram(_))))
            .map(|metric| metric.name)
            .collect();
        explicit.sort();
        let exponential = collector
            .metrics()
            .into_iter()
            .filter(|metric| matches!(metric.data, Some(Data::ExponentialHistogram(_))))
            .count();
        (explicit, exponential)
    };
    let (explicit, exponential) = names(Telemetry::builder());
    assert_eq!(explicit, Vec::<String>::new());
    assert!(exponential >= 4, "{exponential}");
    // The builder's buckets win for the durations, and for them only.
    let own = Telemetry::builder().histogram_buckets(HistogramBuckets::Advised);
    let (explicit, _) = names(own);
    assert_eq!(explicit, ["db.client.operation.duration", "job.duration"]);
}

#[test]
fn the_wait_in_a_queue_has_the_chosen_buckets() {
    use percolate_core::otel::{HistogramBuckets, QueueWait};
    let collector = Collector::grpc(Answer::Accept);
    let buckets = HistogramBuckets::Explicit(vec![1.0, 60.0]);
    let guard = build(pipeline(Otlp::to(collector.endpoint())).histogram_buckets(buckets));
    let scope = guard.enter();
    QueueWait::begin("reports").end();
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let (_, points) = collector.histogram("job.queue.wait");
    assert_eq!(points[0].explicit_bounds, [1.0, 60.0]);
}

#[test]
fn delta_temporality_counts_since_the_last_export() {
    use opentelemetry_sdk::metrics::Temporality;
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())).temporality(Temporality::Delta));
    for calls in [2_u64, 3] {
        let scope = guard.enter();
        for _ in 0..calls {
            get("articles", true).expect("found");
        }
        drop(scope);
        guard.force_flush(SOON).expect("the collector answers");
        assert_eq!(
            collector.histogram("db.client.operation.duration").1[0].count,
            calls
        );
    }
}

#[test]
fn a_remote_parent_is_the_parent_that_arrives() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())));
    let scope = guard.enter();
    let headers = [
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("tracestate", "a=b"),
    ];
    let context: TraceContext = headers.into_iter().collect();
    let attached = attach_trace_context(Some(context));
    get("articles", true).expect("found");
    drop(attached);
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let get = collector.span("get articles").span;
    assert_eq!(
        get.trace_id,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
    );
    assert_eq!(get.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(get.trace_state, "a=b");
}

#[test]
fn tracing_spans_and_annotated_calls_nest_both_ways_and_are_exported_once() {
    #[db_op(scan, cf)]
    fn scan(cf: &str) -> Vec<u8> {
        tracing::info_span!("decode", cf).in_scope(Vec::new)
    }
    let collector = Collector::grpc(Answer::Accept);
    let guard = build(pipeline(Otlp::to(collector.endpoint())));
    let subscriber = tracing_subscriber::registry()
        .with(guard.layer())
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        tracing::info_span!("request").in_scope(|| scan("articles"));
    });
    guard.shutdown(SOON).expect("the collector answers");
    let (request, scan, decode) = (
        collector.span("request").span,
        collector.span("scan articles").span,
        collector.span("decode").span,
    );
    assert_eq!(scan.parent_span_id, request.span_id);
    assert_eq!(decode.parent_span_id, scan.span_id);
    assert_eq!(decode.trace_id, request.trace_id);
    assert_eq!(collector.spans().len(), 3);
    let keys: Vec<_> = request
        .attributes
        .iter()
        .map(|attribute| attribute.key.as_str())
        .collect();
    assert_eq!(
        keys,
        Vec::<&str>::new(),
        "tracing-opentelemetry's own attributes are off"
    );
}

#[test]
fn http_exports_the_same_spans_to_its_own_paths() {
    let collector = Collector::http(Answer::Accept);
    let otlp = Otlp::to(collector.endpoint())
        .protocol(OtlpProtocol::HttpProtobuf)
        .header("x-team", "storage");
    let guard = build(pipeline(otlp));
    let scope = guard.enter();
    get("articles", true).expect("found");
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    assert_eq!(
        typed(
            &collector.span("get articles").span.attributes,
            "db.namespace"
        )
        .as_deref(),
        Some("string:demo")
    );
    assert_eq!(
        collector.histogram("db.client.operation.duration").1.len(),
        1
    );
    let mut paths = collector.paths();
    paths.sort();
    paths.dedup();
    assert_eq!(paths, ["/v1/metrics", "/v1/traces"]);
    assert!(
        collector
            .header("x-team")
            .iter()
            .all(|team| team == "storage")
    );
    assert_eq!(
        collector.header("content-type")[0],
        "application/x-protobuf"
    );
}

#[test]
fn http_json_exports_the_same_data_in_the_json_form_of_protobuf() {
    let collector = Collector::http(Answer::Accept);
    let endpoint = collector.endpoint();
    let environment: Environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ]
    .into_iter()
    .collect();
    let guard = build(Telemetry::builder().environment(environment));
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        get("articles", true).expect("found");
        tracing::info!("an event");
    });
    guard.shutdown(SOON).expect("the collector answers");
    assert_eq!(guard.status().warnings, []);
    let get = collector.span("get articles");
    assert_eq!(
        typed(&get.span.attributes, "db.response.returned_rows").as_deref(),
        Some("int:1")
    );
    assert_eq!(
        collector.histogram("db.client.operation.duration").1[0].count,
        1
    );
    assert_eq!(collector.logs().len(), 1);
    let types = collector.header("content-type");
    assert!(types.iter().all(|text| text == "application/json"));
    let text = collector
        .bodies()
        .into_iter()
        .filter_map(|body| String::from_utf8(body).ok())
        .find(|text| text.contains("resourceSpans"))
        .expect("spans as JSON");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    let trace_id: [u8; 16] = get.span.trace_id.try_into().expect("16 bytes");
    let hex = opentelemetry::trace::TraceId::from_bytes(trace_id).to_string();
    assert_eq!(span["traceId"], hex);
    assert_eq!(span["kind"], 3);
    assert!(span["startTimeUnixNano"].is_string());
}

#[test]
fn the_environment_configures_the_export() {
    let collector = Collector::grpc(Answer::Accept);
    let endpoint = collector.endpoint();
    let environment: Environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-signal=traces"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_SERVICE_NAME", "from-env"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test,service.name=ignored",
        ),
    ]
    .into_iter()
    .collect();
    let guard = build(Telemetry::builder().environment(environment));
    let scope = guard.enter();
    get("articles", true).expect("found");
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let get = collector.span("get articles");
    assert_eq!(
        typed(&get.resource, "service.name").as_deref(),
        Some("string:from-env")
    );
    assert_eq!(
        typed(&get.resource, "deployment.environment.name").as_deref(),
        Some("string:test")
    );
    assert_eq!(
        collector.header("x-signal"),
        ["traces"],
        "only on the signal it is for"
    );
    assert_eq!(
        collector.header("authorization"),
        ["Bearer abc"],
        "the signal's headers replace the general ones"
    );
    assert!(
        collector
            .header("grpc-encoding")
            .iter()
            .all(|encoding| encoding == "gzip")
    );
    assert_eq!(guard.status().warnings, []);
}

#[test]
fn events_become_log_records_with_the_ids_of_the_call_around_them() {
    #[db_op(merge, cf)]
    fn merge(cf: &str) {
        tracing::warn!(name: "merge.slow", cf, attempts = 3_i64, "took long");
        tracing::debug!("too detailed");
    }
    let both = [
        (Collector::grpc(Answer::Accept), OtlpProtocol::Grpc),
        (Collector::http(Answer::Accept), OtlpProtocol::HttpProtobuf),
    ];
    for (collector, protocol) in both {
        let otlp = Otlp::to(collector.endpoint()).protocol(protocol);
        let guard = build(pipeline(otlp).logs([percolate_core::otel::Exporter::Otlp]));
        let subscriber = tracing_subscriber::registry().with(guard.layer());
        tracing::subscriber::with_default(subscriber, || {
            let _scope = guard.enter();
            merge("articles");
        });
        guard.shutdown(SOON).expect("the collector answers");
        let merge = collector.span("merge articles").span;
        let logs = collector.logs();
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert_eq!(
            (&logs[0].trace_id, &logs[0].span_id),
            (&merge.trace_id, &merge.span_id)
        );
        assert_eq!(logs[0].event_name, "merge.slow");
        assert_eq!(logs[0].severity_text, "WARN");
        assert_eq!(
            typed(&logs[0].attributes, "attempts").as_deref(),
            Some("int:3")
        );
        assert_eq!(guard.status().logs[0].counts.exported, 1);
    }
}

#[test]
fn an_unsampled_root_exports_nothing_but_its_metrics() {
    let collector = Collector::grpc(Answer::Accept);
    let builder = pipeline(Otlp::to(collector.endpoint()).compression(OtlpCompression::Gzip));
    let guard = build(builder.sampler(Sampler::AlwaysOff));
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        rebuild(true);
    });
    guard.shutdown(SOON).expect("the collector answers");
    assert_eq!(collector.spans().len(), 0);
    assert_eq!(
        collector.histogram("db.client.operation.duration").1[0].count,
        1
    );
}

/// Returns the exemplars of a histogram as trace id, span id and value.
fn exemplars(points: &[HistogramDataPoint]) -> Vec<(Vec<u8>, Vec<u8>, f64)> {
    let all = points.iter().flat_map(|point| &point.exemplars);
    all.map(|exemplar| match exemplar.value {
        Some(exemplar::Value::AsDouble(value)) => {
            (exemplar.trace_id.clone(), exemplar.span_id.clone(), value)
        }
        other => panic!("{other:?} is not a float"),
    })
    .collect()
}

#[test]
fn an_exemplar_leads_to_the_exported_span() {
    for filter in [None, Some("trace_based"), Some("always_off")] {
        let collector = Collector::grpc(Answer::Accept);
        let environment: Environment = filter
            .map(|filter| ("OTEL_METRICS_EXEMPLAR_FILTER", filter))
            .into_iter()
            .collect();
        let builder = pipeline(Otlp::to(collector.endpoint()));
        let guard = build(builder.environment(environment));
        let subscriber = tracing_subscriber::registry().with(guard.layer());
        tracing::subscriber::with_default(subscriber, || {
            let _scope = guard.enter();
            rebuild(true);
        });
        guard.shutdown(SOON).expect("the collector answers");
        assert_eq!(guard.status().warnings, []);
        let (_, durations) = collector.histogram("db.client.operation.duration");
        let (_, jobs) = collector.histogram("job.duration");
        if filter == Some("always_off") {
            assert_eq!((exemplars(&durations), exemplars(&jobs)), (vec![], vec![]));
            continue;
        }
        for (points, name) in [(durations, "get articles"), (jobs, "index.key.rebuild all")] {
            let span = collector.span(name).span;
            let duration = span.end_time_unix_nano - span.start_time_unix_nano;
            let exemplars = exemplars(&points);
            assert_eq!(exemplars.len(), 1, "{name}: {points:?}");
            let (trace_id, span_id, value) = &exemplars[0];
            assert_eq!((trace_id, span_id), (&span.trace_id, &span.span_id));
            #[expect(clippy::cast_precision_loss, reason = "a short time")]
            let seconds = duration as f64 / 1e9;
            assert!((value - seconds).abs() < 1e-6, "{value} {seconds}");
            let point = &points[0];
            assert!(point.start_time_unix_nano < point.time_unix_nano);
            assert_eq!((point.min, point.max), (point.sum, point.sum));
        }
    }
}

#[test]
fn exponential_delta_histograms_have_exemplars_of_their_interval() {
    let collector = Collector::grpc(Answer::Accept);
    let environment: Environment = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        ),
    ]
    .into_iter()
    .collect();
    let guard = build(pipeline(Otlp::to(collector.endpoint())).environment(environment));
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        for table in ["articles", "pages"] {
            get(table, true).expect("found");
            guard.force_flush(SOON).expect("the collector answers");
        }
    });
    guard.shutdown(SOON).expect("the collector answers");
    let histograms: Vec<_> = collector
        .metrics()
        .into_iter()
        .filter(|metric| metric.name == "db.client.operation.duration")
        .filter_map(|metric| match metric.data {
            Some(Data::ExponentialHistogram(histogram)) => Some(histogram),
            _ => None,
        })
        .collect();
    assert_eq!(
        histograms.len(),
        2,
        "nothing was recorded before the shutdown"
    );
    let mut start = 0;
    for (histogram, name) in histograms.iter().zip(["get articles", "get pages"]) {
        assert_eq!(
            histogram.aggregation_temporality(),
            AggregationTemporality::Delta
        );
        let [point] = &histogram.data_points[..] else {
            panic!("one series in each interval: {histogram:?}");
        };
        assert_eq!(point.count, 1);
        assert_eq!(
            point
                .positive
                .as_ref()
                .map(|some| some.bucket_counts.clone()),
            Some(vec![1])
        );
        assert_eq!((point.min, point.max), (point.sum, point.sum));
        let span = collector.span(name).span;
        let [exemplar] = &point.exemplars[..] else {
            panic!("one exemplar: {point:?}");
        };
        assert_eq!(
            (&exemplar.trace_id, &exemplar.span_id),
            (&span.trace_id, &span.span_id)
        );
        assert!(point.start_time_unix_nano < point.time_unix_nano);
        assert!(start == 0 || point.start_time_unix_nano == start);
        start = point.time_unix_nano;
    }
}

/// Keeps what the console prints.
#[derive(Debug, Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Printed {
    /// Returns the words of the last line that begins with `first`.
    fn last_line(&self, first: &str) -> Vec<String> {
        let printed = self.0.lock().expect("not poisoned");
        let text = String::from_utf8_lossy(&printed);
        let line = text
            .lines()
            .map(str::trim)
            .rfind(|line| line.starts_with(first));
        let words = line.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect()
    }
}

#[test]
fn the_console_counts_from_the_start_while_otlp_exports_intervals() {
    use opentelemetry_sdk::metrics::Temporality;
    use percolate_core::otel::{Exporter, HistogramBuckets, QueueWait};
    for buckets in [HistogramBuckets::Storage, HistogramBuckets::Exponential] {
        let collector = Collector::grpc(Answer::Accept);
        let printed = Printed::default();
        let builder = pipeline(Otlp::to(collector.endpoint()))
            .traces([Exporter::Otlp])
            .metrics([Exporter::Console, Exporter::Otlp])
            .console_writer(printed.clone())
            .histogram_buckets(buckets)
            .temporality(Temporality::Delta);
        let guard = build(builder);
        for (calls, total) in [(1_u64, "1"), (2, "3")] {
            let scope = guard.enter();
            for _ in 0..calls {
                get("articles", true).expect("found");
                QueueWait::begin("reports").end();
            }
            drop(scope);
            guard.force_flush(SOON).expect("the collector answers");
            for name in ["db.client.operation.duration", "job.queue.wait"] {
                let metric = collector
                    .metrics()
                    .into_iter()
                    .rfind(|metric| metric.name == name);
                let counts: Vec<_> = match metric.and_then(|metric| metric.data) {
                    Some(Data::Histogram(histogram)) => histogram
                        .data_points
                        .iter()
                        .map(|point| point.count)
                        .collect(),
                    Some(Data::ExponentialHistogram(histogram)) => histogram
                        .data_points
                        .iter()
                        .map(|point| point.count)
                        .collect(),
                    other => panic!("{name}: {other:?}"),
                };
                assert_eq!(counts, [calls], "{name}");
            }
            let row = printed.last_line("get ");
            assert_eq!(row[..3], ["get", "articles", total], "{row:?}");
            assert!(!row.contains(&"-".to_owned()), "quantiles: {row:?}");
            let wait = printed.last_line("job.queue.wait{");
            assert_eq!(wait.last().map(String::as_str), Some("s"), "{wait:?}");
            assert_eq!(wait[wait.len() - 2], total, "{wait:?}");
        }
    }
}

#[test]
fn no_exemplar_names_a_span_that_was_not_sampled() {
    let collector = Collector::grpc(Answer::Accept);
    let builder = pipeline(Otlp::to(collector.endpoint()));
    let guard = build(builder.sampler(Sampler::AlwaysOff));
    let scope = guard.enter();
    get("articles", true).expect("found");
    drop(scope);
    guard.shutdown(SOON).expect("the collector answers");
    let (_, points) = collector.histogram("db.client.operation.duration");
    assert_eq!((points[0].count, exemplars(&points)), (1, vec![]));
}

/// Samples all spans except those with this name.
#[derive(Debug, Clone)]
struct AllBut(&'static str);

impl ShouldSample for AllBut {
    fn should_sample(
        &self,
        _: Option<&opentelemetry::Context>,
        _: opentelemetry::trace::TraceId,
        name: &str,
        _: &opentelemetry::trace::SpanKind,
        _: &[opentelemetry::KeyValue],
        _: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        let decision = if name == self.0 {
            SamplingDecision::Drop
        } else {
            SamplingDecision::RecordAndSample
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: opentelemetry::trace::TraceState::default(),
        }
    }
}

#[test]
fn spans_inside_an_unsampled_root_are_not_roots() {
    #[db_op(scan, cf)]
    fn scan(cf: &str) -> Vec<u8> {
        tracing::info_span!("decode", cf).in_scope(Vec::new)
    }
    let collector = Collector::grpc(Answer::Accept);
    let sampler =
        Sampler::ParentBased(Box::new(Sampler::Custom(Box::new(AllBut("scan articles")))));
    let guard = build(pipeline(Otlp::to(collector.endpoint())).sampler(sampler));
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        let _scope = guard.enter();
        scan("articles");
        tracing::info_span!("request").in_scope(|| scan("articles"));
    });
    guard.shutdown(SOON).expect("the collector answers");
    let mut names: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|received| received.span.name)
        .collect();
    names.sort();
    assert_eq!(names, ["decode", "request", "scan articles"]);
}

mod tls {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
        KeyPair,
    };
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
    use tonic::transport::{Certificate, Identity, ServerTlsConfig};

    use super::*;

    struct Files {
        _folder: tempfile::TempDir,
        authority: std::path::PathBuf,
        certificate: std::path::PathBuf,
        key: std::path::PathBuf,
        server: ServerTlsConfig,
        http_server: Arc<ServerConfig>,
    }

    /// The same certificates for a collector over HTTP, which also requires a client certificate.
    fn http_server(authority: &str, certificate: &str, key: &str) -> Arc<ServerConfig> {
        let der =
            |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(der(authority)).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config
            .expect("versions")
            .with_client_cert_verifier(verifier.expect("an authority"));
        Arc::new(
            config
                .with_single_cert(vec![der(certificate)], key)
                .expect("they belong together"),
        )
    }

    /// The certificates of an authority, the collector and the client.
    fn files() -> Files {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
            .expect("signs itself");
        let signed = |purpose| {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            params.extended_key_usages = vec![purpose];
            (
                params.signed_by(&key, &authority).expect("is signed").pem(),
                key.serialize_pem(),
            )
        };
        let (server_certificate, server_key) = signed(ExtendedKeyUsagePurpose::ServerAuth);
        let (certificate, key) = signed(ExtendedKeyUsagePurpose::ClientAuth);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, pem: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).expect("is written");
            path
        };
        Files {
            authority: write("ca.pem", &authority.pem()),
            certificate: write("client.pem", &certificate),
            key: write("client.key", &key),
            http_server: http_server(&authority.pem(), &server_certificate, &server_key),
            server: ServerTlsConfig::new()
                .identity(Identity::from_pem(server_certificate, server_key))
                .client_ca_root(Certificate::from_pem(authority.pem())),
            _folder: folder,
        }
    }

    #[test]
    fn a_collector_that_requires_a_client_certificate_receives_it() {
        let files = files();
        let both = [
            (
                Collector::grpc_with(Answer::Accept, Some(files.server.clone())),
                OtlpProtocol::Grpc,
            ),
            (
                Collector::http_with(Answer::Accept, Some(Arc::clone(&files.http_server))),
                OtlpProtocol::HttpProtobuf,
            ),
        ];
        for (collector, protocol) in both {
            let otlp = Otlp::to(collector.endpoint())
                .protocol(protocol)
                .certificate(&files.authority);
            let guard = build(pipeline(otlp.identity(&files.certificate, &files.key)));
            let scope = guard.enter();
            get("articles", true).expect("found");
            drop(scope);
            guard.shutdown(SOON).expect("the collector answers");
            collector.span("get articles");
        }
    }

    #[test]
    fn a_collector_with_an_untrusted_certificate_receives_nothing_and_the_error_names_it() {
        let files = files();
        let both = [
            (
                Collector::grpc_with(Answer::Accept, Some(files.server)),
                OtlpProtocol::Grpc,
            ),
            (
                Collector::http_with(Answer::Accept, Some(files.http_server)),
                OtlpProtocol::HttpProtobuf,
            ),
        ];
        let other = super::tls::files();
        for (collector, protocol) in both {
            let otlp = Otlp::to(collector.endpoint())
                .protocol(protocol)
                .certificate(&other.authority);
            let guard = build(pipeline(otlp));
            let scope = guard.enter();
            get("articles", true).expect("found");
            drop(scope);
            let error = guard
                .shutdown(SOON)
                .expect_err("its certificate is not trusted");
            let message = "the collector's certificate is not trusted: ";
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(collector.spans().len(), 0);
            assert_eq!(guard.status().traces[0].counts.failed, 1);
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_an_error_at_once() {
        for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
            let otlp = Otlp::to("https://collector.example")
                .protocol(protocol)
                .certificate("/nonexistent/ca.pem");
            let error = pipeline(otlp)
                .build()
                .expect_err("there is no such file")
                .to_string();
            assert!(error.contains("/nonexistent/ca.pem"), "{error}");
        }
    }
}
