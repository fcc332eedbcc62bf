//! The telemetry runtime of the process: it is installed once, flushed, shut down, and removed
//! after a fork. `percolate_rocks._telemetry` decides what to install.
//!
//! Nothing waits here while attached to the interpreter.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanProcessor;
use percolate_core::otel::runtime::{self, Runtime, RuntimeConfig, Sampler};
use percolate_core::otel::{
    ExportCounts, Exporter, ExporterStatus, SideReport, Telemetry, TelemetryGuard, TelemetryStatus,
};
use percolate_core::storage;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::metrics::{MeterSettings, Meters};
use crate::process::{count_fork, forks, was_used};
use crate::report::{FinishedSpan, ReportSettings};
use crate::sampler::PythonSampler;
use crate::spans::Bridge;
use crate::unraisable;
use crate::waiting::released;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_install_python, module)?)?;
    module.add_function(wrap_pyfunction!(_install_rust, module)?)?;
    module.add_function(wrap_pyfunction!(_set_automatic, module)?)?;
    module.add_function(wrap_pyfunction!(_force_flush, module)?)?;
    module.add_function(wrap_pyfunction!(_shutdown, module)?)?;
    module.add_function(wrap_pyfunction!(_write_report, module)?)?;
    module.add_function(wrap_pyfunction!(_report_span, module)?)?;
    module.add_function(wrap_pyfunction!(_collect, module)?)?;
    module.add_function(wrap_pyfunction!(_status, module)?)?;
    module.add_function(wrap_pyfunction!(_after_fork_in_child, module)?)?;
    Ok(())
}

/// The installed telemetry.
enum Installed {
    /// Spans and metrics go to the Python application's own providers.
    Python(PythonPipeline),
    /// Spans and metrics are exported from Rust.
    Rust(Arc<TelemetryGuard>),
}

#[derive(Clone)]
struct PythonPipeline {
    runtime: &'static Runtime,
    bridge: Arc<Bridge>,
    meters: Option<Meters>,
    report: Option<Arc<SideReport>>,
}

impl PythonPipeline {
    /// Writes the page of the report, if there is one.
    fn write_report(&self, is_last: bool, timeout: Duration) -> Result<(), String> {
        let Some(report) = &self.report else {
            return Ok(());
        };
        if let Some(meters) = &self.meters
            && !is_last
        {
            meters.collect_for_report();
        }
        let (delivered, dropped, _) = self.bridge.counts();
        let mut counts = ExportCounts::default();
        counts.exported = delivered;
        counts.failed = dropped;
        let recorded = self.runtime.recorded_spans();
        let before = self.runtime.dropped_spans();
        counts.queued = recorded.saturating_sub(delivered + dropped + before);
        let name = "the application's span processors";
        report.write((name, counts), (recorded, before), is_last, timeout)
    }
}

/// One slot per generation of forks: a child must not wait for a lock that a thread of its parent
/// held.
static INSTALLED: [Mutex<Option<Installed>>; GENERATIONS] =
    [const { Mutex::new(None) }; GENERATIONS];
const GENERATIONS: usize = 16;

/// When a call makes `percolate_rocks._telemetry` look for a provider.
static AUTOMATIC: AtomicU8 = AtomicU8::new(WHEN_SAMPLED);
const OFF: u8 = 0;
/// In a call with a sampled parent.
const WHEN_SAMPLED: u8 = 1;
/// In any call: after a fork, to restart what the parent had installed.
const AT_ONCE: u8 = 2;

fn installed() -> MutexGuard<'static, Option<Installed>> {
    slot(forks()).lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot(forks: u32) -> &'static Mutex<Option<Installed>> {
    &INSTALLED[forks as usize % GENERATIONS]
}

/// Looks for the application's provider in a call with a sampled parent, if looking is on.
pub(crate) fn ready(py: Python<'_>, is_sampled: impl FnOnce() -> bool) -> PyResult<()> {
    match AUTOMATIC.load(Ordering::Relaxed) {
        OFF => Ok(()),
        WHEN_SAMPLED if !is_sampled() => Ok(()),
        _ => look_for_provider(py),
    }
}

