//! An application that sets its global providers after the first calls, and replaces them.
//!
//! One test, because the providers are those of the process.

mod common;

use std::sync::{Arc, Mutex};

use opentelemetry::global;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use percolate_library_test::Store;
use percolate_otel::providers_changed;
use percolate_otel::testing::{MetricCallback, Metrics};

struct Meters {
    provider: SdkMeterProvider,
    exported: Arc<Mutex<Metrics>>,
}

impl Meters {
    /// Sets a new global meter provider.
    fn set() -> Self {
        let exported = Arc::<Mutex<Metrics>>::default();
        let newest = Arc::clone(&exported);
        let exporter = MetricCallback::new(move |metrics| {
            *newest.lock().expect("no test panics here") = Metrics::from_sdk(metrics);
        });
        let reader = PeriodicReader::builder(exporter).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        global::set_meter_provider(provider.clone());
        Self { provider, exported }
    }

    /// Returns the number of calls that were measured so far.
    fn calls(&self) -> u64 {
        self.provider.force_flush().expect("it flushes");
        let metrics = self.exported.lock().expect("no test panics here");
        metrics.count("db.client.operation.duration", &[])
    }
}

#[test]
fn calls_are_reported_to_the_providers_of_the_moment() {
    let store = Store::new("catalogue");
    let call = |times: u64| (0..times).for_each(|_| _ = store.put_all("novels", &[]));

    // As many calls are missed as were made before, and no more.
    call(1);
    let first = Meters::set();
    call(100);
    let missed = 100 - first.calls();
    assert!(missed <= 1, "{missed}");

    // A provider that replaces another is noticed within a period.
    let second = Meters::set();
    call(200);
    let (old, new) = (first.calls(), second.calls());
    assert_eq!(old + missed + new, 300, "{old} and {new}");
    assert!(new >= 136, "{new}");

    // Or at once.
    let third = Meters::set();
    providers_changed();
    call(10);
    assert_eq!(third.calls(), 10);

    // The same for spans.
    for _ in 0..2 {
        let kept = common::Kept::default();
        let tracers = SdkTracerProvider::builder()
            .with_span_processor(kept.clone())
            .build();
        global::set_tracer_provider(tracers);
        providers_changed();
        call(3);
        assert_eq!(kept.take().len(), 3);
    }
}
