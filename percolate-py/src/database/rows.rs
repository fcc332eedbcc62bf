//! Python iterables as rows to import.
//!
//! The interpreter is held for one chunk of rows at a time. The first exception ends the rows, and is
//! kept for the call to raise.

use std::io;
use std::sync::Arc;

use percolate_core::ImportRow;
use percolate_core::schema::Schema;
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyIterator, PyString};

use super::transfer::Raised;
use crate::json::entity_to_json;

/// The largest numbers of rows, and of bytes of lines, that are read at a time.
const ROWS: usize = 256;
const BYTES: usize = 1 << 20;

/// The rows of an iterable: lines, or what `insert` accepts.
pub(super) struct PythonRows {
    iterator: Py<PyIterator>,
    schema: Arc<Schema>,
    raised: Raised,
    chunk: std::vec::IntoIter<ImportRow>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl PythonRows {
    pub(super) fn new(
        iterator: Bound<'_, PyIterator>,
        schema: Arc<Schema>,
        raised: Raised,
    ) -> Self {
        Self {
            iterator: iterator.unbind(),
            schema,
            raised,
            chunk: Vec::new().into_iter(),
            state: State::Reading,
        }
    }

    /// Reads the next chunk.
    fn read(&mut self, py: Python<'_>) -> PyResult<()> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut iterator = self.iterator.bind(py).clone();
        let mut read = || {
            while rows.len() < ROWS && bytes < BYTES {
                let Some(item) = iterator.next() else {
                    return Ok(State::Ended);
                };
                let row = row(&item?, &self.schema)?;
                if let ImportRow::Line(line) = &row {
                    bytes += line.len();
                }
                rows.push(row);
            }
            PyResult::Ok(State::Reading)
        };
        let read = read();
        self.chunk = rows.into_iter();
        self.state = read?;
        Ok(())
    }
}

impl Iterator for PythonRows {
    type Item = io::Result<ImportRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.chunk.next() {
                return Some(Ok(row));
            }
            match self.state {
                State::Reading => {}
                State::Ended => return None,
                State::Failed => {
                    self.state = State::Ended;
                    return Some(Err(io::Error::other("the iterable raised an exception")));
                }
            }
            let raised = self.raised.clone();
            let read = raised.attached(|py| self.read(py));
            if read.is_none() {
                self.state = State::Failed;
            }
        }
    }
}

/// Converts an element: text and bytes are lines, everything else is data. Data that cannot be
/// represented in JSON is an invalid row.
fn row(item: &Bound<'_, PyAny>, schema: &Schema) -> PyResult<ImportRow> {
    if let Ok(line) = item.cast::<PyBytes>() {
        return Ok(ImportRow::Line(line.as_bytes().to_vec()));
    }
    if let Ok(line) = item.cast::<PyByteArray>() {
        return Ok(ImportRow::Line(line.to_vec()));
    }
    let py = item.py();
    let read = if let Ok(line) = item.cast::<PyString>() {
        line.to_cow()
            .map(|line| ImportRow::Line(line.into_owned().into_bytes()))
    } else {
        let is_text = |place: &[String]| schema.is_text_at(place);
        entity_to_json(item, None, &is_text).map(ImportRow::Data)
    };
    match read {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(py) => Ok(ImportRow::Invalid(
            "the line is not valid Unicode".to_owned(),
        )),
        Err(error)
            if error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyValueError>(py) =>
        {
            Ok(ImportRow::Invalid(error.value(py).to_string()))
        }
        read => read,
    }
}
