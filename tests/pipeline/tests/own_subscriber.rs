//! Without a subscriber, `install` installs one. One test, because it changes global state.

use std::time::Duration;

use percolate_core::otel::{Environment, Otlp, Telemetry};
use percolate_pipeline_tests::{Answer, Collector};

#[test]
fn install_exports_the_spans_of_other_crates() {
    let collector = Collector::grpc(Answer::Accept);
    let builder = Telemetry::builder()
        .environment(Environment::empty())
        .otlp(Otlp::to(collector.endpoint()));
    let guard = builder.install().expect("it is the first");
    assert!(guard.status().layer_in_subscriber);
    tracing::info_span!("request").in_scope(|| tracing::info!("hello"));
    tracing::debug_span!("too detailed").in_scope(|| {});
    guard
        .shutdown(Duration::from_secs(20))
        .expect("the collector answers");
    let names: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|received| received.span.name)
        .collect();
    assert_eq!(names, ["request"], "no spans of the exporter itself");
}
