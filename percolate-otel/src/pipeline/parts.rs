//! [`Parts`]: the components of a running pipeline, and how each signal is flushed and shut down.
//! They are created in `assemble` and driven by `guard`.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use tracing::level_filters::LevelFilter;

use super::chrome::ChromeTrace;
use super::counters::{Counters, ExportCounts};
use super::drive::Closing;
use super::env::ConfigWarning;
use super::layer::PipelineSlot;
use super::logs::BatchLogs;
use super::processor::BatchProcessor;
use super::propagator::Propagator;
use super::report::{PipelineState, Report};
use super::signal::Signal;
use crate::recorder::RecordCounts;
use crate::runtime::Runtime;

/// One exporter with its counts.
#[derive(Debug, Clone)]
pub(super) struct ExportTo {
    pub(super) signal: Signal,
    pub(super) name: String,
    pub(super) counters: Arc<Counters>,
}

/// The report, and the processor of its spans.
pub(super) struct ReportPart {
    pub(super) report: Arc<Report>,
    pub(super) spans: Arc<BatchProcessor>,
}

/// The Chrome trace, and the processor of its spans.
pub(super) struct ChromePart {
    pub(super) trace: Arc<ChromeTrace>,
    pub(super) spans: Arc<BatchProcessor>,
    pub(super) counters: Arc<Counters>,
}

/// The components of a pipeline.
pub(super) struct Parts {
    pub(super) runtime: Option<&'static Runtime>,
    pub(super) tracer_provider: Option<SdkTracerProvider>,
    pub(super) meter_provider: Option<SdkMeterProvider>,
    pub(super) logger_provider: Option<SdkLoggerProvider>,
    pub(super) processors: Vec<Processor>,
    pub(super) report: Option<ReportPart>,
    pub(super) chrome: Option<ChromePart>,
    pub(super) log_queues: Vec<BatchLogs>,
    pub(super) targets: Vec<ExportTo>,
    pub(super) closing: Closing,
    pub(super) slot: Arc<PipelineSlot>,
    pub(super) propagators: Vec<Propagator>,
    pub(super) warnings: Vec<ConfigWarning>,
    pub(super) sampler: String,
    pub(super) log_level: LevelFilter,
    pub(super) shutdown_timeout: Duration,
    pub(super) installs_subscriber: bool,
}

impl Parts {
    /// The components of a disabled pipeline: propagators and warnings.
    pub(super) fn disabled(
        propagators: Vec<Propagator>,
        warnings: Vec<ConfigWarning>,
        log_level: LevelFilter,
        shutdown_timeout: Duration,
    ) -> Self {
        Self {
            runtime: None,
            tracer_provider: None,
            meter_provider: None,
            logger_provider: None,
            processors: Vec::new(),
            report: None,
            chrome: None,
            log_queues: Vec::new(),
            targets: Vec::new(),
            closing: Closing::default(),
            slot: Arc::default(),
            propagators,
            warnings,
            sampler: "off".to_owned(),
            log_level,
            shutdown_timeout,
            installs_subscriber: false,
        }
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.runtime.is_none()
    }
}

/// A span processor that can be flushed by a deadline.
#[derive(Debug, Clone)]
pub(super) enum Processor {
    /// It keeps the deadline.
    Batch(Arc<BatchProcessor>),
    /// It may exceed the deadline, on a thread of the pipeline.
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
            Self::Batch(batch) => batch.0.flush_by(deadline),
            Self::Any(any) => any.force_flush(),
        }
    }

    fn shutdown_by(&self, closing: Instant, deadline: Instant) -> OTelSdkResult {
        match self {
            Self::Batch(batch) => batch.0.shutdown_by(closing, deadline),
            Self::Any(any) => any.shutdown_with_timeout(left(deadline)),
        }
    }
}

pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl Parts {
    /// Ends every running export at this time of the shutdown.
    pub(super) fn close_by(&self, closing: Instant) {
        self.closing.close_by(closing);
    }

    /// Ends the pipeline without waiting. What was not exported is lost and counted.
    pub(super) fn give_up(&self) {
        if let Some(runtime) = self.runtime {
            runtime.stop_measuring();
            runtime.give_up();
        }
        for processor in &self.processors {
            if let Processor::Batch(batch) = processor {
                batch.0.give_up();
            }
        }
        for logs in &self.log_queues {
            logs.0.give_up();
        }
        if let Some(part) = &self.report {
            part.report.end();
        }
        let queued = self.targets.iter();
        for target in queued.filter(|target| target.signal != Signal::Metrics) {
            target.counters.close();
        }
    }

    pub(super) fn flush_spans(&self, deadline: Instant) -> Result<(), String> {
        let records = self
            .runtime
            .is_none_or(|runtime| runtime.flush(left(deadline)));
        let results = each(&self.processors, |processor| processor.flush_by(deadline));
        summary(late(records), Signal::Traces, results)
    }

    pub(super) fn end_spans(&self, closing: Instant, deadline: Instant) -> Result<(), String> {
        let records = self
            .runtime
            .is_none_or(|runtime| runtime.stop(left(deadline)));
        let results = each(&self.processors, |processor| {
            processor.shutdown_by(closing, deadline)
        });
        let result = summary(late(records), Signal::Traces, results);
        // The provider would shut down the shared processors without a deadline: it comes last.
        if let Some(provider) = &self.tracer_provider {
            _ = provider.shutdown_with_timeout(left(deadline));
        }
        result
    }

    /// Returns the error messages of the exporters; the SDK's error only reports a failure.
    fn problem(&self, signal: Signal, error: impl Display) -> String {
        let own = self
            .targets
            .iter()
            .filter(|target| target.signal == signal)
            .filter_map(|target| {
                let message = target.counters.last_error()?;
                Some(format!("{} to {}: {message}", signal.name(), target.name))
            });
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            format!("{}: {error}", signal.name())
        } else {
            own.join("; ")
        }
    }

    /// Returns the counts of recorded spans, and those of each exporter in the order of `targets`.
    /// For each exporter of spans they add up.
    pub(super) fn counts(&self) -> (RecordCounts, Vec<ExportCounts>) {
        let targets = self.targets.iter();
        let arrived: Vec<_> = targets.map(|target| target.counters.arrived()).collect();
        // Later calls only increase what waits.
        let records = self
            .runtime
            .map_or_else(RecordCounts::default, Runtime::record_counts);
        let counts = self.targets.iter().zip(arrived);
        let counts = counts.map(|(target, arrived)| match target.signal {
            Signal::Traces => arrived.with(records),
            Signal::Metrics | Signal::Logs => arrived.with(RecordCounts::default()),
        });
        (records, counts.collect())
    }

    /// Returns the number of annotated calls after the shutdown.
    pub(super) fn calls_after_shutdown(&self) -> u64 {
        self.runtime.map_or(0, Runtime::calls_after_shutdown)
    }

    /// Whether there are files that are written as a whole.
    pub(super) fn has_files(&self) -> bool {
        self.report.is_some() || self.chrome.is_some()
    }

    /// Writes the page of the report and the Chrome trace with all spans that have ended.
    pub(super) fn write_files(&self, deadline: Instant, is_last: bool) -> Result<(), String> {
        // The exporters of spans report what is late. Half of the time is left for writing, in case
        // that a span processor of the program blocks.
        let deadline = Instant::now() + left(deadline) / 2;
        if let Some(runtime) = self.runtime {
            _ = runtime.flush(left(deadline));
        }
        let chrome = self.chrome.as_ref().map_or(Ok(()), |part| {
            _ = part.spans.0.flush_by(deadline);
            part.trace
                .write()
                .inspect_err(|problem| part.counters.note(problem.clone()))
                .map_err(|problem| format!("Chrome trace: {problem}"))
        });
        let report = self.report.as_ref().map_or(Ok(()), |part| {
            _ = part.spans.0.flush_by(deadline);
            self.write_report(&part.report, is_last)
        });
        match (chrome, report) {
            (Err(chrome), Err(report)) => Err(format!("{chrome}; {report}")),
            (chrome, report) => chrome.and(report),
        }
    }

    fn write_report(&self, report: &Report, is_last: bool) -> Result<(), String> {
        let (records, counts) = self.counts();
        let exporters = self.targets.iter().zip(counts);
        let exporters =
            exporters.map(|(target, counts)| (target.signal, target.name.clone(), counts));
        report.write(&PipelineState {
            exporters: exporters.collect(),
            recorded_spans: records.recorded,
            dropped_records: records.dropped,
            dropped_after_shutdown: records.after_shutdown,
            sampler: self.sampler.clone(),
            warnings: self.warnings.iter().map(ToString::to_string).collect(),
            is_last,
        })
    }

    pub(super) fn flush_metrics(&self) -> Result<(), String> {
        self.meter_provider
            .as_ref()
            .map_or(Ok(()), SdkMeterProvider::force_flush)
            .map_err(|error| self.problem(Signal::Metrics, &error))
    }

    pub(super) fn flush_logs(&self, deadline: Instant) -> Result<(), String> {
        let results = each(&self.log_queues, |logs| logs.0.flush_by(deadline));
        summary(None, Signal::Logs, results)
    }

    pub(super) fn end_logs(&self, closing: Instant, deadline: Instant) -> Result<(), String> {
        let results = each(&self.log_queues, |logs| {
            logs.0.shutdown_by(closing, deadline)
        });
        let result = summary(None, Signal::Logs, results);
        if let Some(provider) = &self.logger_provider {
            _ = provider.shutdown_with_timeout(left(deadline));
        }
        result
    }

    pub(super) fn end_metrics(&self, deadline: Instant) -> Result<(), String> {
        // What is measured from now on may be in no export.
        if let Some(runtime) = self.runtime {
            runtime.stop_measuring();
        }
        let Some(provider) = &self.meter_provider else {
            return Ok(());
        };
        let failed_before = self.failed_metrics();
        let Err(error) = provider.shutdown_with_timeout(left(deadline)) else {
            return Ok(());
        };
        // The SDK's reader waits for five seconds only, while the export goes on.
        if self.metrics_run() && self.metrics_end_by(deadline) {
            return match self.failed_metrics() - failed_before {
                0 => Ok(()),
                _ => Err(self.problem(Signal::Metrics, &error)),
            };
        }
        Err(self.problem(Signal::Metrics, &error))
    }

    /// Waits for the running exports of metrics. Returns `false` if the deadline comes first.
    fn metrics_end_by(&self, deadline: Instant) -> bool {
        while self.metrics_run() {
            let left = left(deadline);
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(Duration::from_millis(10)));
        }
        true
    }

    /// Whether an export of metrics is running.
    fn metrics_run(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.counters.running.load(Ordering::Acquire) > 0)
    }

    fn failed_metrics(&self) -> u64 {
        let metrics = self.targets.iter();
        metrics
            .filter(|target| target.signal == Signal::Metrics)
            .map(|target| target.counters.failed())
            .sum()
    }
}