/// Looks for the provider in a call without a parent. Only a process forked from one with a runtime
/// does so.
pub(crate) fn ready_without_parent(py: Python<'_>) -> PyResult<()> {
    if AUTOMATIC.load(Ordering::Relaxed) == AT_ONCE {
        look_for_provider(py)
    } else {
        Ok(())
    }
}

#[cold]
fn look_for_provider(py: Python<'_>) -> PyResult<()> {
    py.import("percolate_rocks._telemetry")?
        .call_method0("_automatic")
        .map(drop)
}

/// Switch looking for the application's provider on or off.
#[pyfunction]
#[pyo3(signature = (on, *, at_once = false))]
fn _set_automatic(on: bool, at_once: bool) {
    let when = if at_once { AT_ONCE } else { WHEN_SAMPLED };
    AUTOMATIC.store(if on { when } else { OFF }, Ordering::Relaxed);
}

/// Deliver spans to `deliver` and, if `meters` is set, metrics to `_collect`. `report` is the path of
/// a report and the attributes of the resource; it needs `meters`.
///
/// `sampler` is a name with an argument, as in `("parent", ("ratio", 0.1))`, or a function.
#[pyfunction]
#[pyo3(signature = (deliver, sampler, meters, report = None))]
fn _install_python(
    py: Python<'_>,
    deliver: Py<PyAny>,
    sampler: &Bound<'_, PyAny>,
    meters: Option<MeterSettings>,
    report: Option<ReportSettings<'_>>,
) -> PyResult<()> {
    let sampler = read_sampler(sampler)?;
    let report = report.map(ReportSettings::read);
    released(py, || {
        let mut slot = installed();
        refuse_second(slot.as_ref())?;
        let started = meters
            .map(|settings| Meters::start(settings, report))
            .transpose()?;
        let (meters, report) = started.unzip();
        let report = report.flatten().map(Arc::new);
        let bridge = Bridge::start(deliver)?;
        let mut processors = vec![Arc::clone(&bridge) as Arc<dyn SpanProcessor>];
        processors.extend(report.as_ref().map(|report| report.processor()));
        let runtime = Runtime::build(RuntimeConfig {
            meter_provider: meters.as_ref().map(Meters::provider),
            own_aggregation: meters.as_ref().and_then(Meters::own_aggregation),
            sampler,
            sink: runtime::sdk_sink(processors),
            unsampled_calls: report.as_ref().map(|report| report.unsampled_calls()),
            ..RuntimeConfig::default()
        })?;
        if let Some(report) = &report {
            report.collect_from(runtime);
        }
        runtime::install(runtime).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        *slot = Some(Installed::Python(PythonPipeline {
            runtime,
            bridge,
            meters,
            report,
        }));
        AUTOMATIC.store(OFF, Ordering::Relaxed);
        Ok(())
    })?
}

/// Export from Rust: to a list of exporters, separated by commas, configured by the `OTEL_*` variables;
/// `env` to the exporters of these variables, `off` to the report only.
#[pyfunction]
#[pyo3(signature = (export, report = None))]
fn _install_rust(py: Python<'_>, export: &str, report: Option<PathBuf>) -> PyResult<()> {
    let exporters = match export {
        "env" => None,
        names => Some(
            names
                .split(',')
                .map(exporter)
                .collect::<PyResult<Vec<_>>>()?,
        ),
    };
    released(py, || {
        let mut slot = installed();
        refuse_second(slot.as_ref())?;
        let mut builder = Telemetry::builder().install_subscriber(false);
        if let Some(exporters) = exporters {
            // A Chrome trace has no metrics.
            let of_metrics: Vec<_> = exporters
                .iter()
                .copied()
                .filter(|exporter| *exporter != Exporter::Chrome)
                .collect();
            builder = builder.traces(exporters).metrics(of_metrics);
        }
        if let Some(report) = report {
            builder = builder.report(report);
        }
        let guard = builder
            .install()
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        if let Some(provider) = guard.meter_provider() {
            // The figures of the databases that are open now or later.
            storage::register_metrics(&provider);
        }
        *slot = Some(Installed::Rust(Arc::new(guard)));
        AUTOMATIC.store(OFF, Ordering::Relaxed);
        Ok(())
    })?
}

