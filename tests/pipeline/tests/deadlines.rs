//! Unreachable, slow and refusing collectors: callers never wait for them, flush and shutdown keep
//! their deadlines on any kind of thread, and every lost span is counted.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use percolate_core::db_op;
use percolate_core::otel::{
    Environment, Exporter, Otlp, Signal, Telemetry, TelemetryBuilder, TelemetryError,
    TelemetryGuard,
};
use percolate_pipeline_tests::{Answer, Collector, dead_endpoint, typed};
use tracing_subscriber::layer::SubscriberExt as _;

/// Far longer than any deadline below, and far shorter than a hang.
const HANG: Duration = Duration::from_mins(1);

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

fn pipeline(endpoint: String) -> TelemetryBuilder {
    Telemetry::builder()
        .environment(Environment::empty())
        .otlp(Otlp::to(endpoint))
}

fn calls(guard: &TelemetryGuard, count: usize) {
    let _scope = guard.enter();
    for _ in 0..count {
        get("articles");
    }
}

/// Asserts that every span is counted as lost.
#[track_caller]
fn assert_all_lost(guard: &TelemetryGuard, spans: u64) {
    let status = guard.status();
    let counts = &status.traces[0].counts;
    assert_eq!(counts.exported, 0, "{status:?}");
    assert_eq!(status.lost_spans(), spans, "{status:?}");
}

#[test]
fn a_dead_collector_costs_no_more_than_the_deadline_and_its_losses_are_counted() {
    let guard = pipeline(dead_endpoint())
        .build()
        .expect("building does not connect");
    calls(&guard, 10);
    let started = Instant::now();
    let error = guard
        .shutdown(Duration::from_millis(500))
        .expect_err("no listener");
    assert!(started.elapsed() < HANG);
    assert!(
        matches!(
            error,
            TelemetryError::Timeout { .. } | TelemetryError::Export { .. }
        ),
        "{error}"
    );
    wait_until(|| guard.status().lost_spans() == 10);
    assert_all_lost(&guard, 10);
}

#[test]
fn a_flush_against_a_slow_collector_ends_at_its_deadline_and_loses_nothing() {
    let collector = Collector::grpc(Answer::After(Duration::from_millis(600)));
    let guard = pipeline(collector.endpoint())
        .build()
        .expect("building does not connect");
    calls(&guard, 5);
    let error = guard
        .force_flush(Duration::from_millis(100))
        .expect_err("it takes longer");
    assert!(
        matches!(
            error,
            TelemetryError::Timeout {
                operation: "flush",
                ..
            }
        ),
        "{error}"
    );
    guard.shutdown(HANG).expect("it answers in the end");
    assert_eq!(collector.spans().len(), 5);
    assert_eq!(guard.status().lost_spans(), 0);
}

#[test]
fn shutdown_gives_up_a_slow_collector_at_its_deadline() {
    let collector = Collector::grpc(Answer::After(HANG));
    let guard = pipeline(collector.endpoint())
        .build()
        .expect("building does not connect");
    assert_gives_up(&guard);
    assert_all_lost(&guard, 5);
}

/// Checks that the shutdown of a pipeline whose collector hangs keeps its deadline, and that the
/// spans are counted as lost.
fn assert_gives_up(guard: &TelemetryGuard) {
    calls(guard, 5);
    let started = Instant::now();
    guard
        .shutdown(Duration::from_millis(300))
        .expect_err("it takes longer");
    assert!(started.elapsed() < HANG / 2);
    wait_until(|| guard.status().lost_spans() == 5);
}

