//! [`BatchProcessor`]: a queue of finished spans and the thread that exports them; and
//! [`SharedProcessor`], one processor for the SDK's provider and the records of annotated calls.
//! The SDK's batch processor does not report its losses and waits without a limit; this one counts
//! every span ([`Counters`]) and keeps deadlines. Invariants: the queue is bounded, callers never
//! wait for an export, and only the thread `percolate-export` calls the exporter.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use super::counters::Counters;
use super::diagnostics::report_change;
use super::drive::Driver;
use super::error::TelemetryError;
use super::settings::BatchSettings;

/// The time limit of a flush through the SDK's interface, which has no deadline.
const SDK_FLUSH: Duration = Duration::from_secs(5);

/// An object-safe exporter: [`SpanExporter`] returns unnamed futures.
pub(super) trait AnySpanExporter: Send + Sync + fmt::Debug {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<SpanData>,
    ) -> Result<(), String>;
    fn set_resource(&mut self, resource: &Resource);
    fn shutdown(&self, timeout: Duration);
}

impl<E: SpanExporter> AnySpanExporter for E {
    fn export(
        &self,
        driver: &Driver,
        timeout: Duration,
        batch: Vec<SpanData>,
    ) -> Result<(), String> {
        match driver.run(timeout, SpanExporter::export(self, batch)) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(message(error)),
            None => Err("no response in time".to_owned()),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        SpanExporter::set_resource(self, resource);
    }

    fn shutdown(&self, timeout: Duration) {
        // All spans were exported or counted before: an error here loses nothing.
        _ = SpanExporter::shutdown_with_timeout(self, timeout);
    }
}

/// The exporter's error message, without the SDK's prefix "Operation failed".
fn message(error: OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(message) => message,
        other => other.to_string(),
    }
}

/// A bounded queue and the thread that empties it into one exporter.
pub(super) struct BatchProcessor {
    shared: Arc<ExportQueue>,
}

/// The queue of a [`BatchProcessor`], shared by its callers and its thread.
struct ExportQueue {
    name: String,
    settings: BatchSettings,
    counters: Arc<Counters>,
    driver: Driver,
    state: Mutex<QueueState>,
    /// Notifies the thread of work.
    work: Condvar,
    /// Notifies the callers that spans were taken or exported, or that the thread has ended.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    queue: VecDeque<SpanData>,
    /// The number of spans that entered the queue.
    accepted: u64,
    /// The number of spans that were exported, failed or dropped.
    handled: u64,
    /// A flush is pending for all spans up to this number.
    flush_up_to: u64,
    /// The deadline of the shutdown. Once it is set no span is accepted; spans that are not
    /// exported by then are dropped.
    closing: Option<Instant>,
    stopped: bool,
}

fn lock(state: &Mutex<QueueState>) -> MutexGuard<'_, QueueState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Set on the thread that converts records to spans. It waits for room in the queue, so that an
    /// overflow is counted where it begins, in the buffer of records. On other threads spans are
    /// dropped and counted instead.
    static MAY_WAIT: bool = thread::current().name() == Some("percolate-spans");
}

impl BatchProcessor {
    /// Starts the thread. `name` is the exporter's name in messages.
    pub(super) fn start(
        name: String,
        exporter: Box<dyn AnySpanExporter>,
        settings: BatchSettings,
        driver: Driver,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let shared = Arc::new(ExportQueue {
            name,
            settings,
            counters,
            driver,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let thread = ExportThread {
            shared: Arc::clone(&shared),
            exporter,
            last_export: Instant::now(),
            failing: false,
        };
        thread::Builder::new()
            .name("percolate-export".to_owned())
            .spawn(move || thread.run())
            .map_err(|source| TelemetryError::Thread {
                name: "percolate-export",
                source,
            })?;
        Ok(Self { shared })
    }

    /// Waits until all spans that were accepted so far are exported.
    pub(super) fn flush_by(&self, deadline: Instant) -> OTelSdkResult {
        let failed_before = self.shared.counters.failed.load(Ordering::Relaxed);
        let mut state = lock(&self.shared.state);
        let last = state.accepted;
        state.flush_up_to = state.flush_up_to.max(last);
        self.shared.work.notify_one();
        let state = self.shared.wait_until(state, deadline, |state| {
            state.handled >= last || state.stopped
        });
        let done = state.handled >= last;
        drop(state);
        let failed = self.shared.counters.failed.load(Ordering::Relaxed) - failed_before;
        match (done, failed) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }

    /// Exports the queued spans, drops the rest at the deadline, and ends the thread.
    pub(super) fn shutdown_by(&self, deadline: Instant) -> OTelSdkResult {
        let mut state = lock(&self.shared.state);
        if state.closing.is_some() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        state.closing = Some(deadline);
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
        let lost_before = self.shared.lost();
        let mut state = self
            .shared
            .wait_until(state, deadline, |state| state.stopped);
        self.shared.drop_queued(&mut state);
        let in_time = state.stopped;
        drop(state);
        match (in_time, self.shared.lost() - lost_before) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }
}

impl ExportQueue {
    /// Waits until `done` or the deadline.
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, QueueState>,
        deadline: Instant,
        done: impl Fn(&QueueState) -> bool,
    ) -> MutexGuard<'a, QueueState> {
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .progress
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state
    }