fn exporter(name: &str) -> PyResult<Exporter> {
    match name {
        "otlp" => Ok(Exporter::Otlp),
        "otlp_file" => Ok(Exporter::OtlpFile),
        "chrome" => Ok(Exporter::Chrome),
        "console" => Ok(Exporter::Console),
        "off" => Ok(Exporter::None),
        other => Err(PyValueError::new_err(format!(
            "unknown export `{other}`; expected otlp, otlp_file, chrome, console or off"
        ))),
    }
}

fn refuse_second(installed: Option<&Installed>) -> PyResult<()> {
    let refusal =
        "cannot install telemetry: it is already installed; call percolate_rocks.shutdown() first";
    if installed.is_some() {
        Err(PyRuntimeError::new_err(refusal))
    } else {
        Ok(())
    }
}

fn read_sampler(value: &Bound<'_, PyAny>) -> PyResult<Sampler> {
    let Ok((name, argument)) = value.extract::<(String, Bound<'_, PyAny>)>() else {
        return Ok(Sampler::Custom(Box::new(PythonSampler::new(
            value.clone().unbind(),
        ))));
    };
    match name.as_str() {
        "on" => Ok(Sampler::AlwaysOn),
        "off" => Ok(Sampler::AlwaysOff),
        "ratio" => Ok(Sampler::TraceIdRatio(argument.extract()?)),
        "parent" => Ok(Sampler::ParentBased(Box::new(read_sampler(&argument)?))),
        other => Err(PyValueError::new_err(format!(
            "unknown sampler `{other}`; expected on, off, ratio or parent"
        ))),
    }
}

/// Deliver all finished spans. Return `False` if that takes longer than `timeout` seconds.
#[pyfunction]
fn _force_flush(py: Python<'_>, timeout: f64) -> PyResult<bool> {
    let deadline = Instant::now() + seconds(timeout)?;
    released(py, || flush_until(deadline))
}

fn flush_until(deadline: Instant) -> bool {
    let left = || deadline.saturating_duration_since(Instant::now());
    match in_use() {
        None => true,
        Some(Installed::Python(pipeline)) => {
            pipeline.runtime.flush(left()) && pipeline.bridge.flush(left())
        }
        Some(Installed::Rust(guard)) => guard.force_flush(left()).is_ok(),
    }
}

/// Returns the installed telemetry, for use without holding the lock.
fn in_use() -> Option<Installed> {
    installed().as_ref().map(|installed| match installed {
        Installed::Python(pipeline) => Installed::Python(pipeline.clone()),
        Installed::Rust(guard) => Installed::Rust(Arc::clone(guard)),
    })
}

/// Write the page of the report of the Python pipeline. Return the problem if it cannot be written.
#[pyfunction]
fn _write_report(py: Python<'_>, timeout: f64) -> PyResult<Option<String>> {
    let timeout = seconds(timeout)?;
    released(py, || match in_use() {
        Some(Installed::Python(pipeline)) => pipeline.write_report(false, timeout).err(),
        _ => None,
    })
}

/// Add a finished span of the application to the report.
#[pyfunction]
#[pyo3(signature = (span, /))]
fn _report_span(py: Python<'_>, span: FinishedSpan<'_>) {
    let span = span.read();
    py.detach(|| {
        if let Some(Installed::Python(PythonPipeline {
            report: Some(report),
            ..
        })) = in_use()
        {
            report.processor().on_end(span);
        }
    });
}

/// The end of a delivery: whether all was delivered, for an export from Rust the number of lost spans,
/// which exporters lost them, and the last error; the problem if the report cannot be written; the
/// final counts; and the metrics that each reader of the application has not collected yet.
type Ended = (
    bool,
    u64,
    Option<String>,
    Option<String>,
    Option<String>,
    Counts,
    Vec<Vec<Py<PyAny>>>,
);

