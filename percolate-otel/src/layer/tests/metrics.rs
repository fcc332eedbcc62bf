//! The rules on metrics, and the exporter that checks them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{close, findings_of};
use crate::STORAGE_BOUNDS;
use crate::layer::{ConventionLayer, ConventionLayerBuilder, Report};
use crate::testing::MetricCallback;

/// Counts what is forwarded.
#[derive(Debug, Default, Clone)]
struct Counting(Arc<[AtomicUsize; 4]>);

impl PushMetricExporter for Counting {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.0[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.0[2].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn shutdown(&self) -> OTelSdkResult {
        self.0[3].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}

fn report_of(builder: ConventionLayerBuilder, body: impl FnOnce(&Meter)) -> Report {
    let conventions = builder.build();
    let reader = PeriodicReader::builder(conventions.metric_exporter(Counting::default())).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    body(&meters.meter("app"));
    meters.force_flush().expect("nothing fails here");
    let report = conventions.report();
    meters.shutdown().expect("nothing fails here");
    report
}

fn findings(body: impl FnOnce(&Meter)) -> Vec<String> {
    findings_of(&report_of(ConventionLayer::builder(), body))
}

const DURATION: &str = "db.client.operation.duration";

fn record(seconds: f64, more: &[KeyValue]) -> Vec<String> {
    let mut attributes = vec![
        KeyValue::new("db.system.name", "rocksdb"),
        KeyValue::new("db.operation.name", "get"),
    ];
    attributes.extend_from_slice(more);
    findings(|meter| {
        let histogram = meter
            .f64_histogram(DURATION)
            .with_unit("s")
            .with_boundaries(STORAGE_BOUNDS.to_vec())
            .build();
        histogram.record(seconds, &attributes);
    })
}

#[test]
fn a_right_metric_has_no_findings() {
    assert_eq!(
        record(0.1, &[KeyValue::new("error.type", "IOError")]),
        [""; 0]
    );
    let job = |more: Vec<KeyValue>| {
        findings(move |meter| {
            let mut attributes = vec![KeyValue::new("job.type", "index.build")];
            attributes.extend(more);
            let bounds = STORAGE_BOUNDS.to_vec();
            meter
                .f64_histogram("job.duration")
                .with_unit("s")
                .with_boundaries(bounds)
                .build()
                .record(1.0, &attributes);
        })
    };
    assert_eq!(job(vec![KeyValue::new("job.status", "success")]), [""; 0]);
    assert_eq!(
        job(vec![KeyValue::new("job.status", "failed")]),
        ["conditionally_required_attribute_not_present error.type"]
    );
    assert_eq!(
        job(vec![
            KeyValue::new("job.status", "success"),
            KeyValue::new("error.type", "x")
        ]),
        ["error_type_without_error error.type"]
    );
    assert_eq!(
        job(vec![KeyValue::new("job.status", "started")]),
        ["undefined_enum_variant job.status"]
    );
}

#[test]
fn unit_and_instrument_are_those_of_the_definition() {
    let attributes = [KeyValue::new("db.system.name", "rocksdb")];
    let found = findings(|meter| {
        meter
            .u64_counter(DURATION)
            .with_unit("ms")
            .build()
            .add(1, &attributes);
    });
    assert_eq!(found, ["unit_mismatch", "unexpected_instrument"]);
}

#[test]
fn metric_names_are_defined() {
    let count =
        |name: &'static str| findings(move |meter| meter.u64_counter(name).build().add(1, &[]));
    assert_eq!(count("db.client.calls"), ["missing_metric db.client.calls"]);
    assert_eq!(
        count("db.client.connections.usage"),
        ["missing_metric db.client.connections.usage"]
    );
    assert_eq!(count("app.calls"), [""; 0]);
}

#[test]
fn metrics_carry_the_attributes_of_their_definition() {
    let found = findings(|meter| {
        let histogram = meter
            .f64_histogram(DURATION)
            .with_unit("s")
            .with_boundaries(vec![1.0])
            .build();
        histogram.record(0.1, &[]);
    });
    assert_eq!(found, ["required_attribute_not_present db.system.name"]);
    for (attribute, finding) in [
        (
            KeyValue::new("db.operation.batch.size", 3_i64),
            "unexpected_metric_attribute db.operation.batch.size",
        ),
        (
            KeyValue::new("db.query.text", "SELECT ?"),
            "opt_in_without_config db.query.text",
        ),
        (
            KeyValue::new("server.port", "1"),
            "type_mismatch server.port",
        ),
        (KeyValue::new("db.name", "x"), "deprecated db.name"),
        (KeyValue::new("db.odd", "x"), "missing_attribute db.odd"),
        (
            KeyValue::new("db.namespce", "x"),
            "misspelt_attribute db.namespce",
        ),
        (
            KeyValue::new("error.type", "no space left on device"),
            "high_cardinality error.type",
        ),
    ] {
        assert_eq!(record(0.1, &[attribute]), [finding]);
    }
    assert_eq!(record(0.1, &[KeyValue::new("app.tier", "hot")]), [""; 0]);
}

#[test]
fn durations_are_seconds() {
    assert_eq!(record(-1.0, &[]), ["implausible_value"]);
    assert_eq!(record(250_000.0, &[]), ["implausible_value"]);
    assert_eq!(record(600.0, &[]), [""; 0]);
    let found = findings(|meter| {
        let attributes = [KeyValue::new("db.system.name", "rocksdb")];
        meter
            .f64_histogram(DURATION)
            .with_unit("s")
            .build()
            .record(0.1, &attributes);
    });
    assert_eq!(
        found,
        ["implausible_value"],
        "the SDK's default bounds are meant for milliseconds"
    );
}

#[test]
fn the_point_for_everything_past_the_limit_is_exempt() {
    let found = findings(|meter| {
        let histogram = meter
            .f64_histogram(DURATION)
            .with_unit("s")
            .with_boundaries(vec![1.0])
            .build();
        histogram.record(0.1, &[KeyValue::new("otel.metric.overflow", true)]);
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_failed_span_and_its_metric_have_the_same_error_type() {
    let failed = |span_error: &'static str, metric_error: &'static str| {
        let conventions = ConventionLayer::new();
        let subscriber = tracing_subscriber::registry().with(conventions.layer());
        tracing::subscriber::with_default(subscriber, || {
            close(info_span!(
                target: "percolate::db",
                "x",
                otel.kind = "client",
                otel.status_code = "ERROR",
                db.system.name = "a",
                db.operation.name = "x",
                error.type = span_error
            ));
        });
        let meters = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(checking(&conventions)).build())
            .build();
        let attributes = [
            KeyValue::new("db.system.name", "a"),
            KeyValue::new("db.operation.name", "x"),
            KeyValue::new("error.type", metric_error),
        ];
        let meter = meters.meter("app");
        let histogram = meter
            .f64_histogram(DURATION)
            .with_unit("s")
            .with_boundaries(vec![1.0])
            .build();
        histogram.record(0.1, &attributes);
        meters.force_flush().expect("nothing fails here");
        findings_of(&conventions.report())
    };
    assert_eq!(failed("IOError", "IOError"), [""; 0]);
    assert_eq!(
        failed("IOError", "io_error"),
        ["error_type_differs error.type"]
    );
}

/// Returns an exporter that checks metrics as a capture does, when no operation is running.
pub(super) fn checking(conventions: &ConventionLayer) -> impl PushMetricExporter + use<> {
    let conventions = conventions.clone();
    MetricCallback::new(move |metrics| conventions.check_metrics(metrics))
}

#[test]
fn the_wrapper_forwards_everything() {
    let inner = Counting::default();
    let exporter = ConventionLayer::new().metric_exporter(inner.clone());
    assert_eq!(exporter.temporality(), Temporality::Delta);
    exporter.force_flush().expect("nothing fails here");
    exporter
        .shutdown_with_timeout(Duration::ZERO)
        .expect("nothing fails here");
    exporter.shutdown().expect("nothing fails here");
    let meters = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter).build())
        .build();
    meters
        .meter("app")
        .u64_counter("app.calls")
        .build()
        .add(1, &[]);
    meters.force_flush().expect("nothing fails here");
    let counts: Vec<usize> = inner
        .0
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    assert_eq!((counts[0], counts[2], counts[3]), (1, 1, 1));
    assert!(counts[1] >= 1);
}

#[test]
fn metrics_of_percolates_own_scope_are_all_defined() {
    let conventions = ConventionLayer::new();
    let meters = SdkMeterProvider::builder()
        .with_reader(
            PeriodicReader::builder(conventions.metric_exporter(Counting::default())).build(),
        )
        .build();
    let scope = InstrumentationScope::builder(crate::conventions::SCOPE_NAME).build();
    meters
        .meter_with_scope(scope)
        .u64_counter("cache.hits")
        .build()
        .add(1, &[]);
    meters.force_flush().expect("nothing fails here");
    let report = conventions.report();
    assert_eq!(findings_of(&report), ["missing_metric cache.hits"]);
    assert_eq!(report.metrics, 1);
    assert!(
        report
            .to_string()
            .contains("metric `cache.hits` (scope `percolate`)"),
        "{report}"
    );
}
