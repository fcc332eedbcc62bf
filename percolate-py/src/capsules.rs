//! Arrow's PyCapsule interface, with all of its unsafe code.
//!
//! A capsule holds a structure of Arrow's C data interface. Reading data moves it out of its capsule.
//! Arrow does not check the contents of foreign arrays, such as offsets and UTF-8, which its safe
//! functions rely on, so each batch is checked here.

use std::ffi::CStr;

use percolate_core::query::arrow::array::{
    Array as _, RecordBatch, RecordBatchReader, StructArray, make_array,
};
use percolate_core::query::arrow::datatypes::{Schema, SchemaRef};
use percolate_core::query::arrow::error::ArrowError;
use percolate_core::query::arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use percolate_core::query::arrow::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// The capsule names that the interface prescribes.
pub(crate) const SCHEMA: &CStr = c"arrow_schema";
pub(crate) const STREAM: &CStr = c"arrow_array_stream";
const ARRAY: &CStr = c"arrow_array";

/// Batches of the same schema, checked when they are read.
pub(crate) struct Batches {
    pub(crate) schema: SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(batch.and_then(|batch| {
            for column in batch.columns() {
                column.to_data().validate_full()?;
            }
            Ok(batch)
        }))
    }
}

impl Batches {
    /// Returns the batches of an object with `__arrow_c_stream__` or `__arrow_c_array__`.
    ///
    /// # Errors
    /// `TypeError` for another object, `ValueError` if the data is not of rows, and what the methods
    /// raise.
    pub(crate) fn of(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = data.py();
        let stream = intern!(py, "__arrow_c_stream__");
        let array = intern!(py, "__arrow_c_array__");
        if data.hasattr(stream)? {
            return Self::of_stream(&data.call_method0(stream)?.cast_into()?);
        }
        if data.hasattr(array)? {
            let (schema, array) = data.call_method0(array)?.extract()?;
            return Self::of_array(&schema, &array);
        }
        let type_name = data.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "the data must have `__arrow_c_stream__` or `__arrow_c_array__`, as tables of pyarrow, polars and pandas \
             have, not {type_name}"
        )))
    }

    fn of_stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<Self> {
        let pointer = capsule
            .pointer_checked(Some(STREAM))?
            .cast::<FFI_ArrowArrayStream>();
        // SAFETY: a capsule of this name holds an initialised stream of Arrow's C data interface for
        // its own lifetime. `capsule` is alive, and the interpreter is held, so that nothing else uses
        // the stream. The stream is moved out, and a released one is left for the capsule to free.
        #[expect(unsafe_code, reason = "the C data interface passes pointers")]
        let reader = unsafe { ArrowArrayStreamReader::from_raw(pointer.as_ptr()) };
        let reader = reader.map_err(not_rows)?;
        Ok(Self {
            schema: reader.schema(),
            batches: Box::new(reader),
        })
    }

    fn of_array(schema: &Bound<'_, PyCapsule>, array: &Bound<'_, PyCapsule>) -> PyResult<Self> {
        let schema = schema
            .pointer_checked(Some(SCHEMA))?
            .cast::<FFI_ArrowSchema>();
        let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
        // SAFETY: capsules of these names hold an initialised schema and an initialised array of
        // Arrow's C data interface for their own lifetimes. They are alive, and the interpreter is held,
        // so that nothing else uses them. Both are moved out, and released ones are left for the
        // capsules to free.
        #[expect(unsafe_code, reason = "the C data interface passes pointers")]
        let (schema, array) = unsafe {
            (
                FFI_ArrowSchema::from_raw(schema.as_ptr()),
                FFI_ArrowArray::from_raw(array.as_ptr()),
            )
        };
        if array.is_released() {
            return Err(not_rows("it was read before"));
        }
        // SAFETY: the array is not released, and the interface requires that the schema, which was
        // returned with it, describes its buffers.
        #[expect(unsafe_code, reason = "the C data interface passes pointers")]
        let data = unsafe { from_ffi(array, &schema) };
        let data = data.map_err(not_rows)?;
        data.validate_full().map_err(not_rows)?;
        let array = make_array(data);
        let rows = array.as_any().downcast_ref::<StructArray>();
        let rows = rows.filter(|rows| rows.null_count() == 0);
        let rows = rows.ok_or_else(|| not_rows("it is not a struct without nulls"))?;
        let batch = RecordBatch::from(rows.clone());
        Ok(Self {
            schema: batch.schema(),
            batches: Box::new(std::iter::once(Ok(batch))),
        })
    }
}

/// Reads a schema.
pub(crate) fn schema_in(capsule: &Bound<'_, PyCapsule>) -> PyResult<Schema> {
    let pointer = capsule
        .pointer_checked(Some(SCHEMA))?
        .cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name holds a schema of Arrow's C data interface for its own
    // lifetime, and `capsule` is alive during this borrow.
    #[expect(unsafe_code, reason = "the C data interface passes pointers")]
    let schema = unsafe { pointer.as_ref() };
    Schema::try_from(schema).map_err(|error| {
        PyValueError::new_err(format!("cannot read the requested schema: {error}"))
    })
}

fn not_rows(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("cannot read the data as rows: {error}"))
}
