//! [`ExportQueue`]: a bounded queue of finished spans or log records, and the thread that exports
//! them. The SDK's batch processors do not report their losses and wait without a limit; this queue
//! counts every item ([`Counters`]) and keeps deadlines. The processors that fill it are in
//! `processor` and `logs`. Invariants: the queue is bounded, callers never wait for an export, no
//! exporter waits for one over the network, and only the thread `percolate-export` calls the
//! exporter.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::counters::{Arrival, Counters, LossesBefore};
use super::diagnostics::{LossReporter, TOO_FAST};
use super::drive::{Driver, LONGEST, deadline_in};
use super::error::TelemetryError;
use super::settings::BatchSettings;
use super::signal::Signal;

/// The time limit of a flush through the SDK's interface, which has no deadline.
const SDK_FLUSH: Duration = Duration::from_secs(5);

/// How much of a request a collector rejected while it accepted the rest.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    /// The number of rejected items.
    pub(super) count: usize,
    /// The collector's message, without data of the program. Without rejected items it is a
    /// warning.
    pub(super) message: Option<String>,
}

impl Rejected {
    /// Returns the error message. `rejected` is the rejected part of the data, such as
    /// `3 of 5 spans`, and `all` the data.
    pub(super) fn problem(&self, rejected: impl fmt::Display, all: &str) -> Option<String> {
        match (self.count, &self.message) {
            (0, None) => None,
            (0, Some(message)) => Some(format!(
                "the collector accepted the {all} with a warning: {message}"
            )),
            (_, None) => Some(format!("the collector rejected {rejected}")),
            (_, Some(message)) => Some(format!("the collector rejected {rejected}: {message}")),
        }
    }
}

/// An exporter of batches of one kind of item.
pub(super) trait ExportBatch<T>: Send + Sync + fmt::Debug {
    /// Exports a batch, within `timeout`. Returns how many of its items were rejected.
    fn export(&self, driver: &Driver, timeout: Duration, batch: Vec<T>)
    -> Result<Rejected, String>;

    fn shutdown(&self, timeout: Duration);
}

/// The number of spans of annotated calls that a queue holds above its limit if the thread that
/// converts records cannot wait for it.
pub(super) const BACKLOG: usize = 8192;

/// What the thread that converts records does when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It waits for room, so that an overflow is counted where it begins, in the buffer of records.
    /// For the only exporter, and for files on this machine, which always make progress.
    Wait,
    /// It adds up to [`BACKLOG`] spans more, then drops and counts them: the other exporters must not
    /// wait for a collector that is slow or cannot be reached.
    Drop,
}

/// The name, the limits and the counts of a queue.
pub(super) struct QueueOptions {
    /// The exporter's name in messages.
    pub(super) name: String,
    pub(super) signal: Signal,
    pub(super) settings: BatchSettings,
    pub(super) when_full: WhenFull,
    pub(super) driver: Driver,
    pub(super) counters: Arc<Counters>,
    /// The losses before the queue that are reported here too.
    pub(super) losses_before: LossesBefore,
}

/// How often a thread that waits checks whether losses have ended.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A bounded queue and the thread that empties it into one exporter.
pub(super) struct ExportQueue<T> {
    shared: Arc<Shared<T>>,
}

/// What the callers of an [`ExportQueue`] share with its thread.
struct Shared<T> {
    options: QueueOptions,
    state: Mutex<QueueState<T>>,
    /// Notifies the thread of work.
    work: Condvar,
    /// Notifies the callers that items were taken or exported, or that the thread has ended.
    progress: Condvar,
}

