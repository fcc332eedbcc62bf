//! Pipes and devices at a path, as sources of an import and targets of an export.
//!
//! Opening, reading and writing them may wait for another process. Python's `_pipes.Pipe` waits in
//! slices, so that signal handlers run and the call can end meanwhile.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCFunction};

use super::transfer::Raised;
use crate::stop::Stop;
use crate::unraisable;

/// A pipe or a device. It is opened when it is first read or written, as a part of the call.
pub(super) struct Pipe {
    path: Py<PyAny>,
    is_target: bool,
    stop: Stop,
    raised: Raised,
    opened: Option<Py<PyAny>>,
}

impl Pipe {
    /// Returns whether a path is of another kind than a file or a folder.
    pub(super) fn is_at(path: &Path) -> bool {
        let is_pipe = |found: fs::Metadata| !found.is_file() && !found.is_dir();
        cfg!(unix) && fs::metadata(path).is_ok_and(is_pipe)
    }

    /// Creates the source, or target, of a call that `stop` ends.
    pub(super) fn new(
        path: &Bound<'_, PyAny>,
        is_target: bool,
        stop: &Stop,
        raised: &Raised,
    ) -> Self {
        Self {
            path: path.clone().unbind(),
            is_target,
            stop: stop.clone(),
            raised: raised.clone(),
            opened: None,
        }
    }

    /// Returns the open pipe, `None` if the call was requested to end.
    fn open<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(opened) = &self.opened {
            return Ok(Some(opened.bind(py).clone()));
        }
        let stop = self.stop.clone();
        let is_ended =
            PyCFunction::new_closure(py, None, None, move |_, _| stop.flow().is_break())?;
        let module = py.import("percolate_rocks._pipes")?;
        let opened = module.call_method1("open_pipe", (&self.path, self.is_target, is_ended))?;
        if opened.is_none() {
            return Ok(None);
        }
        self.opened = Some(opened.clone().unbind());
        Ok(Some(opened))
    }

    /// Calls a method that returns `None` if the call was requested to end.
    fn call<T>(
        &mut self,
        method: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<Option<T>>,
    ) -> io::Result<T> {
        let raised = self.raised.clone();
        let returned = raised.attached(|py| match self.open(py)? {
            Some(pipe) => method(&pipe),
            None => Ok(None),
        });
        returned
            .flatten()
            .ok_or_else(|| io::Error::other("the call was ended"))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(|pipe| {
            let read = pipe.call_method1("read", (buffer.len(),))?;
            if read.is_none() {
                return Ok(None);
            }
            let bytes = read.cast::<PyBytes>()?.as_bytes();
            let read = bytes.len().min(buffer.len());
            buffer[..read].copy_from_slice(&bytes[..read]);
            Ok(Some(read))
        })
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call(|pipe| {
            let written = pipe.call_method1("write", (PyBytes::new(pipe.py(), bytes),))?;
            written.extract()
        })
    }

    /// Opens a pipe to which nothing was written, so that its reader sees the end.
    fn flush(&mut self) -> io::Result<()> {
        self.call(|_| Ok(Some(())))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(opened) = &self.opened {
            // The end of the process closes it otherwise.
            Python::try_attach(|py| {
                if let Err(error) = opened.call_method0(py, "close") {
                    unraisable::report(py, error, None);
                }
            });
        }
    }
}
