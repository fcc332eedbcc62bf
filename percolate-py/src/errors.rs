//! The exception hierarchy. It mirrors the error enums of `percolate-core`: one exception per
//! family, and a subclass for each kind that a program would handle differently. Other kinds are
//! raised as their family.
//!
//! Every exception has `error_type`, the low-cardinality name that telemetry records as
//! `error.type`, and `status_code`, the code of the engine or `None`. Causes are chained.

use std::error::Error as StdError;

use percolate_core::otel::ErrorType;
use percolate_core::storage::{
    CopyError, MaintenanceError as CoreMaintenance, OpenError as CoreOpen, ReadError as CoreRead,
    StatusCode, WriteError as CoreWrite,
};
use percolate_core::{Error, VectorError};
use pyo3::create_exception;
use pyo3::exceptions::{PyConnectionError, PyException, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::import_report::import_report;

create_exception!(
    percolate_rocks,
    PercolateError,
    PyException,
    "Base class of the exceptions that percolate raises."
);
create_exception!(
    percolate_rocks,
    OpenError,
    PercolateError,
    "A database could not be opened."
);
create_exception!(
    percolate_rocks,
    MissingError,
    OpenError,
    "There is no database at the path, and `create_if_missing` is false."
);
create_exception!(
    percolate_rocks,
    LockedError,
    OpenError,
    "Another process or handle has the database open."
);
create_exception!(
    percolate_rocks,
    FormatError,
    OpenError,
    "The directory holds another program's database, or one of a newer format."
);
create_exception!(
    percolate_rocks,
    UrlError,
    OpenError,
    "The URL of a database on an object store is malformed, or an option of the store is malformed or unknown."
);
create_exception!(
    percolate_rocks,
    ReadError,
    PercolateError,
    "Reading from the store failed."
);
create_exception!(
    percolate_rocks,
    WriteError,
    PercolateError,
    "Writing to the store failed; nothing was written."
);
create_exception!(
    percolate_rocks,
    ReadOnlyError,
    WriteError,
    "The database was opened read-only."
);
create_exception!(
    percolate_rocks,
    DiskFullError,
    WriteError,
    "The disk is full."
);
create_exception!(
    percolate_rocks,
    PoisonedError,
    WriteError,
    "An earlier write failed halfway; reopen the database."
);
create_exception!(
    percolate_rocks,
    FencedError,
    WriteError,
    "Another writer has opened the database on the object store, so no call of this handle works."
);
create_exception!(
    percolate_rocks,
    MaintenanceError,
    PercolateError,
    "A flush, a compaction or a checkpoint failed."
);
create_exception!(
    percolate_rocks,
    UnsupportedError,
    MaintenanceError,
    "The engine of the database cannot do this."
);
create_exception!(
    percolate_rocks,
    SchemaError,
    PercolateError,
    "A schema is not valid."
);
create_exception!(
    percolate_rocks,
    EntityError,
    PercolateError,
    "Data does not match the schema of its table."
);
create_exception!(
    percolate_rocks,
    ExistsError,
    EntityError,
    "The table already holds an entity with this key."
);
create_exception!(
    percolate_rocks,
    NotFoundError,
    EntityError,
    "The table does not hold this entity."
);
create_exception!(
    percolate_rocks,
    ConflictError,
    EntityError,
    "The entity was written after it was read."
);
create_exception!(
    percolate_rocks,
    RowsRefusedError,
    EntityError,
    "Rows of an import were refused, and nothing was written. `report` has the numbers and reasons."
);
create_exception!(
    percolate_rocks,
    UnknownTableError,
    PercolateError,
    "No schema is registered for the table."
);
create_exception!(
    percolate_rocks,
    NotIndexedError,
    PercolateError,
    "The field is not indexed."
);
create_exception!(
    percolate_rocks,
    NotEmbeddedError,
    PercolateError,
    "The table has no embedded fields, or the field of a vector is not one of them."
);
create_exception!(
    percolate_rocks,
    NoKeyError,
    PercolateError,
    "The schema of the table has no key field."
);
create_exception!(
    percolate_rocks,
    CorruptionError,
    PercolateError,
    "Stored data is corrupt."
);
create_exception!(
    percolate_rocks,
    EmbeddingError,
    PercolateError,
    "The embedder failed, or a vector does not fit it."
);
create_exception!(
    percolate_rocks,
    QueryError,
    PercolateError,
    "A query is invalid or failed."
);
create_exception!(
    percolate_rocks,
    JobError,
    PercolateError,
    "A background job was refused, or failed."
);
create_exception!(
    percolate_rocks,
    ClosedError,
    PercolateError,
    "The database is closed."
);
create_exception!(
    percolate_rocks,
    ForkedError,
    PercolateError,
    "The database was opened before this process was forked."
);

create_exception!(
    percolate_rocks,
    InternalError,
    PercolateError,
    "An error in percolate itself."
);

/// A class that is derived from `PercolateError` and from a class of Python.
struct WithTwoBases {
    class: PyOnceLock<Py<PyType>>,
    name: &'static str,
    base: fn(Python<'_>) -> Bound<'_, PyType>,
    doc: &'static str,
}

static TIMEOUT: WithTwoBases = WithTwoBases {
    class: PyOnceLock::new(),
    name: "OperationTimeoutError",
    base: |py| py.get_type::<PyTimeoutError>(),
    doc: "A call did not end within its `timeout`. It is also a `TimeoutError`.",
};

static UNAVAILABLE: WithTwoBases = WithTwoBases {
    class: PyOnceLock::new(),
    name: "UnavailableError",
    base: |py| py.get_type::<PyConnectionError>(),
    doc: "The object store cannot be reached, or refuses requests. It is also a `ConnectionError`.",
};

impl WithTwoBases {
    fn class<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        let class = self.class.get_or_try_init(py, || {
            let bases = (py.get_type::<PercolateError>(), (self.base)(py));
            let dict = PyDict::new(py);
            dict.set_item("__module__", "percolate_rocks")?;
            dict.set_item("__doc__", self.doc)?;
            dict.set_item("error_type", self.name.trim_end_matches("Error"))?;
            let class = py.get_type::<PyType>().call1((self.name, bases, dict))?;
            PyResult::Ok(class.cast_into::<PyType>()?.unbind())
        })?;
        Ok(class.bind(py))
    }

    fn new_err(&self, message: String) -> PyErr {
        Python::attach(|py| match self.class(py) {
            Ok(class) => PyErr::from_type(class.clone(), message),
            Err(error) => error,
        })
    }
}

/// Returns an `OperationTimeoutError`.
pub(crate) fn timed_out(message: String) -> PyErr {
    TIMEOUT.new_err(message)
}

macro_rules! add_all {
    ($module:ident: $($name:ident),* $(,)?) => {
        $(
            let exception = $module.py().get_type::<$name>();
            // The default; `raised` sets a more specific one.
            exception.setattr("error_type", stringify!($name).trim_end_matches("Error"))?;
            $module.add(stringify!($name), exception)?;
        )*
        $module.py().get_type::<PercolateError>().setattr("status_code", $module.py().None())?;
    };
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_all!(module:
        PercolateError, OpenError, MissingError, LockedError, FormatError, UrlError, ReadError, WriteError, ReadOnlyError,
        DiskFullError, PoisonedError, FencedError, MaintenanceError, UnsupportedError, SchemaError, EntityError, ExistsError, NotFoundError, ConflictError, RowsRefusedError,
        UnknownTableError, NotIndexedError, NotEmbeddedError, NoKeyError, CorruptionError, EmbeddingError, QueryError, JobError, ClosedError, ForkedError,
        InternalError,
    );
    for class in [&TIMEOUT, &UNAVAILABLE] {
        module.add(class.name, class.class(module.py())?)?;
    }
    Ok(())
}

/// Returns the exception for an error of the database, with its causes. `KeyboardInterrupt` and
/// `SystemExit`, raised in Python code that Rust called, are returned as they are.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    if let Some(ending) =
        raised_in_python(error).filter(|error| !error.is_instance_of::<PyException>(py))
    {
        return ending.clone_ref(py);
    }
    let exception = exception_of(error, error.to_string());
    let described = exception.value(py);
    let status_code = error.status_code();
    // Without its attributes, it is still the right exception.
    _ = described.setattr("error_type", error.error_type());
    _ = described.setattr("status_code", status_code.as_deref());
    if let Error::RowsRefused { report, .. } = error
        && let Ok(report) = import_report(py, report)
    {
        _ = described.setattr("report", report);
    }
    exception.set_cause(py, cause_of(py, error));
    exception
}

