//! Queues of finished spans in front of exporters, and sharing them between the SDK's provider and percolate's own
//! records. The SDK's batch processor keeps its losses to itself and waits without a limit; this one counts every span
//! ([`Counters`]) and keeps deadlines. Invariants: the queue is bounded, callers never wait for an export, and one
//! thread, `percolate-export`, calls the exporter.

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
use super::drive::Driver;
use super::error::TelemetryError;
use super::settings::BatchSettings;

/// How long a flush through the SDK's own interface, which has no deadline, may take.
const SDK_FLUSH: Duration = Duration::from_secs(5);

/// An exporter behind a pointer: [`SpanExporter`] returns unnamed futures.
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
            Some(Err(error)) => Err(words(error)),
            None => Err("no answer in time".to_owned()),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        SpanExporter::set_resource(self, resource);
    }

    fn shutdown(&self, timeout: Duration) {
        // An exporter that fails to say good-bye has nothing left to lose.
        _ = SpanExporter::shutdown_with_timeout(self, timeout);
    }
}

/// What an exporter said, without the SDK's "Operation failed".
pub(super) fn words(error: OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(words) => words,
        other => other.to_string(),
    }
}

/// A bounded queue and the thread that empties it into one exporter.
pub(super) struct BatchProcessor {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    settings: BatchSettings,
    counters: Arc<Counters>,
    driver: Driver,
    state: Mutex<State>,
    /// For the worker: there is something to do.
    work: Condvar,
    /// For everyone else: the queue moved, or the worker is done.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<SpanData>,
    /// Spans ever taken into the queue, and those of them that are exported, failed or given up.
    accepted: u64,
    handled: u64,
    /// Everything accepted up to here is wanted out now.
    wanted: u64,
    /// Set once: no span is accepted any more, and what is not exported by then is given up.
    closing: Option<Instant>,
    stopped: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The thread that turns records into spans is nobody's caller: it waits for room, so that an overflow shows where
    /// it began, in the hand-over of records. Everybody else's spans are dropped and counted instead.
    static MAY_WAIT: bool = thread::current().name() == Some("percolate-spans");
}

impl BatchProcessor {
    /// Starts the thread. `name` says in messages where the spans go.
    pub(super) fn start(
        name: String,
        exporter: Box<dyn AnySpanExporter>,
        settings: BatchSettings,
        driver: Driver,
        counters: Arc<Counters>,
    ) -> Result<Self, TelemetryError> {
        let shared = Arc::new(Shared {
            name,
            settings,
            counters,
            driver,
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            exporter,
            last_export: Instant::now(),
            failing: false,
        };
        thread::Builder::new()
            .name("percolate-export".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| TelemetryError::Thread {
                name: "percolate-export",
                source,
            })?;
        Ok(Self { shared })
    }

    /// Waits until everything accepted so far has been exported.
    pub(super) fn flush_by(&self, deadline: Instant) -> OTelSdkResult {
        let failed_before = self.shared.counters.failed.load(Ordering::Relaxed);
        let mut state = lock(&self.shared.state);
        let wanted = state.accepted;
        state.wanted = state.wanted.max(wanted);
        self.shared.work.notify_one();
        let state = self.shared.wait_until(state, deadline, |state| {
            state.handled >= wanted || state.stopped
        });
        let done = state.handled >= wanted;
        drop(state);
        let failed = self.shared.counters.failed.load(Ordering::Relaxed) - failed_before;
        match (done, failed) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }

    /// Exports what is queued, gives up the rest at the deadline, and ends the thread.
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
        self.shared.give_up(&mut state);
        let in_time = state.stopped;
        drop(state);
        match (in_time, self.shared.lost() - lost_before) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }
}

impl Shared {
    /// Waits on the queue's progress until `done` or the deadline.
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
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

    /// Drops what is queued, counted.
    fn give_up(&self, state: &mut State) {
        let count = state.queue.len();
        state.queue.clear();
        state.handled += count as u64;
        Counters::add(&self.counters.at_shutdown, count);
        self.counters.queued.store(0, Ordering::Relaxed);
    }

    fn last_problem(&self) -> String {
        let words = self
            .counters
            .last_error()
            .unwrap_or_else(|| "some were given up".to_owned());
        format!("traces to {}: {words}", self.name)
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

/// The thread's side.
struct Worker {
    shared: Arc<Shared>,
    exporter: Box<dyn AnySpanExporter>,
    last_export: Instant,
    failing: bool,
}

/// What one turn of the worker found to do.
enum Turn {
    Export(Vec<SpanData>, Duration),
    Stop(Duration),
}

impl Worker {
    fn run(mut self) {
        loop {
            match self.next_turn() {
                Turn::Export(batch, timeout) => self.export(batch, timeout),
                Turn::Stop(timeout) => {
                    self.exporter.shutdown(timeout);
                    lock(&self.shared.state).stopped = true;
                    self.shared.progress.notify_all();
                    return;
                }
            }
        }
    }

    /// Waits for a full batch, the delay, a flush or the end.
    fn next_turn(&mut self) -> Turn {
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
                self.shared.give_up(&mut state);
            }
            if let (Some(left), true) = (left, state.queue.is_empty()) {
                return Turn::Stop(left);
            }
            let wanted = state.handled < state.wanted || left.is_some();
            let is_due = !state.queue.is_empty() && Instant::now() >= due;
            if state.queue.len() >= batch || wanted || is_due {
                let count = state.queue.len().min(batch);
                let spans = state.queue.drain(..count).collect();
                self.shared
                    .counters
                    .queued
                    .store(state.queue.len() as u64, Ordering::Relaxed);
                drop(state);
                self.shared.progress.notify_all();
                self.last_export = Instant::now();
                return Turn::Export(spans, left.unwrap_or(export_timeout).min(export_timeout));
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
        self.report(count, &result);
        match result {
            Ok(()) => Counters::add(&self.shared.counters.exported, count),
            Err(error) => self.shared.counters.failed(count, error),
        }
        lock(&self.shared.state).handled += count as u64;
        self.shared.progress.notify_all();
    }

    /// One message when exports begin to fail and one when they work again.
    fn report(&mut self, count: usize, result: &Result<(), String>) {
        let to = &self.shared.name;
        match (self.failing, result) {
            (false, Err(error)) => tracing::warn!(
                target: super::TELEMETRY_TARGET,
                "cannot export {count} spans to {to}: {error}; further losses are counted in `TelemetryGuard::status`"
            ),
            (true, Ok(())) => {
                tracing::info!(target: super::TELEMETRY_TARGET, "exporting spans to {to} works again")
            }
            (true, Err(_)) | (false, Ok(())) => {}
        }
        self.failing = result.is_err();
    }
}

/// One processor for two feeders: the SDK's tracer provider and percolate's records.
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

    /// Given before sharing: a shared processor cannot be changed.
    fn set_resource(&mut self, resource: &Resource) {
        if let Some(processor) = Arc::get_mut(&mut self.0) {
            processor.set_resource(resource);
        }
    }
}
