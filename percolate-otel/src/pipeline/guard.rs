//! [`TelemetryGuard`]: flush, shutdown and status of a running pipeline. Work that may block runs
//! on separate threads, so that the deadline also holds on a plain thread, in a current-thread
//! runtime and after a runtime has ended. Invariant: nothing here waits without a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::diagnostics::warn;
use super::drive::deadline_in;
use super::error::TelemetryError;
use super::parts::{Parts, left};
use super::signal::{CONSOLE, Signal};
use super::status::{ExporterStatus, TelemetryStatus};
use super::{install, layer};
use crate::forks;
use crate::runtime;

/// A running pipeline. Dropping it flushes and shuts down within
/// [`shutdown_timeout`](super::TelemetryBuilder::shutdown_timeout).
///
/// Keep it until the program ends: bind it with `let _guard = …`; `let _ = …` drops it at once.
#[must_use = "dropping the guard shuts telemetry down; bind it: `let _guard = …`"]
pub struct TelemetryGuard {
    parts: Arc<Parts>,
    installed: bool,
    shut_down: AtomicBool,
    warned_about_layer: AtomicBool,
    /// The number of forks behind the process that built the pipeline.
    forks: u32,
}

impl TelemetryGuard {
    /// The guard of a pipeline that is not installed.
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            installed: false,
            shut_down: AtomicBool::new(false),
            warned_about_layer: AtomicBool::new(false),
            forks: forks::count(),
        }
    }

    /// The guard of the installed pipeline.
    pub(super) fn of_installed(parts: Parts) -> Self {
        let mut guard = Self::new(parts);
        guard.installed = true;
        if layer::has_subscriber() {
            guard.warn_about_layer();
        }
        guard
    }

    /// Exports all spans and log records that have ended, and the current values of all metrics.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Timeout`] if the export takes longer than `timeout`; queued data stays
    /// queued. [`TelemetryError::Export`] if a part could not be exported.
    /// [`TelemetryError::AlreadyShutdown`] after a shutdown. [`TelemetryError::Forked`] in the
    /// child of a fork.
    pub fn force_flush(&self, timeout: Duration) -> Result<(), TelemetryError> {
        if self.forks != forks::count() {
            return Err(TelemetryError::Forked { operation: "flush" });
        }
        if self.shut_down.load(Ordering::Acquire) {
            return Err(TelemetryError::AlreadyShutdown);
        }
        self.warn_about_layer();
        let deadline = deadline_in(timeout);
        let spans: OfSignal = Box::new(move |parts| parts.flush_spans(deadline));
        self.on_threads(
            FLUSH,
            timeout,
            spans,
            Box::new(Parts::flush_metrics),
            Box::new(move |parts| parts.flush_logs(deadline)),
        )
    }

    /// Exports as [`force_flush`](Self::force_flush) does, then ends the pipeline. It returns
    /// within `timeout`. A second call does nothing.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Timeout`] and [`TelemetryError::Export`], as
    /// [`force_flush`](Self::force_flush). Data that is not exported in time is dropped and counted
    /// in [`status`](Self::status). [`TelemetryError::Forked`] in the child of a fork, where
    /// telemetry can be installed again afterwards.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), TelemetryError> {
        if self.shut_down.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let is_forked = self.forks != forks::count();
        if !is_forked {
            self.warn_about_layer();
        }
        if self.installed {
            install::detach(&self.parts, is_forked);
        }
        self.parts.slot.empty();
        if is_forked {
            // The last reference to a provider would wait for its threads.
            std::mem::forget(Arc::clone(&self.parts));
            if self.installed {
                install::release();
            }
            return Err(TelemetryError::Forked {
                operation: "shut down",
            });
        }
        let deadline = deadline_in(timeout);
        let closing = deadline_in(timeout.saturating_sub(time_to_close(timeout)));
        self.parts.close_by(closing);
        let spans: OfSignal = Box::new(move |parts| parts.end_spans(closing, deadline));
        let metrics: OfSignal = Box::new(move |parts| parts.end_metrics(deadline));
        let logs: OfSignal = Box::new(move |parts| parts.end_logs(closing, deadline));
        let result = self.on_threads(SHUTDOWN, timeout, spans, metrics, logs);
        self.parts.give_up();
        if self.installed {
            install::release();
        }
        result
    }

    /// Returns the current state of the pipeline and its counts.
    pub fn status(&self) -> TelemetryStatus {
        let (records, counts) = self.parts.counts();
        let of = |signal| {
            let targets = self.parts.targets.iter().zip(&counts);
            targets
                .filter(|(target, _)| target.signal == signal)
                .map(|(target, counts)| ExporterStatus {
                    to: target.name.clone(),
                    counts: counts.clone(),
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
            recorded_spans: records.recorded,
            dropped_records: records.dropped,
            dropped_records_after_shutdown: records.after_shutdown,
            calls_after_shutdown: self.parts.calls_after_shutdown(),
            layer_in_subscriber: self.layer_in_subscriber(),
            warnings: self.parts.warnings.clone(),
        }
    }

    /// Directs the annotated calls of this thread to this pipeline until the scope is dropped.
    pub fn enter(&self) -> runtime::ScopeGuard {
        runtime::scope(self.parts.runtime)
    }

    /// Returns a layer that sends the `tracing` spans of other crates, up to `INFO`, to this
    /// pipeline. [`Telemetry::layer`](super::Telemetry::layer) returns that of the installed one.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        layer::layer(Arc::clone(&self.parts.slot), LevelFilter::INFO)
    }

    /// Returns the SDK's tracer provider with the same exporters; `None` if telemetry is disabled.
    pub fn tracer_provider(&self) -> Option<SdkTracerProvider> {
        self.parts.tracer_provider.clone()
    }

    /// Returns the SDK's meter provider; `None` if telemetry is disabled or no metric is exported.
    pub fn meter_provider(&self) -> Option<SdkMeterProvider> {
        self.parts.meter_provider.clone()
    }

    fn layer_in_subscriber(&self) -> bool {
        layer::is_in_subscriber(&self.parts.slot)
            || (self.installed && layer::is_in_subscriber(&layer::installed_slot()))
    }

    /// Warns once if the subscriber has no layer of this pipeline, so that the spans of other
    /// crates are not exported.
    fn warn_about_layer(&self) {
        let expects_layer =
            self.installed && !self.parts.is_disabled() && !self.parts.processors.is_empty();
        if !expects_layer
            || self.layer_in_subscriber()
            || self.warned_about_layer.swap(true, Ordering::Relaxed)
        {
            return;
        }
        warn(
            "the `tracing` subscriber has no layer of this build of percolate: annotated calls are \
             exported, other `tracing` spans are not; add \
             `.with(percolate_otel::Telemetry::layer())` to the subscriber"
                .to_owned(),
        );
    }

    /// Runs the operation of a signal on a thread and sends its result. Returns the operation if no
    /// thread can be started.
    fn on_thread(
        &self,
        operation: OfSignal,
        done: mpsc::Sender<Result<(), String>>,
    ) -> Option<OfSignal> {
        let parts = Arc::clone(&self.parts);
        let operation = Arc::new(Mutex::new(Some(operation)));
        let take = |operation: &Mutex<Option<OfSignal>>| {
            let mut operation = operation.lock().unwrap_or_else(PoisonError::into_inner);
            operation.take()
        };
        let of_thread = Arc::clone(&operation);
        let started = thread::Builder::new()
            .name("percolate-flush".to_owned())
            .spawn(move || {
                if let Some(operation) = take(&of_thread) {
                    // The receiver is gone if the deadline has passed.
                    _ = done.send(operation(&parts));
                }
            });
        match started {
            Ok(_) => None,
            Err(_) => take(&operation),
        }
    }

    /// Runs the operation of each signal on a thread and waits for all of them until the deadline.
    /// Files that are written as a whole follow the signals, or come before the deadline if they take
    /// longer. Operations whose thread cannot be started run on the calling thread.
    fn on_threads(
        &self,
        operation: &'static str,
        timeout: Duration,
        spans: OfSignal,
        metrics: OfSignal,
        logs: OfSignal,
    ) -> Result<(), TelemetryError> {
        let deadline = deadline_in(timeout);
        let (done, results) = mpsc::channel();
        let (spans_are_done, wait_for_spans) = mpsc::channel::<()>();
        let prints = self
            .parts
            .targets
            .iter()
            .any(|target| target.name == CONSOLE);
        let mut signals: Vec<OfSignal> = vec![
            Box::new(move |parts| {
                let result = spans(parts);
                drop(spans_are_done);
                result
            }),
            Box::new(move |parts| {
                // On the console the table of metrics follows the traces.
                if prints {
                    _ = wait_for_spans.recv_timeout(timeout / 4);
                }
                metrics(parts)
            }),
        ];
        if self.parts.logger_provider.is_some() {
            signals.push(logs);
        }
        if self.parts.has_files() {
            signals = followed_by_files(signals, timeout, operation == SHUTDOWN);
        }
        let waiting_for = signals.len();
        let without_thread: Vec<(usize, OfSignal)> = signals
            .into_iter()
            .enumerate()
            .filter_map(|(index, signal)| Some((index, self.on_thread(signal, done.clone())?)))
            .collect();
        for (index, signal) in without_thread {
            let is_metrics = index == 1;
            let result = if is_metrics && operation == FLUSH {
                // The SDK's flush of metrics has no deadline.
                Err("metrics: no thread can be started".to_owned())
            } else {
                signal(&self.parts)
            };
            _ = done.send(result);
        }
        let closing = match operation {
            SHUTDOWN => time_to_close(timeout),
            _ => Duration::ZERO,
        };
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
            _ if left(deadline) <= closing => Err(TelemetryError::Timeout { operation, timeout }),
            problems => Err(TelemetryError::Export {
                operation,
                problem: problems.join("; "),
            }),
        }
    }
}

