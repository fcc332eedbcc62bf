//! Imports and exports of `Database`.
//!
//! They run on the calling thread, so that iterables and files are used where they were created.
//! Signal handlers run between batches. What Python code raised is raised by the call.

use std::io::{self, BufReader};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use percolate_core::query::QueryResult;
use percolate_core::{
    Database, Error, Existing, ExportOptions, ImportOptions, ImportReport, OnError, Progress,
};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMapping, PyString};

use super::handle::Closable;
use super::pipe::Pipe;
use super::rows::PythonRows;
use super::sink::PythonFile;
use crate::bar::Bar;
use crate::callback::Callback;
use crate::capsules::Batches;
use crate::context::TraceArgument;
use crate::errors::raised;
use crate::import_report::import_report;
use crate::query::PyQueryResult;
use crate::stop::{Reason, Stop};
use crate::waiting::caught;

/// The arguments of calls that import and export.
pub(super) struct Call {
    pub(super) on_progress: Option<Py<PyAny>>,
    pub(super) progress: bool,
    pub(super) timeout: Option<f64>,
    pub(super) trace_context: Option<TraceArgument>,
}

/// The first exception of Python code that a call runs.
#[derive(Clone, Default)]
pub(super) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// Calls `work` with the interpreter. Returns `None` if it raises.
    pub(super) fn attached<T>(&self, work: impl FnOnce(Python<'_>) -> PyResult<T>) -> Option<T> {
        Python::try_attach(|py| match work(py) {
            Ok(done) => Some(done),
            Err(error) => {
                let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(error);
                None
            }
        })
        .flatten()
    }

    fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A running import or export.
struct Run {
    stop: Stop,
    progress: Option<Callback>,
    _bar: Bar,
    raised: Raised,
    trace_context: Option<TraceArgument>,
}

impl Run {
    fn new(py: Python<'_>, call: Call) -> PyResult<Self> {
        let stop = Stop::of_call(call.timeout)?;
        let (bar, on_progress) = Bar::show(py, call.progress, call.on_progress)?;
        let progress = on_progress
            .map(|function| Callback::new(py, "on_progress", function, &stop))
            .transpose()?;
        Ok(Self {
            stop,
            progress,
            _bar: bar,
            raised: Raised::default(),
            trace_context: call.trace_context,
        })
    }

    /// Returns the function to call between batches: it runs signal handlers, calls `on_progress`, and
    /// returns whether to go on.
    fn between(&self) -> impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static {
        let (stop, progress, raised) = (
            self.stop.clone(),
            self.progress.clone(),
            self.raised.clone(),
        );
        move |made| {
            _ = raised.attached(|py| {
                py.check_signals()
                    .inspect_err(|_| stop.request(Reason::Signal))
            });
            match &progress {
                Some(progress) => progress.report(made),
                None => stop.flow(),
            }
        }
    }

    /// Runs `work`.
    ///
    /// # Errors
    /// The exception that Python code raised, else that of the stop, else that of the error. If rows
    /// were written, the first two have a note with their number.
    fn run<T: Send>(
        self,
        py: Python<'_>,
        shared: &Arc<Closable>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
        written: impl FnOnce(&T) -> usize,
    ) -> PyResult<Result<T, Error>> {
        let done = shared.stoppable_work(py, self.trace_context, &self.stop, work)?;
        let raised = self.raised.take();
        let raised = raised.or_else(|| self.progress.and_then(|progress| progress.take_error()));
        let Some(raised) = raised.or_else(|| self.stop.exception()) else {
            return Ok(done);
        };
        let written = match &done {
            Ok(done) => written(done),
            Err(Error::ImportStopped { written, .. }) => *written,
            Err(_) => 0,
        };
        if written > 0 {
            // Python 3.10 has no notes.
            _ = raised
                .value(py)
                .call_method1("add_note", (format!("{written} rows were written before"),));
        }
        Err(raised)
    }
}

/// How rows are imported.
pub(super) struct ImportArguments<'a> {
    pub(super) on_error: &'a str,
    pub(super) existing: &'a str,
    pub(super) batch_size: usize,
    pub(super) max_line_length: Option<usize>,
    pub(super) ignore_vectors: bool,
}

