//! Scoped capture of telemetry for tests: spans as a tree, metrics with their points, and the
//! findings of the convention checks.
//!
//! [`Capture`] owns a tracer provider, a meter provider and a subscriber, and makes them current
//! only for one closure, future or scope. It changes no global state, so tests can run in parallel.
//! To capture the telemetry of another thread or task, run it inside a clone of the capture.

mod diff;
mod finished;
mod metric_callback;
mod metrics;
mod spans;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use opentelemetry::Key;
pub use opentelemetry::trace::SpanKind;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use pin_project_lite::pin_project;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::layer::{ConventionLayer, Profile, Report};
use super::runtime::{self, MeterProviderHandle, Runtime, RuntimeConfig};
use crate::Sampler;
use crate::conventions::target;
use crate::pipeline::RespectsGate;

pub use finished::FinishedSpans;
pub use metric_callback::MetricCallback;
pub use metrics::{CapturedMetric, Instrument, Metrics, Point};
pub use spans::{ABSENT, CapturedSpan, ExpectedSpan, ExpectedValue, Spans};

/// Captures the spans and metrics that are created inside it.
///
/// ```
/// use percolate_otel::testing::Capture;
///
/// let capture = Capture::new();
/// capture.run(|| {
///     let _request = tracing::info_span!("request").entered();
///     tracing::info_span!("lookup", otel.kind = "client").in_scope(|| ());
/// });
/// capture.spans().assert_tree(
///     "
///     request [internal]
///       lookup [client]
///     ",
/// );
/// ```
#[derive(Clone)]
pub struct Capture {
    inner: Arc<CaptureInner>,
}

struct CaptureInner {
    dispatch: Dispatch,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    spans: FinishedSpans,
    metrics: metrics::MetricStore,
    runtime: &'static Runtime,
    conventions: ConventionLayer,
}

impl Drop for CaptureInner {
    fn drop(&mut self) {
        let _scope = self.conventions.test_scope();
        // Ends the reader's thread. Calls that have not ended lose their last measurement.
        let _ = self.meters.shutdown();
        self.runtime.stop(FLUSH);
    }
}

/// Two subscribers that are registered for the rest of the process and record nothing.
///
/// While `tracing` has one registered subscriber, a thread without a subscriber that reaches a call
/// site first disables this call site for the whole process, and a capture on another thread would
/// lose its spans. With several, `tracing` considers
/// all registered subscribers.
static OTHER_DISPATCHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| {
    [
        Dispatch::new(NoSubscriber::default()),
        Dispatch::new(NoSubscriber::default()),
    ]
});

/// The time limit for the background thread to export the spans.
const FLUSH: Duration = Duration::from_secs(10);

impl Capture {
    /// Creates a capture that samples everything.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for a capture with another sampler or other settings.
    pub fn builder() -> CaptureBuilder {
        CaptureBuilder {
            sampler: Sampler::AlwaysOn,
            records: false,
            conventions: None,
            metric_attributes: Vec::new(),
        }
    }

    /// Runs a closure inside the capture.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        body()
    }

    /// Runs a future inside the capture. The capture is current during each poll, on any thread.
    pub fn instrument<F: Future>(&self, future: F) -> InCapture<F> {
        InCapture {
            capture: self.clone(),
            future,
        }
    }

    /// Makes the capture current on this thread until the guard is dropped.
    #[must_use = "the capture is current until the guard is dropped"]
    pub fn enter(&self) -> Entered {
        Entered {
            _runtime: runtime::scope(Some(self.inner.runtime)),
            _subscriber: tracing::dispatcher::set_default(&self.inner.dispatch),
        }
    }

    /// Returns the spans that have ended.
    ///
    /// # Panics
    ///
    /// Panics if percolate's background thread does not export the spans within ten seconds.
    pub fn spans(&self) -> Spans {
        self.flush();
        Spans::new(self.inner.spans.get())
    }

    /// Returns all metrics that have been recorded.
    pub fn metrics(&self) -> Metrics {
        let _ = self.inner.meters.force_flush();
        self.inner.metrics.newest()
    }

    /// Returns the findings of the convention checks on spans and metrics. A test fails on any
    /// finding with `capture.report().assert_clean()`.
    pub fn report(&self) -> Report {
        let _ = self.inner.meters.force_flush();
        self.inner.conventions.report()
    }

    fn flush(&self) {
        let flushed = self.inner.runtime.flush(FLUSH);
        assert!(
            flushed,
            "the spans of annotated calls were not handed over within {FLUSH:?}"
        );
        let _ = self.inner.tracers.force_flush();
    }

    /// Returns a tracer of this capture, for spans that are created with the OpenTelemetry API.
    pub fn tracer(&self) -> SdkTracer {
        self.inner.tracers.tracer("capture")
    }

    /// Returns the capture's tracer provider.
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.inner.tracers
    }

    /// Returns the capture's meter provider.
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        &self.inner.meters
    }

    /// Returns the capture's subscriber, for `tracing::dispatcher::with_default` and
    /// `WithSubscriber`.
    pub fn dispatch(&self) -> &Dispatch {
        &self.inner.dispatch
    }
}

