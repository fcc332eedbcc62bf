//! The global providers of OpenTelemetry after the shutdown of an installed pipeline. Calls do not
//! report to those of the pipeline, and notice those that the program sets later. One test, because
//! the providers are those of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use percolate_core::db_op;
use percolate_core::otel::testing::{MetricCallback, Metrics};
use percolate_core::otel::{Environment, Exporter, Telemetry};

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// Counts spans.
#[derive(Debug, Default, Clone)]
struct Counting(Arc<AtomicU64>);

impl SpanExporter for Counting {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(spans.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn call(times: u64) {
    (0..times).for_each(|_| _ = get("articles"));
}

#[test]
fn calls_reach_the_providers_that_are_set_after_the_shutdown() {
    let guard = Telemetry::builder()
        .environment(Environment::empty())
        .install_subscriber(false)
        .traces([Exporter::Console])
        .metrics([Exporter::Console])
        .console_writer(std::io::sink())
        .install()
        .expect("it is the first");
    call(1000);
    guard.shutdown(Duration::from_secs(20)).expect("it ends");
    // Threads look for providers from time to time.
    call(1000);
    assert_eq!(guard.status().calls_after_shutdown, 1000);

    let exported = Arc::<Mutex<Metrics>>::default();
    let newest = Arc::clone(&exported);
    let exporter = MetricCallback::new(move |metrics| {
        *newest.lock().expect("nothing panics") = Metrics::from_sdk(metrics);
    });
    let meters = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter).build())
        .build();
    let spans = Counting::default();
    let tracers = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    global::set_meter_provider(meters.clone());
    global::set_tracer_provider(tracers);
    call(1000);
    meters.force_flush().expect("it flushes");
    let measured = exported
        .lock()
        .expect("nothing panics")
        .count("db.client.operation.duration", &[]);
    assert!(measured >= 900, "{measured}");
    // Calls that have another receiver are not lost.
    let status = guard.status();
    assert_eq!(status.calls_after_shutdown + measured, 2000, "{status:#?}");
    let spans = spans.0.load(Ordering::Relaxed);
    assert!(spans >= 700, "{spans}");
}