/// Runs an operation on all exporters at the same time, so that none uses up the time of the others.
/// Without threads they follow each other.
fn each<T: Sync>(
    exporters: &[T],
    operation: impl Fn(&T) -> OTelSdkResult + Sync,
) -> Vec<OTelSdkResult> {
    if let [only] = exporters {
        return vec![operation(only)];
    }
    let operation = &operation;
    thread::scope(|scope| {
        let started: Vec<_> = exporters
            .iter()
            .map(|exporter| {
                thread::Builder::new()
                    .name("percolate-flush".to_owned())
                    .spawn_scoped(scope, move || operation(exporter))
                    .map_err(|_| exporter)
            })
            .collect();
        let results = started.into_iter().map(|started| match started {
            Ok(running) => running.join().unwrap_or_else(|_| {
                let problem = "an exporter or a processor panicked".to_owned();
                Err(OTelSdkError::InternalFailure(problem))
            }),
            Err(exporter) => operation(exporter),
        });
        results.collect()
    })
}

/// Returns a message if the records of annotated calls were not converted in time.
fn late(converted: bool) -> Option<String> {
    (!converted).then(|| "records were not converted in time".to_owned())
}

/// Returns the messages of the results as one.
fn summary(
    problem: Option<String>,
    signal: Signal,
    results: Vec<OTelSdkResult>,
) -> Result<(), String> {
    let failed = results.into_iter().filter_map(|result| match result {
        // Another owner of the processor has shut it down.
        Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
        Err(OTelSdkError::Timeout(_)) => {
            Some(format!("{} were not exported in time", signal.items()))
        }
        Err(OTelSdkError::InternalFailure(problem)) => Some(problem),
    });
    let problems: Vec<String> = problem.into_iter().chain(failed).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}
