//! Python files as targets of an export: objects whose `write` takes bytes, or text.

use std::io::{self, Write};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::transfer::Raised;

/// A Python file. The first exception is kept for the call to raise.
pub(super) struct PythonFile {
    file: Py<PyAny>,
    is_text: bool,
    raised: Raised,
}

impl PythonFile {
    /// Creates a target. Writes nothing to find out which type `write` takes.
    ///
    /// # Errors
    /// `TypeError` if the object has no `write`, and what `write` raises.
    pub(super) fn new(file: &Bound<'_, PyAny>, raised: Raised) -> PyResult<Self> {
        let py = file.py();
        let write = intern!(py, "write");
        if !file.hasattr(write)? {
            let type_name = file.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "the target must be a path or an open file, not {type_name}"
            )));
        }
        let is_text = match file.call_method1(write, (PyBytes::new(py, b""),)) {
            Ok(_) => false,
            Err(error) if error.is_instance_of::<PyTypeError>(py) => true,
            Err(error) => return Err(error),
        };
        Ok(Self {
            file: file.clone().unbind(),
            is_text,
            raised,
        })
    }
}

impl Write for PythonFile {
    /// Lines are complete in `bytes`, so that they are valid UTF-8.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = if self.is_text {
            Some(std::str::from_utf8(bytes).map_err(io::Error::other)?)
        } else {
            None
        };
        let written = self.raised.attached(|py| {
            let write = intern!(py, "write");
            let file = self.file.bind(py);
            if let Some(text) = text {
                file.call_method1(write, (PyString::new(py, text),))?;
                return Ok(bytes.len());
            }
            let written = file.call_method1(write, (PyBytes::new(py, bytes),))?;
            // A raw file may write a part of the bytes. Other objects may return nothing.
            let written = written.extract::<usize>().unwrap_or(bytes.len());
            Ok(written.min(bytes.len()))
        });
        written.ok_or_else(|| io::Error::other("`write` of the target raised an exception"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
