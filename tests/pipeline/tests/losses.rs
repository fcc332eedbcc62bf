//! What is reported about losses: rejected data is a loss with the collector's message, in the
//! counts and on a line of the diagnostics, and accepted data is not sent again.

use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use percolate_core::db_op;
use percolate_core::otel::{
    Environment, Exporter, Otlp, OtlpProtocol, Telemetry, TelemetryBuilder, TelemetryGuard,
};
use percolate_pipeline_tests::{Answer, Collector};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

/// Far longer than any time limit below.
const SOON: Duration = Duration::from_secs(30);

const PROTOCOLS: [OtlpProtocol; 3] = [
    OtlpProtocol::Grpc,
    OtlpProtocol::HttpProtobuf,
    OtlpProtocol::HttpJson,
];

/// The lines of the global subscriber, which has the level of the one that `install` installs.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static SUBSCRIBER: LazyLock<()> = LazyLock::new(|| {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(|| Lines);
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::WARN)
        .with(lines);
    tracing::subscriber::set_global_default(subscriber).expect("it is the first");
});

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the lines about this collector.
fn lines(collector: &Collector) -> Vec<String> {
    lines_with(&collector.endpoint())
}

fn lines_with(part: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8(lines.clone()).expect("text");
    lines
        .lines()
        .filter(|line| line.contains(part))
        .map(str::to_owned)
        .collect()
}

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

fn collector(protocol: OtlpProtocol, answer: Answer) -> Collector {
    match protocol {
        OtlpProtocol::Grpc => Collector::grpc(answer),
        _ => Collector::http(answer),
    }
}

fn pipeline(collector: &Collector, protocol: OtlpProtocol) -> TelemetryBuilder {
    LazyLock::force(&SUBSCRIBER);
    let otlp = Otlp::to(collector.endpoint())
        .protocol(protocol)
        .header("authorization", "Bearer canaryheader");
    Telemetry::builder()
        .environment(Environment::empty())
        .metrics([Exporter::None])
        .otlp(otlp)
}

fn calls(guard: &TelemetryGuard, count: usize) {
    let _scope = guard.enter();
    for _ in 0..count {
        get("canarynames");
    }
}

#[test]
fn rejected_data_of_every_signal_is_a_loss_with_the_collectors_message() {
    let message = "quota exceeded\nfor canarynames and canaryheader: 10 a second";
    for protocol in PROTOCOLS {
        let collector = collector(protocol, Answer::RejectAll(message));
        let guard = pipeline(&collector, protocol)
            .metrics([Exporter::Otlp])
            .logs([Exporter::Otlp])
            .build()
            .expect("building does not connect");
        calls(&guard, 3);
        let subscriber = tracing_subscriber::registry().with(guard.layer());
        tracing::subscriber::with_default(subscriber, || tracing::info!("canarynames"));
        let error = guard.force_flush(SOON).expect_err("all is rejected");
        let status = guard.status();
        let public = "quota exceeded for … and … 10 a second";
        for (exporter, count, rejected) in [
            (&status.traces[0], 3, "3 of 3 spans"),
            (&status.metrics[0], 1, "1 data points"),
            (&status.logs[0], 1, "1 of 1 log records"),
        ] {
            let counts = &exporter.counts;
            assert_eq!((counts.exported, counts.failed), (0, count), "{status:?}");
            let problem = format!("the collector rejected {rejected}: {public}");
            assert_eq!(counts.last_error.as_deref(), Some(&*problem));
            assert!(error.to_string().contains(&problem), "{error}");
            let lines = lines(&collector);
            let lines: Vec<_> = lines
                .iter()
                .filter(|line| line.contains(&problem))
                .collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains(" WARN "), "{lines:?}");
        }
        let lines = lines(&collector).join("\n");
        assert!(!lines.contains("canary"), "{lines}");
    }
}

#[test]
fn a_warning_of_a_collector_is_reported_and_nothing_is_lost() {
    for protocol in PROTOCOLS {
        let collector = collector(protocol, Answer::Warn("the endpoint is deprecated"));
        let guard = pipeline(&collector, protocol)
            .metrics([Exporter::Otlp])
            .build()
            .expect("building does not connect");
        calls(&guard, 3);
        guard.force_flush(SOON).expect("it accepts");
        let status = guard.status();
        for (exporter, exported) in [(&status.traces[0], 3), (&status.metrics[0], 1)] {
            let counts = &exporter.counts;
            assert_eq!((counts.exported, counts.failed), (exported, 0));
            let problem = counts.last_error.as_deref().unwrap_or_default();
            assert!(problem.contains("with a warning"), "{problem}");
            assert!(problem.ends_with("is deprecated"), "{problem}");
            let lines = lines(&collector);
            assert!(lines.iter().any(|line| line.contains(problem)), "{lines:?}");
        }
    }
}