/// Runs a test body inside a capture, and panics on any finding of the convention checks.
///
/// ```
/// use percolate_otel::testing::check_conventions;
///
/// check_conventions(|capture| {
///     let span = tracing::info_span!("flush", otel.kind = "client", db.system.name = "mystore", db.operation.name = "flush");
///     span.in_scope(|| ());
///     drop(span);
///     capture.spans().assert_tree("flush [client]");
/// });
/// ```
///
/// # Panics
///
/// Panics if telemetry does not follow the conventions. The message is the report.
#[track_caller]
pub fn check_conventions<R>(body: impl FnOnce(&Capture) -> R) -> R {
    let capture = Capture::builder()
        .conventions(ConventionLayer::strict())
        .build();
    let result = capture.run(|| body(&capture));
    capture.report().assert_clean();
    result
}

/// [`check_conventions`] for an async test body.
///
/// # Panics
///
/// Panics if telemetry does not follow the conventions. The message is the report.
pub async fn check_conventions_async<F: Future>(body: impl FnOnce(Capture) -> F) -> F::Output {
    let capture = Capture::builder()
        .conventions(ConventionLayer::strict())
        .build();
    let future = capture.run(|| body(capture.clone()));
    let result = capture.instrument(future).await;
    capture.report().assert_clean();
    result
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("spans", &self.inner.spans.get().len())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Capture`].
#[must_use]
pub struct CaptureBuilder {
    sampler: Sampler,
    records: bool,
    conventions: Option<ConventionLayer>,
    metric_attributes: Vec<Key>,
}

impl CaptureBuilder {
    /// Sets the sampler of spans. All metrics are captured.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// Records annotated calls as percolate's own pipeline does: in compact records that a
    /// background thread converts to spans. The default is spans of `tracing`, as in an application
    /// with another set-up. Both should have the same result.
    pub fn compact_records(mut self) -> Self {
        self.records = true;
        self
    }

    /// Sets the names of those attributes of [`with_attributes`](crate::with_attributes) that metrics
    /// have too, as `TelemetryBuilder::metric_attributes` does.
    pub fn metric_attributes<K: Into<Key>>(mut self, names: impl IntoIterator<Item = K>) -> Self {
        self.metric_attributes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the Layer that checks the conventions. The default Layer collects findings. With
    /// `PERCOLATE_CONVENTIONS=strict` in the environment, it fails the test on a finding, so that a
    /// whole test suite can be run with the strict profile.
    pub fn conventions(mut self, conventions: ConventionLayer) -> Self {
        self.conventions = Some(conventions);
        self
    }

    /// Builds the capture.
    ///
    /// # Panics
    ///
    /// Panics if the thread that collects metrics or records cannot be started.
    pub fn build(self) -> Capture {
        let conventions = self.conventions.unwrap_or_else(|| {
            ConventionLayer::builder()
                .profile(Profile::from_env_or(Profile::Collect))
                .build()
        });
        let (spans, metrics) = (
            FinishedSpans::default(),
            metrics::MetricStore::new(conventions.clone()),
        );
        let sampler = Sampler::ParentBased(Box::new(self.sampler));
        let tracers = SdkTracerProvider::builder()
            .with_sampler(RespectsGate(sampler.to_sdk()))
            .with_span_processor(spans.clone())
            .build();
        // Metrics are collected on request. The reader needs an interval, but it is never reached.
        let reader = PeriodicReader::builder(metrics.clone())
            .with_interval(Duration::from_secs(60 * 60))
            .build();
        let meters = SdkMeterProvider::builder().with_reader(reader).build();
        let mut config = RuntimeConfig {
            meter_provider: Some(MeterProviderHandle::new(meters.clone())),
            metric_attributes: self.metric_attributes,
            ..RuntimeConfig::default()
        };
        if self.records {
            config.sink = runtime::sdk_sink(vec![Arc::new(spans.clone())]);
            config.sampler = sampler;
        }
        let runtime =
            Runtime::build(config).expect("the thread that converts records should start");
        let records = self.records;
        let opentelemetry = tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer("capture"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(move |metadata| {
                !records || !target::is_of_calls(metadata.target())
            }));
        LazyLock::force(&OTHER_DISPATCHERS);
        let dispatch = Dispatch::new(
            tracing_subscriber::registry()
                .with(opentelemetry)
                .with(conventions.layer()),
        );
        Capture {
            inner: Arc::new(CaptureInner {
                dispatch,
                tracers,
                meters,
                spans,
                metrics,
                runtime,
                conventions,
            }),
        }
    }
}

impl fmt::Debug for CaptureBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureBuilder").finish_non_exhaustive()
    }
}

/// Keeps a [`Capture`] current on this thread.
#[derive(Debug)]
pub struct Entered {
    _runtime: runtime::ScopeGuard,
    _subscriber: tracing::dispatcher::DefaultGuard,
}

pin_project! {
    /// A future that runs inside a [`Capture`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InCapture<F> {
        capture: Capture,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InCapture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.capture.enter();
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests;
