//! Query results as Python values and as Arrow.
//!
//! Arrow data is exported with the PyCapsule interface: buffers are shared and no row is converted.
//! A value without a Python type is converted to text.

use std::sync::Arc;

use percolate_core::query::arrow::array::timezone::Tz;
use percolate_core::query::arrow::array::types::{
    Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use percolate_core::query::arrow::array::{
    Array, ArrayRef, AsArray as _, RecordBatch, RecordBatchIterator, RecordBatchOptions,
};
use percolate_core::query::arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use percolate_core::query::arrow::datatypes::{
    ArrowTemporalType, DataType, Schema, SchemaRef, TimeUnit,
};
use percolate_core::query::arrow::ffi::FFI_ArrowSchema;
use percolate_core::query::arrow::ffi_stream::FFI_ArrowArrayStream;
use percolate_core::query::arrow::util::display::array_value_to_string;
use percolate_core::query::{QueryResult, select_ids};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyList, PyMapping, PyString};
use serde_json::Value;

use crate::capsules::{SCHEMA, STREAM, schema_in};
use crate::errors::raised;
use crate::json::to_json;
use crate::row_iterator::RowIterator;
use crate::waiting::caught;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyQueryResult>()?;
    module.add_function(wrap_pyfunction!(_select_ids, module)?)
}

/// Returns the query for the ids of the entities of a table that match a condition.
#[pyfunction]
fn _select_ids(py: Python<'_>, table: &str, condition: &str) -> PyResult<String> {
    select_ids(table, condition).map_err(|error| raised(py, &error.into()))
}

/// The rows of a query as Arrow; returned by `Database.query_arrow`.
///
/// Libraries that support Arrow's PyCapsule interface read it and share its memory:
/// `pandas.DataFrame.from_arrow(result)`, `polars.DataFrame(result)`, `pyarrow.table(result)`. It
/// can be read repeatedly, also after the database is closed.
///
/// Examples:
///     >>> with Database(tmp_path / "arrow") as db:
///     ...     db.register_schema("articles", {"properties": {"year": {"type": "integer"}}})
///     ...     id = db.insert("articles", {"year": 1957})
///     ...     result = db.query_arrow("SELECT year FROM articles")
///     >>> result.column_names, len(result), result.to_dicts()
///     (['year'], 1, [{'year': 1957}])
#[pyclass(name = "QueryResult", module = "percolate_rocks", frozen)]
pub(crate) struct PyQueryResult(QueryResult);

impl PyQueryResult {
    pub(crate) fn new(result: QueryResult) -> Self {
        Self(result)
    }

    /// Returns the requested schema if the columns can be cast to it, else their own schema.
    fn types(&self, requested: Option<Schema>) -> SchemaRef {
        let own = self.0.schema();
        let fits = |requested: &Schema| {
            let fields = requested.fields().iter().zip(own.fields());
            requested.fields().len() == own.fields().len()
                && fields
                    .into_iter()
                    .all(|(to, from)| can_cast_types(from.data_type(), to.data_type()))
        };
        requested
            .filter(fits)
            .map_or_else(|| Arc::clone(own), Arc::new)
    }
}

#[pymethods]
impl PyQueryResult {
    /// The names of the columns, in order. Names may repeat.
    #[getter]
    fn column_names(&self) -> Vec<&str> {
        self.0.columns()
    }

    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// Return the rows as `Database.query` does.
    ///
    /// Raises:
    ///     ValueError: Two columns have the same name.
    fn to_dicts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        dicts(py, &self.0)
    }

    /// Return an iterator over the rows as tuples, with the values that `Database.query` returns. A
    /// row is converted when it is reached. Names of columns may repeat.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "rows") as db:
    ///     ...     result = db.query_arrow("SELECT 1957 AS year, 'percolation' AS slug")
    ///     >>> list(result.iter_rows())
    ///     [(1957, 'percolation')]
    fn iter_rows(&self) -> RowIterator {
        RowIterator::new(self.0.clone())
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        let columns = self
            .0
            .schema()
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()));
        format!(
            "<QueryResult of {} rows: {}>",
            self.0.num_rows(),
            columns.collect::<Vec<_>>().join(", ")
        )
    }

    /// Return the schema with Arrow's PyCapsule interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.0.schema().as_ref()).map_err(failed)?;
        PyCapsule::new_with_value(py, schema, SCHEMA)
    }

    /// Return the rows with Arrow's PyCapsule interface.
    ///
    /// Raises:
    ///     ValueError: A value does not fit into the type that `requested_schema` has for its column.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = self.types(
            requested_schema
                .map(|capsule| schema_in(&capsule))
                .transpose()?,
        );
        let batches = self
            .0
            .batches()
            .iter()
            .map(|batch| converted(batch, &schema));
        let batches = batches.collect::<PyResult<Vec<_>>>()?.into_iter().map(Ok);
        let stream = FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new(batches, schema)));
        PyCapsule::new_with_value(py, stream, STREAM)
    }
}