#[test]
fn a_request_is_delivered_once_whatever_the_response_contains() {
    let answers = [Answer::Long(5 << 20), Answer::CutOff, Answer::Garbage];
    for protocol in PROTOCOLS {
        for answer in answers {
            let collector = collector(protocol, answer);
            let guard = pipeline(&collector, protocol)
                .build()
                .expect("building does not connect");
            calls(&guard, 3);
            guard.force_flush(SOON).expect("the spans are accepted");
            let counts = guard.status().traces[0].counts.clone();
            assert_eq!((counts.exported, counts.failed), (3, 0), "{answer:?}");
            assert_eq!(collector.spans().len(), 3, "{protocol:?} {answer:?}");
        }
    }
}

#[test]
fn a_flapping_collector_is_reported_when_its_losses_begin_and_at_the_end() {
    let collector = Collector::grpc(Answer::Flap);
    let guard = pipeline(&collector, OtlpProtocol::Grpc)
        .build()
        .expect("building does not connect");
    for _ in 0..20 {
        calls(&guard, 1);
        _ = guard.force_flush(SOON);
    }
    assert_eq!(guard.status().traces[0].counts.failed, 10);
    let of_losses = lines(&collector);
    assert_eq!(of_losses.len(), 1, "{of_losses:?}");
    assert!(of_losses[0].contains(" WARN "), "{of_losses:?}");
    assert!(of_losses[0].contains("spans are lost"), "{of_losses:?}");
    guard.shutdown(SOON).expect("nothing is queued");
    let of_losses = lines(&collector);
    assert_eq!(of_losses.len(), 2, "{of_losses:?}");
    assert!(of_losses[1].contains("10 spans were lost"), "{of_losses:?}");
}

#[test]
fn a_burst_that_a_healthy_collector_cannot_follow_is_reported() {
    let collector = Collector::grpc(Answer::Accept);
    let guard = pipeline(&collector, OtlpProtocol::Grpc)
        .build()
        .expect("building does not connect");
    calls(&guard, 300_000);
    _ = guard.force_flush(SOON);
    let dropped = guard.status().dropped_records;
    assert_ne!(dropped, 0, "the burst is too small");
    let begins = lines(&collector);
    assert_eq!(begins.len(), 1, "{begins:?}");
    assert!(
        begins[0].contains("faster than they are exported"),
        "{begins:?}"
    );
    guard.shutdown(SOON).expect("it accepts");
    let ends = lines(&collector);
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(
        ends[1].contains(&format!("{dropped} spans were lost")),
        "{ends:?}"
    );
}

/// Reports what the SDK's processors and exporters report about losses, and makes a span.
fn report_loss(of: &str) -> tracing::Span {
    tracing::warn!(target: "opentelemetry_sdk", "{of} http://localhost:1/ lost spans");
    tracing::info_span!("work of an exporter")
}

#[derive(Debug)]
struct ReportingExporter;

impl SpanExporter for ReportingExporter {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let _entered = report_loss("the exporter").entered();
        get("articles");
        Ok(())
    }
}

#[derive(Debug)]
struct ReportingProcessor;

impl SpanProcessor for ReportingProcessor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        let _entered = report_loss("the processor").entered();
        get("articles");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn what_exporters_and_processors_of_the_program_report_is_not_silenced() {
    LazyLock::force(&SUBSCRIBER);
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .metrics([Exporter::None])
        .span_exporter(ReportingExporter)
        .span_processor(ReportingProcessor)
        .build()
        .expect("it has no collector");
    calls(&guard, 1);
    guard.force_flush(SOON).expect("nothing fails");
    let lines = lines_with("http://localhost:1/");
    for of in ["the exporter", "the processor"] {
        let of_this = lines.iter().filter(|line| line.contains(of)).count();
        assert_eq!(of_this, 1, "{lines:?}");
    }
    // Their own work is no telemetry.
    guard.shutdown(SOON).expect("nothing fails");
    assert_eq!(guard.status().recorded_spans, 1);
}

#[test]
fn a_burst_that_the_console_cannot_follow_is_reported() {
    LazyLock::force(&SUBSCRIBER);
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .metrics([Exporter::None])
        .traces([Exporter::Console])
        .console_writer(std::io::sink())
        .build()
        .expect("it has no collector");
    calls(&guard, 400_000);
    // A slow machine prints for longer than a shutdown may take.
    guard.shutdown(Duration::from_mins(1)).expect("it prints");
    let dropped = guard.status().lost_spans();
    assert_ne!(dropped, 0, "the burst is too small");
    let ends = lines_with("to console");
    let count = format!("{dropped} spans were lost");
    assert_eq!(
        ends.iter().filter(|line| line.contains(&count)).count(),
        1,
        "{dropped}: {:?} {ends:?}",
        guard.status()
    );
    assert!(ends.len() <= 2, "{ends:?}");
}