impl ImportArguments<'_> {
    fn options(&self) -> PyResult<ImportOptions> {
        let on_error = match self.on_error {
            "abort" => OnError::Abort,
            "skip" => OnError::Skip,
            other => {
                return Err(PyValueError::new_err(format!(
                    "on_error must be \"abort\" or \"skip\", not {other:?}"
                )));
            }
        };
        let existing = match self.existing {
            "error" => Existing::Error,
            "replace" => Existing::Replace,
            "skip" => Existing::Skip,
            other => {
                return Err(PyValueError::new_err(format!(
                    "existing must be \"error\", \"replace\" or \"skip\", not {other:?}"
                )));
            }
        };
        let options = ImportOptions::new()
            .on_error(on_error)
            .existing(existing)
            .batch_size(self.batch_size)
            .ignore_vectors(self.ignore_vectors);
        Ok(match self.max_line_length {
            Some(bytes) => options.max_line_length(bytes),
            None => options,
        })
    }
}

/// Imports a file, or the rows of an iterable.
pub(super) fn import_jsonl<'py>(
    shared: &Arc<Closable>,
    table: &str,
    source: &Bound<'py, PyAny>,
    arguments: &ImportArguments<'_>,
    call: Call,
) -> PyResult<Bound<'py, PyDict>> {
    let py = source.py();
    let options = arguments.options()?;
    let run = Run::new(py, call)?;
    let between = run.between();
    let options = options.on_progress(between);
    let written = |report: &ImportReport| report.written;
    let report = if let Some(path) = path_of(source)? {
        if Pipe::is_at(&path) {
            let pipe = Pipe::new(source, false, &run.stop, &run.raised);
            let reader = BufReader::with_capacity(64 << 10, pipe);
            let work = move |database: &Database| database.import_jsonl(table, reader, &options);
            let report = run.run(py, shared, work, written)?;
            return import_report(py, &report.map_err(|error| of_file(py, &error, source))?);
        }
        let file = path.clone();
        let work = move |database: &Database| database.import_jsonl_file(table, file, &options);
        run.run(py, shared, work, written)?
            .map_err(|error| of_file(py, &error, source))?
    } else {
        let iterator = iterator_of(source)?;
        let schema = shared.work(py, None, |database| database.schema(table))?;
        let rows = PythonRows::new(iterator, schema, run.raised.clone());
        let work = move |database: &Database| database.import_rows(table, rows, &options);
        run.run(py, shared, work, written)?
            .map_err(|error| raised(py, &error))?
    };
    import_report(py, &report)
}

/// Inserts the rows of Arrow data.
pub(super) fn insert_arrow<'py>(
    shared: &Arc<Closable>,
    table: &str,
    data: &Bound<'py, PyAny>,
    arguments: &ImportArguments<'_>,
    call: Call,
) -> PyResult<Bound<'py, PyDict>> {
    let py = data.py();
    let options = arguments.options()?;
    let run = Run::new(py, call)?;
    let between = run.between();
    let options = options.on_progress(between);
    let batches = caught(|| Batches::of(data))??;
    let schema = Arc::clone(&batches.schema);
    let work = move |database: &Database| database.insert_arrow(table, &schema, batches, &options);
    let report = run.run(py, shared, work, |report: &ImportReport| report.written)?;
    let report = report.map_err(|error| match &error {
        Error::Import { error, .. } if error.kind() == io::ErrorKind::InvalidInput => {
            PyTypeError::new_err(format!("cannot insert into `{table}`: {error}"))
        }
        _ => raised(py, &error),
    })?;
    import_report(py, &report)
}