#[test]
fn spans_that_a_collector_refuses_are_counted_as_failed() {
    let collector = Collector::grpc(Answer::Refuse);
    let guard = pipeline(collector.endpoint())
        .build()
        .expect("building does not connect");
    calls(&guard, 3);
    let error = guard.force_flush(HANG).expect_err("it refuses");
    assert!(matches!(error, TelemetryError::Export { .. }), "{error}");
    for signal in ["traces", "metrics"] {
        let message = format!(
            "{signal} to {} (OTLP/gRPC): the collector returned the status",
            collector.endpoint()
        );
        assert!(error.to_string().contains(&message), "{error}");
    }
    let counts = guard.status().traces[0].counts.clone();
    assert_eq!((counts.failed, counts.exported), (3, 0));
    assert!(
        counts
            .last_error
            .is_some_and(|error| error.contains("InvalidArgument"))
    );
}

#[test]
fn spans_of_other_crates_beyond_the_queue_are_dropped_counted_and_never_block() {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    let collector = Collector::grpc(Answer::After(HANG));
    let builder = pipeline(collector.endpoint()).queue_size(4).batch_size(2);
    let guard = builder.build().expect("building does not connect");
    let tracer = guard
        .tracer_provider()
        .expect("traces are enabled")
        .tracer("other_crate");
    let started = Instant::now();
    for _ in 0..100 {
        drop(tracer.start("work"));
    }
    assert!(started.elapsed() < HANG / 2);
    let counts = guard.status().traces[0].counts.clone();
    assert!(counts.dropped_queue_full >= 90, "{counts:?}");
    guard
        .shutdown(Duration::from_millis(100))
        .expect_err("it is slow");
    wait_until(|| guard.status().lost_spans() == 100);
}

#[test]
fn spans_that_end_after_the_shutdown_are_counted_as_lost() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = pipeline(collector.endpoint())
        .build()
        .expect("building does not connect");
    guard.shutdown(HANG).expect("it answers");
    calls(&guard, 2);
    wait_until(|| guard.status().lost_spans() == 2);
    assert!(matches!(
        guard.force_flush(HANG),
        Err(TelemetryError::AlreadyShutdown)
    ));
    assert!(
        guard.shutdown(HANG).is_ok(),
        "a second shutdown does nothing"
    );
}

#[test]
fn a_current_thread_runtime_can_flush_and_drop_the_guard_on_its_only_thread() {
    let collector = Collector::grpc(Answer::Accept);
    let endpoint = collector.endpoint();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let guard = pipeline(endpoint)
            .build()
            .expect("building does not connect");
        calls(&guard, 3);
        guard.force_flush(HANG).expect("it answers");
        calls(&guard, 2);
        drop(guard);
    });
    assert_eq!(collector.spans().len(), 5);
}

#[test]
fn the_guard_outlives_the_runtime_that_created_it() {
    let collector = Collector::grpc(Answer::Accept);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let endpoint = collector.endpoint();
    let guard = runtime
        .block_on(async { pipeline(endpoint).build() })
        .expect("building does not connect");
    runtime.block_on(async { calls(&guard, 3) });
    drop(runtime);
    calls(&guard, 4);
    guard.shutdown(HANG).expect("it answers");
    assert_eq!(collector.spans().len(), 7);
}

#[test]
fn dropping_the_guard_against_a_dead_collector_takes_its_shutdown_timeout_at_most() {
    let builder = pipeline(dead_endpoint()).shutdown_timeout(Duration::from_millis(200));
    let guard = builder.build().expect("building does not connect");
    calls(&guard, 10);
    let started = Instant::now();
    drop(guard);
    assert!(started.elapsed() < HANG / 2);
}

#[test]
fn a_collector_that_comes_back_receives_later_spans() {
    let endpoint = dead_endpoint();
    let otlp = Otlp::to(endpoint.clone()).timeout(Duration::from_millis(100));
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .otlp(otlp)
        .build()
        .expect("building does not connect");
    calls(&guard, 1);
    guard.force_flush(HANG).expect_err("no listener");
    let port = endpoint
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("a port");
    let collector = Collector::grpc_on(port, Answer::Accept);
    calls(&guard, 1);
    wait_until(|| guard.force_flush(HANG).is_ok());
    assert!(!collector.spans().is_empty());
}

