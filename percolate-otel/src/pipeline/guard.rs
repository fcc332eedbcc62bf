//! The running pipeline in one hand: flush, shutdown, status. Whatever may block happens on threads of our own, and
//! the caller waits for them no longer than it said, be it a plain thread, a current-thread runtime, or a program
//! whose runtime is gone. Invariant: nothing here waits without a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

use super::builder::TelemetryBuilder;
use super::counters::{Counters, ExportCounts};
use super::drive::Closing;
use super::env::ConfigWarning;
use super::error::TelemetryError;
use super::layer::{self, Slot, TelemetryLayer};
use super::processor::BatchProcessor;
use super::settings::{Propagator, Signal};
use super::{TELEMETRY_TARGET, assemble};
use crate::context::StrictPropagator;
use crate::runtime::{self, Runtime};

/// One exporter and what became of what it was given.
#[derive(Debug, Clone)]
pub(super) struct ExportTo {
    pub(super) signal: Signal,
    pub(super) name: String,
    pub(super) counters: Arc<Counters>,
}

/// What the console is called among the exporters.
pub(super) const CONSOLE: &str = "console";

/// Everything a pipeline consists of.
pub(super) struct Parts {
    pub(super) runtime: Option<&'static Runtime>,
    pub(super) tracer_provider: Option<SdkTracerProvider>,
    pub(super) meter_provider: Option<SdkMeterProvider>,
    pub(super) logger_provider: Option<SdkLoggerProvider>,
    pub(super) processors: Vec<Processor>,
    pub(super) targets: Vec<ExportTo>,
    pub(super) closing: Closing,
    #[cfg(feature = "otlp")]
    pub(super) _otlp: Option<super::otlp::OtlpThread>,
    pub(super) slot: Arc<Slot>,
    pub(super) propagators: Vec<Propagator>,
    pub(super) warnings: Vec<ConfigWarning>,
    pub(super) sampler: String,
    pub(super) log_level: LevelFilter,
    pub(super) shutdown_timeout: Duration,
    pub(super) installs_subscriber: bool,
}

impl Parts {
    /// What is left of a pipeline that is switched off: propagation and what was said about the configuration.
    pub(super) fn disabled(
        propagators: Vec<Propagator>,
        warnings: Vec<ConfigWarning>,
        log_level: LevelFilter,
        builder: &TelemetryBuilder,
    ) -> Self {
        Self {
            runtime: None,
            tracer_provider: None,
            meter_provider: None,
            logger_provider: None,
            processors: Vec::new(),
            targets: Vec::new(),
            closing: Closing::default(),
            #[cfg(feature = "otlp")]
            _otlp: None,
            slot: Arc::default(),
            propagators,
            warnings,
            sampler: "off".to_owned(),
            log_level,
            shutdown_timeout: builder.shutdown_timeout,
            installs_subscriber: false,
        }
    }

    fn is_disabled(&self) -> bool {
        self.runtime.is_none()
    }
}

/// A processor and how it is flushed by a deadline.
#[derive(Debug, Clone)]
pub(super) enum Processor {
    /// One of ours: it keeps the deadline by itself.
    Batch(Arc<BatchProcessor>),
    /// Any other: it may take as long as it likes, on our thread.
    Any(Arc<dyn SpanProcessor>),
}

impl Processor {
    pub(super) fn shared(&self) -> Arc<dyn SpanProcessor> {
        match self {
            Self::Batch(batch) => Arc::clone(batch) as Arc<dyn SpanProcessor>,
            Self::Any(any) => Arc::clone(any),
        }
    }

    fn flush_by(&self, deadline: Instant) -> OTelSdkResult {
        match self {
            Self::Batch(batch) => batch.flush_by(deadline),
            Self::Any(any) => any.force_flush(),
        }
    }