/// Casts a batch to the types of `schema`. Columns that have their type already share memory.
///
/// # Errors
/// `ValueError` if a value changes or does not fit. The message has no values.
fn converted(batch: &RecordBatch, schema: &SchemaRef) -> PyResult<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| {
            exact_cast(column, field.data_type()).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "cannot convert the column {:?} from {} to {}: a value does not fit",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                ))
            })
        })
        .collect::<PyResult<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(failed)
}

/// Casts a column; `None` if a value does not fit. Numbers and times must not change, except that
/// floats may lose precision, as in pyarrow.
fn exact_cast(column: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    let from = column.data_type();
    if from == to {
        return Some(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let converted = cast_with_options(column, to, &options).ok()?;
    let is_number_or_time = |kind: &DataType| kind.is_numeric() || kind.is_temporal();
    let may_change = from.is_floating() && to.is_floating();
    if may_change || !is_number_or_time(from) || !is_number_or_time(to) {
        return Some(converted);
    }
    let back = cast_with_options(&converted, from, &options).ok()?;
    (*back == **column).then_some(converted)
}

/// Reads the `params` of a query. Dates and times become text, which SQL converts to the type it is
/// compared with.
pub(crate) fn parameters(params: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Value>> {
    let Some(params) = params else {
        return Ok(Vec::new());
    };
    let refused = || {
        let type_name = params
            .get_type()
            .name()
            .map_or_else(|_| "an object".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "params must be a list of the values of $1, $2 and so on, not {type_name}"
        ))
    };
    let is_text = params.is_instance_of::<PyString>() || params.is_instance_of::<PyBytes>();
    if is_text || params.cast::<PyMapping>().is_ok() {
        return Err(refused());
    }
    params
        .try_iter()
        .map_err(|_| refused())?
        .map(|value| to_json(&value?))
        .collect()
}

/// Returns the rows as dicts in the order of the columns.
///
/// # Errors
/// `ValueError` if two columns have the same name.
pub(crate) fn dicts<'py>(py: Python<'py>, result: &QueryResult) -> PyResult<Bound<'py, PyList>> {
    caught(|| to_dicts(py, result))?
}

fn to_dicts<'py>(py: Python<'py>, result: &QueryResult) -> PyResult<Bound<'py, PyList>> {
    let names = result.columns();
    if let Some(twice) = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name))
    {
        return Err(PyValueError::new_err(format!(
            "cannot return rows as dicts: two columns are called {:?}; rename one with AS, or use \
             query_arrow",
            twice.1
        )));
    }
    let names: Vec<_> = names.iter().map(|name| PyString::new(py, name)).collect();
    let rows = PyList::empty(py);
    for batch in result.batches() {
        add_rows(&rows, &names, batch)?;
    }
    Ok(rows)
}