/// Exports a table to a file, or to an object with `write`.
pub(super) fn export_jsonl(
    shared: &Arc<Closable>,
    table: &str,
    target: &Bound<'_, PyAny>,
    vectors: bool,
    call: Call,
) -> PyResult<usize> {
    let py = target.py();
    let run = Run::new(py, call)?;
    let between = run.between();
    let options = ExportOptions::new().vectors(vectors).on_progress(between);
    if let Some(path) = path_of(target)? {
        if Pipe::is_at(&path) {
            let pipe = Pipe::new(target, true, &run.stop, &run.raised);
            let work = move |database: &Database| database.export_jsonl_with(table, pipe, &options);
            let written = run.run(py, shared, work, |_| 0)?;
            return written.map_err(|error| of_file(py, &error, target));
        }
        let work = |database: &Database| database.export_jsonl_file(table, &path, &options);
        run.run(py, shared, work, |_| 0)?
            .map_err(|error| of_file(py, &error, target))
    } else {
        let file = PythonFile::new(target, run.raised.clone())?;
        let work = move |database: &Database| database.export_jsonl_with(table, file, &options);
        run.run(py, shared, work, |_| 0)?
            .map_err(|error| raised(py, &error))
    }
}

/// Exports a table as Arrow batches, each passed to a Python function.
pub(super) fn export_arrow(
    py: Python<'_>,
    shared: &Arc<Closable>,
    table: &str,
    write: Py<PyAny>,
    vectors: bool,
    call: Call,
) -> PyResult<usize> {
    let run = Run::new(py, call)?;
    let between = run.between();
    let options = ExportOptions::new().vectors(vectors).on_progress(between);
    let kept = run.raised.clone();
    let work = move |database: &Database| {
        database.export_arrow(table, &options, |batch| {
            let result = QueryResult::from(batch);
            kept.attached(|py| write.call1(py, (PyQueryResult::new(result),)))
                .map(drop)
                .ok_or_else(|| io::Error::other("the target raised an exception"))
        })
    };
    run.run(py, shared, work, |_| 0)?
        .map_err(|error| match &error {
            Error::Export { error, .. } if error.kind() == io::ErrorKind::InvalidInput => {
                PyValueError::new_err(format!("cannot export `{table}`: {error}"))
            }
            _ => raised(py, &error),
        })
}

/// Returns the path that an argument is, `None` if it is something else.
fn path_of(argument: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    if argument.is_instance_of::<PyString>() || argument.hasattr("__fspath__")? {
        argument.extract().map(Some)
    } else {
        Ok(None)
    }
}

/// Returns the iterator of a source.
///
/// # Errors
/// `TypeError` for one row or its text, whose iteration would not give rows, and for an asynchronous
/// iterable.
fn iterator_of<'py>(source: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyIterator>> {
    if source.hasattr("__aiter__")? && !source.hasattr("__iter__")? {
        return Err(PyTypeError::new_err(format!(
            "the source must be an iterable that is not asynchronous, not {}: an import reads it on its own thread; \
             collect the rows in lists, and import one list after the other",
            source.get_type().name()?
        )));
    }
    let is_row = source.is_instance_of::<PyBytes>()
        || source.is_instance_of::<PyByteArray>()
        || source.cast::<PyMapping>().is_ok()
        || source.hasattr("model_dump")?;
    let iterator = if is_row { None } else { source.try_iter().ok() };
    iterator.map_or_else(
        || {
            let type_name = source.get_type().name()?;
            Err(PyTypeError::new_err(format!(
                "the source must be a path, an open file, or an iterable of lines or of data, not {type_name}; read text \
                 that is in memory with io.StringIO or io.BytesIO"
            )))
        },
        Ok,
    )
}

/// Returns the exception for an error of a file: an `OSError` if the system refused it.
fn of_file(py: Python<'_>, error: &Error, path: &Bound<'_, PyAny>) -> PyErr {
    if let Error::Import { error, .. } | Error::Export { error, .. } = error
        && let Some(code) = error.raw_os_error()
    {
        let text = error.to_string();
        let text = text
            .split(" (os error")
            .next()
            .unwrap_or_default()
            .to_owned();
        return PyOSError::new_err((code, text, path.clone().unbind()));
    }
    raised(py, error)
}