    fn shutdown_by(&self, deadline: Instant) -> OTelSdkResult {
        match self {
            Self::Batch(batch) => batch.shutdown_by(deadline),
            Self::Any(any) => any.shutdown_with_timeout(left(deadline)),
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// What a telemetry pipeline does and did, at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TelemetryStatus {
    /// Switched off by `OTEL_SDK_DISABLED` or the builder.
    pub disabled: bool,
    /// Flushed and ended.
    pub shut_down: bool,
    /// The sampler in words, e.g. `parentbased_traceidratio(0.01)`.
    pub sampler: String,
    /// Each exporter of spans and what became of what it was given.
    pub traces: Vec<ExporterStatus>,
    /// Each exporter of metrics; it counts exports.
    pub metrics: Vec<ExporterStatus>,
    /// Each exporter of log records. What the SDK's queue before it drops is not known here.
    pub logs: Vec<ExporterStatus>,
    /// Spans of percolate's calls that were lost before any exporter, as they were made faster than taken over.
    pub dropped_records: u64,
    /// Whether the subscriber of the asking thread has [`Telemetry::layer`](super::Telemetry::layer) (or
    /// [`TelemetryGuard::layer`]), so that other people's `tracing` spans are exported too.
    pub layer_in_subscriber: bool,
    /// Variables and options that were not used as they stand.
    pub warnings: Vec<ConfigWarning>,
}

/// One exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterStatus {
    /// Where to, e.g. `http://collector:4317 (OTLP/gRPC)` or `console`.
    pub to: String,
    /// What became of it.
    pub counts: ExportCounts,
}

impl TelemetryStatus {
    /// Spans that did not arrive everywhere they should have, for whatever reason.
    pub fn lost_spans(&self) -> u64 {
        self.dropped_records
            + self
                .traces
                .iter()
                .map(|exporter| exporter.counts.lost())
                .sum::<u64>()
    }
}

/// A running pipeline. Dropping it flushes and shuts down, within
/// [`shutdown_timeout`](TelemetryBuilder::shutdown_timeout).
///
/// Keep it as long as the program works: `let _guard = …`, not `let _ = …`.
#[must_use = "dropping the guard shuts telemetry down; bind it: `let _guard = …`"]
pub struct TelemetryGuard {
    parts: Arc<Parts>,
    installed: bool,
    shut_down: AtomicBool,
    told_about_layer: AtomicBool,
}

/// Set while a pipeline is the process's own.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Builds and installs; everything that can fail comes before anything global is touched.
pub(super) fn install(builder: TelemetryBuilder) -> Result<TelemetryGuard, TelemetryError> {
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return Err(TelemetryError::AlreadyInstalled);
    }
    let parts = match assemble::assemble(builder) {
        Ok(parts) => parts,
        Err(error) => {
            INSTALLED.store(false, Ordering::Release);
            return Err(error);
        }
    };
    if let Some(runtime) = parts.runtime
        && runtime::install(runtime).is_err()
    {
        INSTALLED.store(false, Ordering::Release);
        return Err(TelemetryError::AlreadyInstalled);
    }
    set_propagator(&parts.propagators);
    if let Some(provider) = &parts.tracer_provider {
        opentelemetry::global::set_tracer_provider(provider.clone());
        layer::installed_slot().fill(layer::tracer(provider), parts.logger_provider.as_ref());
    }
    if let Some(provider) = &parts.meter_provider {
        opentelemetry::global::set_meter_provider(provider.clone());
    }
    if parts.installs_subscriber {
        layer::install_subscriber(&layer::installed_slot(), parts.log_level);
    }
    for warning in &parts.warnings {
        tracing::warn!(target: TELEMETRY_TARGET, "{warning}");
    }
    let guard = TelemetryGuard::new(parts, true);
    if layer::has_subscriber() {
        guard.tell_about_layer();
    }
    Ok(guard)
}

fn set_propagator(chosen: &[Propagator]) {
    use opentelemetry::global::set_text_map_propagator as set;
    match (
        chosen.contains(&Propagator::TraceContext),
        chosen.contains(&Propagator::Baggage),
    ) {
        (true, true) => set(StrictPropagator::with_baggage()),
        (true, false) => set(StrictPropagator::new()),
        (false, true) => set(BaggagePropagator::new()),
        (false, false) => set(TextMapCompositePropagator::new(Vec::new())),
    }
}

impl TelemetryGuard {
    pub(super) fn new(parts: Parts, installed: bool) -> Self {
        Self {
            parts: Arc::new(parts),
            installed,
            shut_down: AtomicBool::new(false),
            told_about_layer: AtomicBool::new(false),
        }
    }

    /// Exports everything that has ended by now and all metrics as they stand.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Timeout`] if that takes longer than `timeout`; what is queued stays queued.
    /// [`TelemetryError::Export`] if some of it could not be exported.
    pub fn force_flush(&self, timeout: Duration) -> Result<(), TelemetryError> {
        if self.shut_down.load(Ordering::Acquire) {
            return Err(TelemetryError::AlreadyShutdown);
        }
        self.tell_about_layer();
        let deadline = Instant::now() + timeout;
        let spans: OfSignal = Box::new(move |parts| parts.flush_spans(deadline));
        self.on_threads(
            "flush",
            timeout,
            spans,
            Box::new(Parts::flush_metrics),
            Box::new(Parts::flush_logs),
        )
    }

