//! Failed exports: they are tried again while their time limit allows, and their message names the
//! cause, over gRPC and HTTP alike.

use std::time::{Duration, Instant};

use percolate_core::db_op;
use percolate_core::otel::{Environment, Exporter, Otlp, OtlpProtocol, Telemetry, TelemetryGuard};
use percolate_pipeline_tests::{Answer, Collector, dead_endpoint};

/// Far longer than any time limit below.
const SOON: Duration = Duration::from_secs(30);

const PROTOCOLS: [OtlpProtocol; 2] = [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf];

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// A pipeline for spans alone.
fn traces(otlp: Otlp, protocol: OtlpProtocol) -> TelemetryGuard {
    Telemetry::builder()
        .environment(Environment::empty())
        .metrics([Exporter::None])
        .otlp(otlp.protocol(protocol))
        .build()
        .expect("building does not connect")
}

fn call(guard: &TelemetryGuard) {
    let _scope = guard.enter();
    get("articles");
}

#[test]
fn a_collector_that_restarts_within_the_timeout_receives_the_batch() {
    for protocol in PROTOCOLS {
        let endpoint = dead_endpoint();
        let port = endpoint
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .expect("a port");
        let guard = traces(Otlp::to(endpoint), protocol);
        call(&guard);
        let restart = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(3));
            match protocol {
                OtlpProtocol::Grpc => Collector::grpc_on(port, Answer::Accept),
                _ => Collector::http_on(port, Answer::Accept),
            }
        });
        let result = guard.force_flush(SOON);
        let collector = restart.join().expect("the collector starts");
        assert!(result.is_ok(), "{protocol:?}: {result:?}");
        assert_eq!(collector.spans().len(), 1);
        assert_eq!(guard.status().lost_spans(), 0);
    }
}

#[test]
fn the_delay_that_a_busy_collector_requests_is_kept() {
    let wait = Duration::from_secs(1);
    let busy = Answer::Busy { requests: 2, wait };
    let collectors = [Collector::grpc(busy), Collector::http(busy)];
    for (collector, protocol) in collectors.iter().zip(PROTOCOLS) {
        let guard = traces(Otlp::to(collector.endpoint()), protocol);
        call(&guard);
        guard.force_flush(SOON).expect("it accepts in the end");
        assert_eq!(collector.spans().len(), 1);
        assert!(collector.waited() >= wait, "{:?}", collector.waited());
    }
}

#[test]
fn an_export_is_given_up_when_the_requested_delay_exceeds_its_time_limit() {
    let wait = Duration::from_mins(1);
    let busy = Answer::Busy { requests: 9, wait };
    let collectors = [Collector::grpc(busy), Collector::http(busy)];
    for (collector, protocol) in collectors.iter().zip(PROTOCOLS) {
        let guard = traces(Otlp::to(collector.endpoint()), protocol);
        call(&guard);
        let started = Instant::now();
        let error = guard.force_flush(SOON).expect_err("it is busy");
        assert!(started.elapsed() < Duration::from_secs(9), "at once");
        assert!(error.to_string().contains("60s"), "{error}");
    }
}

#[test]
fn a_failed_export_names_its_cause() {
    for protocol in PROTOCOLS {
        let timeout = Duration::from_millis(400);
        let failure = |endpoint: String| {
            let guard = traces(Otlp::to(endpoint).timeout(timeout), protocol);
            call(&guard);
            guard.force_flush(SOON).expect_err("it fails").to_string()
        };
        let refused = failure(dead_endpoint());
        assert!(refused.contains("Connection refused"), "{refused}");
        let late = Answer::After(SOON);
        let slow = match protocol {
            OtlpProtocol::Grpc => Collector::grpc(late),
            _ => Collector::http(late),
        };
        let late = failure(slow.endpoint());
        assert!(late.contains("no response in time"), "{late}");
    }
}

#[test]
fn spans_that_a_collector_rejects_from_an_accepted_batch_are_counted_as_failed() {
    let collector = Collector::grpc(Answer::RejectOne);
    let guard = traces(Otlp::to(collector.endpoint()), OtlpProtocol::Grpc);
    for _ in 0..3 {
        call(&guard);
    }
    guard.force_flush(SOON).expect_err("one is rejected");
    let counts = guard.status().traces[0].counts.clone();
    assert_eq!((counts.exported, counts.failed), (2, 1), "{counts:?}");
}

#[test]
fn a_shutdown_does_not_wait_for_further_attempts() {
    for protocol in PROTOCOLS {
        let guard = traces(Otlp::to(dead_endpoint()), protocol);
        call(&guard);
        let started = Instant::now();
        let limit = Duration::from_millis(700);
        guard.shutdown(limit).expect_err("no listener");
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}