/// The numbers of delivered spans, lost spans and failed batches.
type Counts = (u64, u64, u64);

/// Deliver all finished spans, end the delivering thread and remove the runtime.
#[pyfunction]
fn _shutdown(py: Python<'_>, timeout: f64) -> PyResult<Ended> {
    let deadline = Instant::now() + seconds(timeout)?;
    AUTOMATIC.store(OFF, Ordering::Relaxed);
    match py.detach(|| installed().take()) {
        None => Ok((true, 0, None, None, None, Counts::default(), Vec::new())),
        Some(Installed::Python(pipeline)) => end_python(py, &pipeline, deadline),
        Some(Installed::Rust(guard)) => released(py, || end_rust(&guard, deadline)),
    }
}

fn end_python(py: Python<'_>, pipeline: &PythonPipeline, deadline: Instant) -> PyResult<Ended> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let PythonPipeline {
        runtime,
        bridge,
        meters,
        report,
    } = pipeline;
    let flushed = released(py, || {
        runtime::end(runtime);
        let flushed = runtime.stop(left()) && bridge.flush(left());
        bridge.close();
        runtime.stop_measuring();
        flushed
    })?;
    let rests = meters
        .as_ref()
        .map(|meters| meters.collect_all(py, runtime));
    let rests = rests.transpose().unwrap_or_else(|error| {
        unraisable::report(py, error, None);
        None
    });
    released(py, || {
        if let Some(meters) = meters {
            meters.shutdown(left());
        }
        let written = pipeline.write_report(true, left());
        if let Some(report) = report {
            report.end();
        }
        // What is not delivered now is lost.
        let (delivered, _, failed) = bridge.counts();
        let lost = runtime.recorded_spans().saturating_sub(delivered);
        let counts = (delivered, lost, failed);
        let rests = rests.unwrap_or_default();
        (flushed, 0, None, None, written.err(), counts, rests)
    })
}

fn end_rust(guard: &TelemetryGuard, deadline: Instant) -> Ended {
    let ended = guard.shutdown(deadline.saturating_duration_since(Instant::now()));
    let status = guard.status();
    let report = report_of(&status).and_then(|(_, problem)| problem);
    let (lost, losses) = (status.lost_spans(), status.describe_lost_spans());
    let counts = counts_of(&status);
    let problem = ended.as_ref().err().map(ToString::to_string);
    let error = last_error(status).or(problem);
    (
        ended.is_ok(),
        lost,
        losses,
        error,
        report,
        counts,
        Vec::new(),
    )
}

/// Return the metrics of the reader with the index `reader`, since its last collection (delta) or
/// the start (cumulative).
#[pyfunction]
fn _collect(py: Python<'_>, reader: usize) -> PyResult<Vec<Py<PyAny>>> {
    match py.detach(in_use) {
        Some(Installed::Python(PythonPipeline {
            runtime,
            meters: Some(meters),
            ..
        })) => meters.collect(py, runtime, reader),
        _ => Ok(Vec::new()),
    }
}