#[test]
fn a_shutdown_waits_for_metrics_longer_than_the_readers_own_limit() {
    let collector = Collector::grpc(Answer::After(Duration::from_millis(5500)));
    let guard = pipeline(collector.endpoint())
        .traces([Exporter::None])
        .build()
        .expect("building does not connect");
    calls(&guard, 1);
    guard.shutdown(HANG).expect("it answers in the end");
    assert_ne!(collector.metrics(), []);
}

#[test]
fn a_timeout_of_zero_is_no_limit_and_loses_nothing() {
    let collectors = [
        Collector::grpc(Answer::After(Duration::from_millis(50))),
        Collector::http(Answer::After(Duration::from_millis(50))),
    ];
    for (collector, protocol) in collectors.iter().zip(["grpc", "http/protobuf"]) {
        let endpoint = collector.endpoint();
        let environment: Environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "0"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "0"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ]
        .into_iter()
        .collect();
        let guard = Telemetry::builder()
            .environment(environment)
            .build()
            .expect("building does not connect");
        calls(&guard, 3);
        let subscriber = tracing_subscriber::registry().with(guard.layer());
        tracing::subscriber::with_default(subscriber, || tracing::info!("an event"));
        guard.shutdown(HANG).expect("it answers");
        assert_eq!(collector.spans().len(), 3, "{protocol}");
        assert_eq!(collector.logs().len(), 1, "{protocol}");
        assert_ne!(collector.metrics(), [], "{protocol}");
    }
}

#[test]
fn a_timeout_of_zero_does_not_delay_the_shutdown() {
    let collector = Collector::grpc(Answer::After(HANG));
    let otlp = Otlp::to(collector.endpoint()).timeout(Duration::ZERO);
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .otlp(otlp)
        .export_timeout(Duration::ZERO)
        .build()
        .expect("building does not connect");
    assert_gives_up(&guard);
}

#[test]
fn lost_log_records_are_a_metric() {
    let [slow, collector] = [Answer::After(HANG), Answer::Accept].map(Collector::grpc);
    let environment: Environment = [("OTEL_BLRP_MAX_QUEUE_SIZE", "1")].into_iter().collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .otlp(Otlp::to(collector.endpoint()))
        .otlp_for(Signal::Logs, Otlp::to(slow.endpoint()))
        .logs([Exporter::Otlp])
        .build()
        .expect("building does not connect");
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..8 {
            tracing::info!(number, "an event");
        }
    });
    guard
        .shutdown(Duration::from_secs(1))
        .expect_err("one collector is slow");
    let lost: Vec<_> = collector
        .metrics()
        .into_iter()
        .filter(|metric| metric.name == "otel.sdk.processor.log.processed")
        .flat_map(|metric| match metric.data {
            Some(Data::Sum(sum)) => sum.data_points,
            _ => Vec::new(),
        })
        .filter(|point| {
            typed(&point.attributes, "error.type").as_deref() == Some("string:queue_full")
        })
        .collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    let component = typed(&lost[0].attributes, "otel.component.type");
    assert_eq!(component.as_deref(), Some("string:batching_log_processor"));
}

#[test]
fn log_records_beyond_the_queue_are_dropped_counted_and_never_block() {
    let collector = Collector::grpc(Answer::After(HANG));
    let environment: Environment = [
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "2"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1"),
    ]
    .into_iter()
    .collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .otlp(Otlp::to(collector.endpoint()))
        .logs([Exporter::Otlp])
        .build()
        .expect("building does not connect");
    let subscriber = tracing_subscriber::registry().with(guard.layer());
    let started = Instant::now();
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..18 {
            tracing::info!(number, "an event");
        }
    });
    assert!(started.elapsed() < HANG / 2);
    let counts = guard.status().logs[0].counts.clone();
    assert!(counts.dropped_queue_full >= 15, "{counts:?}");
    guard
        .shutdown(Duration::from_millis(100))
        .expect_err("it is slow");
    wait_until(|| guard.status().lost_log_records() == 18);
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + HANG / 2;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "the condition was not met in time"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