    /// Exports everything that has ended by now and ends the pipeline. A second call does nothing.
    ///
    /// # Errors
    ///
    /// As [`force_flush`](Self::force_flush); but what did not get out by then is given up, and counted in
    /// [`status`](Self::status).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), TelemetryError> {
        if self.shut_down.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.tell_about_layer();
        if self.installed {
            if let Some(runtime) = self.parts.runtime {
                runtime::uninstall(runtime);
            }
            layer::installed_slot().empty();
        }
        self.parts.slot.empty();
        let deadline = Instant::now() + timeout;
        let spans: OfSignal = Box::new(move |parts| parts.end_spans(deadline));
        let metrics: OfSignal = Box::new(move |parts| parts.end_metrics(deadline));
        let logs: OfSignal = Box::new(move |parts| parts.end_logs(deadline));
        let result = self.on_threads("shutdown", timeout, spans, metrics, logs);
        if self.installed {
            INSTALLED.store(false, Ordering::Release);
        }
        result
    }

    /// What the pipeline does and did.
    pub fn status(&self) -> TelemetryStatus {
        let of = |signal| {
            let targets = self
                .parts
                .targets
                .iter()
                .filter(move |target| target.signal == signal);
            targets
                .map(|target| ExporterStatus {
                    to: target.name.clone(),
                    counts: target.counters.counts(),
                })
                .collect()
        };
        TelemetryStatus {
            disabled: self.parts.is_disabled(),
            shut_down: self.shut_down.load(Ordering::Acquire),
            sampler: self.parts.sampler.clone(),
            traces: of(Signal::Traces),
            metrics: of(Signal::Metrics),
            logs: of(Signal::Logs),
            dropped_records: self.parts.runtime.map_or(0, Runtime::dropped_spans),
            layer_in_subscriber: self.layer_in_subscriber(),
            warnings: self.parts.warnings.clone(),
        }
    }

    /// Makes this pipeline the one that annotated calls on this thread report to, until the scope is dropped.
    pub fn enter(&self) -> runtime::ScopeGuard {
        runtime::scope(self.parts.runtime)
    }

    /// The layer that feeds other people's `tracing` spans to this very pipeline, up to `INFO`.
    /// [`Telemetry::layer`](super::Telemetry::layer) serves the installed one.
    pub fn layer<S>(&self) -> TelemetryLayer<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        layer::layer(Arc::clone(&self.parts.slot), LevelFilter::INFO)
    }

    /// The SDK's tracer provider over the same exporters; `None` when switched off.
    pub fn tracer_provider(&self) -> Option<SdkTracerProvider> {
        self.parts.tracer_provider.clone()
    }

    /// The SDK's meter provider; `None` when switched off or when no metric is exported.
    pub fn meter_provider(&self) -> Option<SdkMeterProvider> {
        self.parts.meter_provider.clone()
    }

    fn layer_in_subscriber(&self) -> bool {
        layer::is_in_subscriber(&self.parts.slot)
            || (self.installed && layer::is_in_subscriber(&layer::installed_slot()))
    }

    /// Says once that other people's spans go nowhere, instead of leaving it to be found out.
    fn tell_about_layer(&self) {
        let expects_layer =
            self.installed && !self.parts.is_disabled() && !self.parts.processors.is_empty();
        if !expects_layer
            || self.layer_in_subscriber()
            || self.told_about_layer.swap(true, Ordering::Relaxed)
        {
            return;
        }
        tracing::warn!(
            target: TELEMETRY_TARGET,
            "the `tracing` subscriber has no layer of this build of percolate: its calls are exported, other `tracing` \
             spans are not; add `.with(percolate_otel::Telemetry::layer())` to the subscriber"
        );
    }

    /// Runs the parts of the signals on threads of their own and waits for all of them until the time is up.
    fn on_threads(
        &self,
        operation: &'static str,
        timeout: Duration,
        spans: OfSignal,
        metrics: OfSignal,
        logs: OfSignal,
    ) -> Result<(), TelemetryError> {
        let deadline = Instant::now() + timeout;
        let (done, results) = mpsc::channel();
        let (spans_are_done, wait_for_spans) = mpsc::channel::<()>();
        let prints = self
            .parts
            .targets
            .iter()
            .any(|target| target.name == CONSOLE);
        let spawn = |part: OfSignal| {
            let (parts, done) = (Arc::clone(&self.parts), done.clone());
            thread::Builder::new()
                .name("percolate-flush".to_owned())
                .spawn(move || {
                    let result = part(&parts);
                    // Whoever asked may have stopped waiting.
                    _ = done.send(result);
                })
                .map_err(|source| TelemetryError::Thread {
                    name: "percolate-flush",
                    source,
                })
        };
        spawn(Box::new(move |parts| {
            let result = spans(parts);
            drop(spans_are_done);
            result
        }))?;
        spawn(Box::new(move |parts| {
            // A person reads the traces first, and the table under them.
            if prints {
                _ = wait_for_spans.recv_timeout(timeout / 4);
            }
            metrics(parts)
        }))?;
        let mut waiting_for = 2;
        if self.parts.logger_provider.is_some() {
            spawn(logs)?;
            waiting_for += 1;
        }
        let mut problems = Vec::new();
        for _ in 0..waiting_for {
            match results.recv_timeout(left(deadline)) {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => problems.push(problem),
                Err(_) => return Err(TelemetryError::Timeout { operation, timeout }),
            }
        }
        match problems {
            problems if problems.is_empty() => Ok(()),
            _ if left(deadline).is_zero() => Err(TelemetryError::Timeout { operation, timeout }),
            problems => Err(TelemetryError::Export {
                operation,
                problem: problems.join("; "),
            }),
        }
    }
}