fn add_rows(
    rows: &Bound<'_, PyList>,
    names: &[Bound<'_, PyString>],
    batch: &RecordBatch,
) -> PyResult<()> {
    let py = rows.py();
    for at in 0..batch.num_rows() {
        let row = PyDict::new(py);
        for (name, column) in names.iter().zip(batch.columns()) {
            row.set_item(name, value(py, column, at)?)?;
        }
        rows.append(row)?;
    }
    Ok(())
}

/// Converts a value of a column.
pub(crate) fn value<'py>(
    py: Python<'py>,
    column: &dyn Array,
    at: usize,
) -> PyResult<Bound<'py, PyAny>> {
    macro_rules! number {
        ($kind:ty) => {
            column
                .as_primitive::<$kind>()
                .value(at)
                .into_pyobject(py)?
                .into_any()
        };
    }
    if column.is_null(at) || column.data_type() == &DataType::Null {
        return Ok(py.None().into_bound(py));
    }
    Ok(match column.data_type() {
        DataType::Boolean => column
            .as_boolean()
            .value(at)
            .into_pyobject(py)?
            .to_owned()
            .into_any(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => f32::from(column.as_primitive::<Float16Type>().value(at))
            .into_pyobject(py)?
            .into_any(),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Utf8 => column
            .as_string::<i32>()
            .value(at)
            .into_pyobject(py)?
            .into_any(),
        DataType::LargeUtf8 => column
            .as_string::<i64>()
            .value(at)
            .into_pyobject(py)?
            .into_any(),
        DataType::Utf8View => column
            .as_string_view()
            .value(at)
            .into_pyobject(py)?
            .into_any(),
        DataType::Binary => PyBytes::new(py, column.as_binary::<i32>().value(at)).into_any(),
        DataType::LargeBinary => PyBytes::new(py, column.as_binary::<i64>().value(at)).into_any(),
        DataType::BinaryView => PyBytes::new(py, column.as_binary_view().value(at)).into_any(),
        DataType::List(_) => list(py, &column.as_list::<i32>().value(at))?,
        DataType::LargeList(_) => list(py, &column.as_list::<i64>().value(at))?,
        DataType::FixedSizeList(..) => list(py, &column.as_fixed_size_list().value(at))?,
        DataType::Struct(fields) => {
            let dict = PyDict::new(py);
            for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                dict.set_item(field.name(), value(py, column, at)?)?;
            }
            dict.into_any()
        }
        DataType::Dictionary(_, values) => {
            value(py, &cast(&column.slice(at, 1), values).map_err(failed)?, 0)?
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => py
            .import("decimal")?
            .getattr("Decimal")?
            .call1((text(column, at)?,))?,
        _ => match temporal(py, column, at) {
            Some(value) => value,
            None => text(column, at)?.into_pyobject(py)?.into_any(),
        },
    })
}

fn list<'py>(py: Python<'py>, items: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    let list = PyList::empty(py);
    for at in 0..items.len() {
        list.append(value(py, items, at)?)?;
    }
    Ok(list.into_any())
}

/// Converts dates, times, timestamps and durations; `None` for other types, and for values outside
/// the range of Python's type.
fn temporal<'py>(py: Python<'py>, column: &dyn Array, at: usize) -> Option<Bound<'py, PyAny>> {
    macro_rules! read {
        ($read:ident, $kind:ty) => {
            match column.as_primitive::<$kind>().$read(at) {
                Some(value) => value.into_pyobject(py).ok().map(Bound::into_any),
                None => None,
            }
        };
    }
    match column.data_type() {
        DataType::Date32 => read!(value_as_date, Date32Type),
        DataType::Date64 => read!(value_as_date, Date64Type),
        DataType::Time32(TimeUnit::Second) => read!(value_as_time, Time32SecondType),
        DataType::Time32(_) => read!(value_as_time, Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => read!(value_as_time, Time64MicrosecondType),
        DataType::Time64(_) => read!(value_as_time, Time64NanosecondType),
        DataType::Duration(TimeUnit::Second) => read!(value_as_duration, DurationSecondType),
        DataType::Duration(TimeUnit::Millisecond) => {
            read!(value_as_duration, DurationMillisecondType)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            read!(value_as_duration, DurationMicrosecondType)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            read!(value_as_duration, DurationNanosecondType)
        }
        DataType::Timestamp(TimeUnit::Second, zone) => {
            timestamp::<TimestampSecondType>(py, column, at, zone.as_deref())
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            timestamp::<TimestampMillisecondType>(py, column, at, zone.as_deref())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            timestamp::<TimestampMicrosecondType>(py, column, at, zone.as_deref())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            timestamp::<TimestampNanosecondType>(py, column, at, zone.as_deref())
        }
        _ => None,
    }
}

/// Converts a timestamp to a `datetime`, with an offset if the column has a time zone.
fn timestamp<'py, T: ArrowTemporalType>(
    py: Python<'py>,
    column: &dyn Array,
    at: usize,
    zone: Option<&str>,
) -> Option<Bound<'py, PyAny>>
where
    i64: From<T::Native>,
{
    let column = column.as_primitive::<T>();
    let converted = match zone {
        None => column.value_as_datetime(at)?.into_pyobject(py),
        Some("UTC") => column.value_as_datetime(at)?.and_utc().into_pyobject(py),
        Some(zone) => column
            .value_as_datetime_with_tz(at, zone.parse::<Tz>().ok()?)?
            .fixed_offset()
            .into_pyobject(py),
    };
    converted.ok().map(Bound::into_any)
}

fn text(column: &dyn Array, at: usize) -> PyResult<String> {
    array_value_to_string(column, at).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!(
        "cannot convert a value of the query result: {error}"
    ))
}