#[derive(Debug)]
struct QueueState<T> {
    queue: VecDeque<T>,
    /// The number of items that entered the queue.
    accepted: u64,
    /// The number of items that were exported, failed or dropped.
    handled: u64,
    /// A flush is pending for all items up to this number.
    flush_up_to: u64,
    /// The deadline of the shutdown. Once it is set no item is accepted; items that are not
    /// exported by then are dropped.
    closing: Option<Instant>,
    stopped: bool,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> ExportQueue<T> {
    /// Starts the thread.
    pub(super) fn start(
        exporter: Box<dyn ExportBatch<T>>,
        options: QueueOptions,
    ) -> Result<Self, TelemetryError> {
        let shared = Arc::new(Shared {
            options,
            state: Mutex::new(QueueState {
                queue: VecDeque::new(),
                accepted: 0,
                handled: 0,
                flush_up_to: 0,
                closing: None,
                stopped: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let QueueOptions { name, signal, .. } = &shared.options;
        let thread = ExportThread {
            reporter: LossReporter::new(signal.items(), name.clone()),
            shared: Arc::clone(&shared),
            exporter,
            last_export: Instant::now(),
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

    /// Adds an item. If the queue is full, the item is dropped and counted. If it comes from the
    /// thread that converts records, [`WhenFull`] applies.
    pub(super) fn push(&self, item: T, is_from_records: bool) {
        let shared = &self.shared;
        let counters = &shared.options.counters;
        let limits = shared.options.settings;
        let when_full = shared.options.when_full;
        let limit = match when_full {
            WhenFull::Drop if is_from_records => limits.queue + BACKLOG,
            WhenFull::Drop | WhenFull::Wait => limits.queue,
        };
        let mut state = lock(&shared.state);
        while is_from_records
            && when_full == WhenFull::Wait
            && state.queue.len() >= limit
            && state.closing.is_none()
            && !state.stopped
        {
            state = shared
                .progress
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closing.is_some() || state.stopped {
            counters.arrive(Arrival::Closed);
        } else if state.queue.len() >= limit {
            counters.arrive(Arrival::Full);
        } else {
            state.queue.push_back(item);
            state.accepted += 1;
            let queued = state.queue.len();
            counters.arrive(Arrival::Queued);
            drop(state);
            // With the first item the thread begins to wait for the end of the delay.
            if queued == 1 || queued == limits.batch {
                shared.work.notify_one();
            }
        }
    }

    /// Waits until all items that were accepted so far are exported.
    pub(super) fn flush_by(&self, deadline: Instant) -> OTelSdkResult {
        let counters = &self.shared.options.counters;
        let failed_before = counters.failed();
        let mut state = lock(&self.shared.state);
        let last = state.accepted;
        state.flush_up_to = state.flush_up_to.max(last);
        self.shared.work.notify_one();
        let state = self.shared.wait_until(state, deadline, |state| {
            state.handled >= last || state.stopped
        });
        let done = state.handled >= last;
        drop(state);
        match (done, counters.failed() - failed_before) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }

    /// Flushes for the SDK's interface.
    pub(super) fn flush(&self) -> OTelSdkResult {
        self.flush_by(Instant::now() + SDK_FLUSH)
    }

    /// Exports the queued items, drops the rest at `closing`, and ends the thread. It returns at the
    /// deadline, which may be a little later, so that the last error is known.
    pub(super) fn shutdown_by(&self, closing: Instant, deadline: Instant) -> OTelSdkResult {
        let mut state = lock(&self.shared.state);
        if state.closing.is_some() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        state.closing = Some(closing);
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
        let counters = &self.shared.options.counters;
        let lost_before = counters.lost_after_queue();
        let mut state = self
            .shared
            .wait_until(state, deadline, |state| state.stopped);
        self.shared.drop_queued(&mut state);
        let in_time = state.stopped;
        drop(state);
        match (in_time, counters.lost_after_queue() - lost_before) {
            (false, _) => Err(OTelSdkError::Timeout(Duration::ZERO)),
            (true, 0) => Ok(()),
            (true, _) => Err(OTelSdkError::InternalFailure(self.shared.last_problem())),
        }
    }

    /// Ends the queue without waiting: no item is accepted or exported any more. The items are
    /// counted by [`Counters::close`].
    pub(super) fn give_up(&self) {
        let mut state = lock(&self.shared.state);
        state.closing = Some(Instant::now());
        state.queue.clear();
        state.handled = state.accepted;
        self.shared.options.counters.close();
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
    }

    /// Shuts down for the SDK's interface.
    pub(super) fn shutdown_in(&self, timeout: Duration) -> OTelSdkResult {
        let deadline = deadline_in(timeout);
        self.shutdown_by(deadline, deadline)
    }
}

impl<T> fmt::Debug for ExportQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportQueue")
            .field("to", &self.shared.options.name)
            .finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    /// Waits until `done` or the deadline.
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, QueueState<T>>,
        deadline: Instant,
        done: impl Fn(&QueueState<T>) -> bool,
    ) -> MutexGuard<'a, QueueState<T>> {
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

    /// Drops and counts the queued items.
    fn drop_queued(&self, state: &mut QueueState<T>) {
        let count = state.queue.len();
        state.queue.clear();
        state.handled += count as u64;
        self.options.counters.drop_queued();
    }

    fn last_problem(&self) -> String {
        let items = self.options.signal.items();
        let message = self
            .options
            .counters
            .last_error()
            .unwrap_or_else(|| format!("some {items} were dropped"));
        format!(
            "{} to {}: {message}",
            self.options.signal.name(),
            self.options.name
        )
    }
}

/// The thread `percolate-export` of one [`ExportQueue`].
struct ExportThread<T> {
    shared: Arc<Shared<T>>,
    exporter: Box<dyn ExportBatch<T>>,
    last_export: Instant,
    reporter: LossReporter,
}

/// The next step of the thread, with its time limit.
enum ExportStep<T> {
    Export(Vec<T>, Duration),
    Report,
    Stop(Duration),
}

impl<T> ExportThread<T> {
    fn run(mut self) {
        loop {
            match self.next_step() {
                ExportStep::Export(batch, timeout) => self.export(batch, timeout),
                ExportStep::Report => self.report(None, false),
                ExportStep::Stop(timeout) => {
                    self.exporter.shutdown(timeout);
                    self.reporter.end(self.lost());
                    lock(&self.shared.state).stopped = true;
                    self.shared.progress.notify_all();
                    return;
                }
            }
        }
    }

    /// The number of losses, also of those before the queue.
    fn lost(&self) -> u64 {
        let options = &self.shared.options;
        options.counters.lost() + options.losses_before.count()
    }

    fn report(&self, problem: Option<&str>, works: bool) {
        self.reporter.update(
            self.lost(),
            problem.unwrap_or(TOO_FAST),
            works,
            Instant::now(),
        );
    }

    /// Waits for a full batch, the end of the delay, a flush or the shutdown.
    fn next_step(&mut self) -> ExportStep<T> {
        let BatchSettings {
            batch,
            delay,
            export_timeout,
            ..
        } = self.shared.options.settings;
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
                let items = state.queue.drain(..count).collect();
                self.shared.options.counters.begin(count);
                drop(state);
                self.shared.progress.notify_all();
                self.last_export = Instant::now();
                return ExportStep::Export(
                    items,
                    left.unwrap_or(export_timeout).min(export_timeout),
                );
            }
            let wait = if state.queue.is_empty() {
                LONGEST
            } else {
                due.saturating_duration_since(Instant::now())
            };
            let is_losing = self.reporter.is_losing();
            let wait = if is_losing {
                wait.min(REPORT_INTERVAL)
            } else {
                wait
            };
            let (after, _) = self
                .shared
                .work
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            if is_losing {
                return ExportStep::Report;
            }
        }
    }

    fn export(&mut self, batch: Vec<T>, timeout: Duration) {
        let count = batch.len();
        let QueueOptions {
            signal,
            driver,
            counters,
            ..
        } = &self.shared.options;
        let items = signal.items();
        let result = match self.exporter.export(driver, timeout, batch) {
            Ok(rejected) => {
                let lost = rejected.count.min(count);
                let problem = rejected.problem(format_args!("{lost} of {count} {items}"), items);
                problem.map_or(Ok(()), |problem| Err((lost, problem)))
            }
            Err(problem) => Err((count, problem)),
        };
        match result {
            Ok(()) => {
                counters.end(count, 0, None);
                self.report(None, true);
            }
            Err((lost, problem)) => {
                counters.end(count, lost, Some(problem.clone()));
                if lost == 0 {
                    self.reporter.warning(&problem, Instant::now());
                }
                self.report(Some(&problem), lost == 0);
            }
        }
        lock(&self.shared.state).handled += count as u64;
        self.shared.progress.notify_all();
    }
}