fn exception_of(error: &Error, text: String) -> PyErr {
    match (status_code_of(error), error) {
        (Some(StatusCode::Unavailable), _) => return UNAVAILABLE.new_err(text),
        // A write begins with reads, which fail too.
        (Some(StatusCode::Fenced), _) => return FencedError::new_err(text),
        _ => {}
    }
    match error {
        Error::InBatch { error, .. } | Error::ImportStopped { error, .. } => {
            exception_of(error, text)
        }
        Error::RowsRefused { .. } => RowsRefusedError::new_err(text),
        Error::Open(
            CoreOpen::Url { .. } | CoreOpen::UnknownOptions { .. } | CoreOpen::Unsupported { .. },
        ) => UrlError::new_err(text),
        Error::Open(CoreOpen::Missing { .. }) => MissingError::new_err(text),
        // Another process has the database, or opens it at the same time.
        Error::Open(CoreOpen::Locked { .. } | CoreOpen::Fenced { .. }) => {
            LockedError::new_err(text)
        }
        Error::Open(CoreOpen::Foreign { .. } | CoreOpen::NewerFormat { .. }) => {
            FormatError::new_err(text)
        }
        Error::Open(_) => OpenError::new_err(text),
        Error::Read(_) => ReadError::new_err(text),
        Error::Write(CoreWrite::ReadOnly)
        | Error::Maintenance(CoreMaintenance::ReadOnly { .. }) => ReadOnlyError::new_err(text),
        Error::Write(CoreWrite::DiskFull(_)) => DiskFullError::new_err(text),
        Error::Write(CoreWrite::Poisoned { .. }) => PoisonedError::new_err(text),
        Error::Maintenance(CoreMaintenance::Unsupported { .. }) => UnsupportedError::new_err(text),
        Error::Write(_) => WriteError::new_err(text),
        Error::Maintenance(_) => MaintenanceError::new_err(text),
        Error::Schema(_) => SchemaError::new_err(text),
        Error::Exists { .. } => ExistsError::new_err(text),
        Error::NotFound { .. } => NotFoundError::new_err(text),
        Error::Changed { .. } | Error::Contended { .. } => ConflictError::new_err(text),
        Error::Entity(_) | Error::KeyChanged { .. } | Error::Repeated { .. } => {
            EntityError::new_err(text)
        }
        Error::UnknownTable { .. } => UnknownTableError::new_err(text),
        Error::NotIndexed { .. } => NotIndexedError::new_err(text),
        Error::NotEmbedded { .. } | Error::NotEmbeddedField { .. } => {
            NotEmbeddedError::new_err(text)
        }
        Error::NoKeyField { .. } | Error::NoIdentity { .. } => NoKeyError::new_err(text),
        Error::MalformedRecord { .. } | Error::MalformedKey(_) | Error::UnusableTable { .. } => {
            CorruptionError::new_err(text)
        }
        Error::Query(_) => QueryError::new_err(text),
        Error::Embedding(_)
        | Error::EmbeddingOnWrite { .. }
        | Error::Vector(
            VectorError::WrongDimensions { .. }
            | VectorError::QueryDimensions { .. }
            | VectorError::QueryWithoutDirection
            | VectorError::SuppliedDimensions { .. }
            | VectorError::SuppliedWithoutDirection { .. }
            | VectorError::OtherProvider { .. }
            | VectorError::ExportDimensions { .. },
        ) => EmbeddingError::new_err(text),
        Error::CloseTimeout { .. } => timed_out(text),
        _ => PercolateError::new_err(text),
    }
}