/// Return the installed telemetry and its counters.
#[pyfunction]
fn _status(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let status = PyDict::new(py);
    let (mut export, mut metrics, mut counts, mut warnings) =
        ("none", false, (0, 0, 0), Vec::new());
    let (mut waiting, mut losses, mut error) = (0, None, None);
    let (mut report, mut report_error) = (None, None);
    match py.detach(in_use) {
        None => {}
        Some(Installed::Python(pipeline)) => {
            let (delivered, dropped, failed) = pipeline.bridge.counts();
            export = "python";
            metrics = pipeline.meters.as_ref().is_some_and(Meters::has_readers);
            if let Some(of_pipeline) = &pipeline.report {
                report = Some(of_pipeline.path().display().to_string());
                report_error = of_pipeline.last_error();
            }
            counts = (
                delivered,
                dropped + pipeline.runtime.dropped_spans(),
                failed,
            );
            // Read after the others, which it includes.
            let recorded = pipeline.runtime.recorded_spans();
            waiting = recorded.saturating_sub(counts.0 + counts.1);
            warnings = pipeline
                .meters
                .map(|meters| meters.warnings())
                .unwrap_or_default();
        }
        Some(Installed::Rust(guard)) => {
            let rust = guard.status();
            export = "rust";
            metrics = rust.metrics.iter().any(|exporter| !is_report(exporter));
            if let Some((path, problem)) = report_of(&rust) {
                (report, report_error) = (Some(path), problem);
            }
            counts = counts_of(&rust);
            waiting = exporters_of(&rust)
                .map(|counts| counts.buffered + counts.queued + counts.in_flight)
                .max()
                .unwrap_or(0);
            losses = rust.describe_lost_spans();
            warnings = rust.warnings.iter().map(ToString::to_string).collect();
            error = last_error(rust);
        }
    }
    status.set_item("export", export)?;
    status.set_item("metrics", metrics)?;
    status.set_item("spans_delivered", counts.0)?;
    status.set_item("spans_dropped", counts.1)?;
    status.set_item("spans_waiting", waiting)?;
    status.set_item("failed_batches", counts.2)?;
    status.set_item("calls_after_shutdown", Telemetry::calls_after_shutdown())?;
    status.set_item("losses", losses)?;
    status.set_item("last_error", error.or(report_error))?;
    status.set_item("report", report)?;
    status.set_item("warnings", warnings)?;
    status.set_item("pid", std::process::id())?;
    Ok(status)
}

/// Returns the counts of the exporters of spans. All receive the same spans. The report is one of
/// them only if there is no other.
fn exporters_of(status: &TelemetryStatus) -> impl Iterator<Item = &ExportCounts> {
    let has_others = status.traces.iter().any(|exporter| !is_report(exporter));
    let exporters = status.traces.iter();
    exporters
        .filter(move |exporter| !(has_others && is_report(exporter)))
        .map(|exporter| &exporter.counts)
}

/// Returns the counts of a pipeline in Rust.
fn counts_of(status: &TelemetryStatus) -> Counts {
    let exported = exporters_of(status).map(|counts| counts.exported).min();
    let failed = exporters_of(status).map(|counts| counts.failed).max();
    (
        exported.unwrap_or(0),
        status.lost_spans(),
        failed.unwrap_or(0),
    )
}

/// The end of the name of a report among the exporters.
const REPORT: &str = " (report)";

fn is_report(exporter: &ExporterStatus) -> bool {
    exporter.to.ends_with(REPORT)
}

/// Returns the path of the report of a pipeline, and its last problem.
fn report_of(status: &TelemetryStatus) -> Option<(String, Option<String>)> {
    let mut exporters = status.metrics.iter();
    let report = exporters.find(|exporter| is_report(exporter))?;
    let path = report.to.trim_end_matches(REPORT).to_owned();
    Some((path, report.counts.last_error.clone()))
}

fn last_error(status: TelemetryStatus) -> Option<String> {
    let mut exporters = status.traces.into_iter();
    exporters.find_map(|exporter| exporter.counts.last_error)
}

/// Remove the runtime of the parent process, whose threads a forked child does not have. Return
/// whether there was one.
#[pyfunction]
fn _after_fork_in_child() -> bool {
    let parent = count_fork();
    if was_used() {
        crate::exit::skip_destructors();
    }
    // If another thread of the parent held the lock, it is never released here, and telemetry stays
    // off.
    let Ok(mut slot) = slot(parent).try_lock() else {
        return false;
    };
    let Some(before) = slot.take() else {
        return false;
    };
    match &before {
        Installed::Python(pipeline) => runtime::uninstall(pipeline.runtime),
        // The exporting threads are gone. Without waiting, this only frees the global slot; the
        // result is a timeout.
        Installed::Rust(guard) => _ = guard.shutdown(Duration::ZERO),
    }
    // Its threads are gone and may have held its locks, so even dropping it could hang.
    std::mem::forget(before);
    true
}

fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .map(|timeout| timeout.min(Duration::from_hours(24)))
        .map_err(|_| {
            PyValueError::new_err(format!(
                "timeout must be a number of seconds, 0 or more, not {timeout}"
            ))
        })
}