/// Adds the writing of the report and the Chrome trace, which begins when the other operations have
/// ended, or a while before the deadline. A shutdown that takes long writes them early too: the
/// process may be killed.
fn followed_by_files(operations: Vec<OfSignal>, timeout: Duration, is_last: bool) -> Vec<OfSignal> {
    let deadline = deadline_in(timeout);
    let (has_ended, wait_for_ends) = mpsc::channel::<()>();
    let mut operations: Vec<OfSignal> = operations
        .into_iter()
        .map(|operation| {
            let has_ended = has_ended.clone();
            let operation: OfSignal = Box::new(move |parts| {
                let result = operation(parts);
                drop(has_ended);
                result
            });
            operation
        })
        .collect();
    let reserve = (timeout / 4).min(Duration::from_secs(1));
    operations.push(Box::new(move |parts| {
        // Disconnected when all have ended.
        let ended = |time: Duration| {
            wait_for_ends.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Disconnected)
        };
        let ended_soon = is_last && ended(reserve / 2);
        if is_last && !ended_soon {
            // A problem is that of the last writing too.
            _ = parts.write_files(deadline, false);
        }
        _ = ended_soon || ended(left(deadline).saturating_sub(reserve));
        parts.write_files(deadline, is_last)
    }));
    operations
}

/// The operation [`TelemetryGuard::force_flush`] in errors.
const FLUSH: &str = "flush";
/// The operation [`TelemetryGuard::shutdown`] in errors.
const SHUTDOWN: &str = "shutdown";

/// Returns the time before the deadline of a shutdown when exports end, so that the last errors are
/// in the status when it returns.
fn time_to_close(timeout: Duration) -> Duration {
    (timeout / 10).min(Duration::from_millis(100))
}

/// One signal's part of a flush or shutdown.
type OfSignal = Box<dyn FnOnce(&Parts) -> Result<(), String> + Send>;

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown(self.parts.shutdown_timeout) {
            warn(error.to_string());
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