/// Returns the exception for a copy that failed.
pub(crate) fn copy_failed(py: Python<'_>, error: CopyError) -> PyErr {
    let (text, error_type) = (error.to_string(), error.error_type());
    let exception = match error {
        CopyError::Open(error) => return raised(py, &error.into()),
        CopyError::Maintenance(error) => return raised(py, &error.into()),
        CopyError::Read(error) => return raised(py, &error.into()),
        CopyError::Write(error) => return raised(py, &error.into()),
        CopyError::NotEmpty { .. } => OpenError::new_err(text),
        CopyError::Different { .. } => CorruptionError::new_err(text),
        _ => PercolateError::new_err(text),
    };
    // Without its attribute, it is still the right exception.
    _ = exception.value(py).setattr("error_type", error_type);
    exception
}

/// Returns the engine's status code of an error of the store.
fn status_code_of(error: &Error) -> Option<StatusCode> {
    match error {
        Error::Open(CoreOpen::Storage { source, .. })
        | Error::Read(CoreRead::Storage { source, .. })
        | Error::Write(CoreWrite::Storage(source) | CoreWrite::Fenced(source))
        | Error::Maintenance(CoreMaintenance::Storage { source, .. }) => Some(source.code()),
        _ => None,
    }
}

/// Returns the Python exception that caused an error, if there is one.
fn raised_in_python<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a PyErr> {
    let source = error.source()?;
    source.downcast_ref().or_else(|| raised_in_python(source))
}

/// Returns the cause of an error, with its own causes. Python exceptions are returned as they are.
pub(crate) fn cause_of(py: Python<'_>, error: &dyn StdError) -> Option<PyErr> {
    let source = error.source()?;
    if let Some(python) = source.downcast_ref::<PyErr>() {
        return Some(python.clone_ref(py));
    }
    if let Some(error) = source.downcast_ref::<Error>() {
        return Some(raised(py, error));
    }
    let cause = PercolateError::new_err(source.to_string());
    cause.set_cause(py, cause_of(py, source));
    Some(cause)
}