/// The part of a flush or shutdown that one signal has.
type OfSignal = Box<dyn FnOnce(&Parts) -> Result<(), String> + Send>;

impl Parts {
    fn flush_spans(&self, deadline: Instant) -> Result<(), String> {
        let records = self
            .runtime
            .is_none_or(|runtime| runtime.flush(left(deadline)));
        let results = self
            .processors
            .iter()
            .map(|processor| processor.flush_by(deadline));
        summary(records, results)
    }

    fn end_spans(&self, deadline: Instant) -> Result<(), String> {
        let records = self
            .runtime
            .is_none_or(|runtime| runtime.stop(left(deadline)));
        let results = self
            .processors
            .iter()
            .map(|processor| processor.shutdown_by(deadline));
        let result = summary(records, results);
        // Only now: the provider would end the shared processors without a deadline. It finds them ended.
        if let Some(provider) = &self.tracer_provider {
            _ = provider.shutdown_with_timeout(left(deadline));
        }
        result
    }

    /// The exporters' own words where the SDK only says that something failed.
    fn problem(&self, signal: Signal, error: &OTelSdkError) -> String {
        let own = self
            .targets
            .iter()
            .filter(|target| target.signal == signal)
            .filter_map(|target| {
                let words = target.counters.last_error()?;
                Some(format!("{} to {}: {words}", signal.name(), target.name))
            });
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            format!("{}: {error}", signal.name())
        } else {
            own.join("; ")
        }
    }

    fn flush_metrics(&self) -> Result<(), String> {
        self.meter_provider
            .as_ref()
            .map_or(Ok(()), SdkMeterProvider::force_flush)
            .map_err(|error| self.problem(Signal::Metrics, &error))
    }

    fn flush_logs(&self) -> Result<(), String> {
        self.logger_provider
            .as_ref()
            .map_or(Ok(()), SdkLoggerProvider::force_flush)
            .map_err(|error| self.problem(Signal::Logs, &error))
    }

    fn end_logs(&self, deadline: Instant) -> Result<(), String> {
        let provider = self.logger_provider.as_ref();
        provider
            .map_or(Ok(()), |provider| {
                provider.shutdown_with_timeout(left(deadline))
            })
            .map_err(|error| self.problem(Signal::Logs, &error))
    }

    fn end_metrics(&self, deadline: Instant) -> Result<(), String> {
        self.closing.close_by(deadline);
        let provider = self.meter_provider.as_ref();
        provider
            .map_or(Ok(()), |provider| {
                provider.shutdown_with_timeout(left(deadline))
            })
            .map_err(|error| self.problem(Signal::Metrics, &error))
    }
}

fn summary(records: bool, results: impl Iterator<Item = OTelSdkResult>) -> Result<(), String> {
    let late = (!records).then(|| "records were not converted in time".to_owned());
    let failed = results.filter_map(|result| match result {
        // Ended by someone who holds the same processor: nothing is left to do.
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
        Err(OTelSdkError::Timeout(_)) => Some("spans were not exported in time".to_owned()),
        Err(OTelSdkError::InternalFailure(problem)) => Some(problem),
    });
    let problems: Vec<String> = late.into_iter().chain(failed).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown(self.parts.shutdown_timeout) {
            tracing::warn!(target: TELEMETRY_TARGET, "{error}");
        }
    }
}

impl std::fmt::Debug for TelemetryGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryGuard")
            .field("installed", &self.installed)
            .finish_non_exhaustive()
    }
}