    /// Drops and counts the queued spans.
    fn drop_queued(&self, state: &mut QueueState) {
        let count = state.queue.len();
        state.queue.clear();
        state.handled += count as u64;
        Counters::add(&self.counters.at_shutdown, count);
        self.counters.queued.store(0, Ordering::Relaxed);
    }

    fn last_problem(&self) -> String {
        let message = self
            .counters
            .last_error()
            .unwrap_or_else(|| "some spans were dropped".to_owned());
        format!("traces to {}: {message}", self.name)
    }

    fn lost(&self) -> u64 {
        self.counters.failed.load(Ordering::Relaxed)
            + self.counters.at_shutdown.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for BatchProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchProcessor")
            .field("to", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl SpanProcessor for BatchProcessor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        while MAY_WAIT.with(|may_wait| *may_wait)
            && state.queue.len() >= shared.settings.queue
            && state.closing.is_none()
            && !state.stopped
        {
            state = shared
                .progress
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closing.is_some() || state.stopped {
            Counters::add(&shared.counters.after_shutdown, 1);
        } else if state.queue.len() >= shared.settings.queue {
            Counters::add(&shared.counters.queue_full, 1);
        } else {
            state.queue.push_back(span);
            state.accepted += 1;
            let queued = state.queue.len();
            shared
                .counters
                .queued
                .store(queued as u64, Ordering::Relaxed);
            drop(state);
            if queued == shared.settings.batch {
                shared.work.notify_one();
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush_by(Instant::now() + SDK_FLUSH)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.shutdown_by(Instant::now() + timeout)
    }
}

/// The thread `percolate-export` of one [`BatchProcessor`].
struct ExportThread {
    shared: Arc<ExportQueue>,
    exporter: Box<dyn AnySpanExporter>,
    last_export: Instant,
    failing: bool,
}

/// The next step of the thread, with its time limit.
enum ExportStep {
    Export(Vec<SpanData>, Duration),
    Stop(Duration),
}

impl ExportThread {
    fn run(mut self) {
        loop {
            match self.next_step() {
                ExportStep::Export(batch, timeout) => self.export(batch, timeout),
                ExportStep::Stop(timeout) => {
                    self.exporter.shutdown(timeout);
                    lock(&self.shared.state).stopped = true;
                    self.shared.progress.notify_all();
                    return;
                }
            }
        }
    }

    /// Waits for a full batch, the end of the delay, a flush or the shutdown.
    fn next_step(&mut self) -> ExportStep {
        let BatchSettings {
            batch,
            delay,
            export_timeout,
            ..
        } = self.shared.settings;
        let mut state = lock(&self.shared.state);
        loop {
            let due = self.last_export + delay;
            let left = state
                .closing
                .map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                self.shared.drop_queued(&mut state);
            }
            if let (Some(left), true) = (left, state.queue.is_empty()) {
                return ExportStep::Stop(left);
            }
            let flushing = state.handled < state.flush_up_to || left.is_some();
            let is_due = !state.queue.is_empty() && Instant::now() >= due;
            if state.queue.len() >= batch || flushing || is_due {
                let count = state.queue.len().min(batch);
                let spans = state.queue.drain(..count).collect();
                self.shared
                    .counters
                    .queued
                    .store(state.queue.len() as u64, Ordering::Relaxed);
                drop(state);
                self.shared.progress.notify_all();
                self.last_export = Instant::now();
                return ExportStep::Export(
                    spans,
                    left.unwrap_or(export_timeout).min(export_timeout),
                );
            }
            let wait = if state.queue.is_empty() {
                delay
            } else {
                due.saturating_duration_since(Instant::now())
            };
            state = self
                .shared
                .work
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) {
        let count = batch.len();
        let result = self.exporter.export(&self.shared.driver, timeout, batch);
        report_change(
            self.failing,
            format_args!("{count} spans"),
            &self.shared.name,
            result
                .as_ref()
                .copied()
                .map_err(|error| error as &dyn fmt::Display),
        );
        self.failing = result.is_err();
        match result {
            Ok(()) => Counters::add(&self.shared.counters.exported, count),
            Err(error) => self.shared.counters.failed(count, error),
        }
        lock(&self.shared.state).handled += count as u64;
        self.shared.progress.notify_all();
    }
}

/// One processor for two sources: the SDK's tracer provider and the records of annotated calls.
#[derive(Debug, Clone)]
pub(super) struct SharedProcessor(pub(super) Arc<dyn SpanProcessor>);

impl SpanProcessor for SharedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.0.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.0.shutdown()
    }

    /// The resource is set before the processor is shared; afterwards it cannot change.
    fn set_resource(&mut self, resource: &Resource) {
        if let Some(processor) = Arc::get_mut(&mut self.0) {
            processor.set_resource(resource);
        }
    }
}
