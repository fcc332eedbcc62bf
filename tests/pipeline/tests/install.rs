//! Installation for the whole process, under an existing subscriber. One test, because it changes
//! global state.

use std::time::Duration;

use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry::{Context, global};
use percolate_core::db_op;
use percolate_core::otel::{Environment, Exporter, Sampler, Telemetry, TelemetryError};
use percolate_pipeline_tests::Written;
use tracing_subscriber::prelude::*;

const SOON: Duration = Duration::from_secs(20);

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// Returns the lines of the trace whose root has this name, without durations and attributes.
fn tree(text: &str, root: &str) -> Vec<String> {
    let trace = text.split("\n\n").find(|block| {
        block
            .lines()
            .any(|line| line.starts_with(&format!("  {root} ")))
    });
    let lines = trace
        .unwrap_or_default()
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("  db."));
    lines
        .map(|line| {
            line.trim_end()
                .chars()
                .take(48)
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[test]
fn one_pipeline_at_a_time_serves_the_whole_process() {
    let messages = Written::default();
    let for_fmt = messages.clone();
    let fmt = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || for_fmt.clone());
    let events = fmt.with_filter(tracing_subscriber::filter::filter_fn(|metadata| {
        metadata.is_event()
    }));
    // The subscriber has the layer before the pipeline is installed.
    let subscriber = tracing_subscriber::registry()
        .with(Telemetry::layer())
        .with(events);
    tracing::subscriber::set_global_default(subscriber).expect("no subscriber is set");
    tracing::info_span!("before").in_scope(|| get("articles"));

    let written = Written::default();
    let environment: Environment = [
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_PROPAGATORS", "tracecontext"),
    ]
    .into_iter()
    .collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .console_writer(written.clone())
        .install();
    let guard = guard.expect("it is the first");
    let second = Telemetry::builder()
        .environment(Environment::empty())
        .install();
    assert!(
        matches!(second, Err(TelemetryError::AlreadyInstalled)),
        "{second:?}"
    );

    // Annotated calls, `tracing` spans and spans of the OpenTelemetry API are in one trace, also on
    // another thread.
    std::thread::spawn(|| {
        tracing::info_span!("request", user = 7_i64).in_scope(|| {
            get("articles");
            let tracer = global::tracer_provider().tracer("by hand");
            tracer.in_span("by hand", |_| get("authors"));
        });
    })
    .join()
    .expect("nothing panics");
    guard
        .force_flush(SOON)
        .expect("the console accepts everything");
    let text = written.text();
    let expected = [
        "  request",
        "  ├─ get articles",
        "  └─ by hand",
        "     └─ get authors",
    ];
    assert_eq!(tree(&text, "request"), expected, "{text}");
    assert!(
        !text.contains("before"),
        "nothing is exported before the installation: {text}"
    );
    assert!(text.contains("user=7"), "{text}");

    // The table is printed once.
    let table: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("get "))
        .collect();
    assert_eq!(table.len(), 2, "{text}");
    assert!(text.contains("operation  collection  count"), "{text}");

    let status = guard.status();
    assert!(status.layer_in_subscriber);
    assert_eq!(status.lost_spans(), 0);
    assert_eq!(status.traces[0].to, "console");
    assert_eq!(status.warnings.len(), 1);
    let warning = "OTEL_BSP_SCHEDULE_DELAY: `soon` is not a whole number of milliseconds; ignored";
    assert_eq!(
        messages.text().matches(warning).count(),
        1,
        "{}",
        messages.text()
    );
    assert!(!messages.text().contains("no layer"), "{}", messages.text());

    let fields = global::get_text_map_propagator(|propagator| {
        propagator.fields().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(fields, ["traceparent", "tracestate"]);

    guard
        .shutdown(SOON)
        .expect("the console accepts everything");
    tracing::info_span!("after").in_scope(|| get("articles"));
    assert!(!written.text().contains("after"));

    // After the shutdown another pipeline can be installed.
    let written = Written::default();
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .traces([Exporter::Console])
        .metrics([Exporter::None])
        .sampler(Sampler::AlwaysOn)
        .console_writer(written.clone())
        .install();
    let guard = guard.expect("the first pipeline has been shut down");
    tracing::info_span!("again").in_scope(|| get("articles"));
    drop(guard);
    assert_eq!(
        tree(&written.text(), "again"),
        ["  again", "  └─ get articles"],
        "{}",
        written.text()
    );
    assert!(
        !written.text().contains("operation  "),
        "{}",
        written.text()
    );

    // Propagation stays if telemetry is disabled.
    let off: Environment = [("OTEL_SDK_DISABLED", "TRUE")].into_iter().collect();
    let guard = Telemetry::builder()
        .environment(off)
        .install()
        .expect("the second pipeline has been shut down");
    tracing::info_span!("off").in_scope(|| get("articles"));
    assert!(guard.status().disabled);
    assert_eq!(guard.status().traces, []);
    let mut headers = std::collections::HashMap::new();
    let remote = global::get_text_map_propagator(|propagator| {
        let carrier = [(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )];
        let carrier: std::collections::HashMap<String, String> = carrier
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        propagator.extract_with_context(&Context::new(), &carrier)
    });
    global::get_text_map_propagator(|propagator| propagator.inject_context(&remote, &mut headers));
    assert!(headers.contains_key("traceparent"), "{headers:?}");
}
