//! The native module `percolate_rocks._percolate_rocks`. It converts arguments and errors, passes
//! on the trace context, and releases the interpreter around all I/O. The logic is in
//! `percolate-core`; the life cycle of telemetry (providers, instrumentor) is in
//! `python/percolate_rocks`.
//!
//! One file per family of classes, each with a `register` function.

mod bar;
mod call_start;
mod callback;
mod capsules;
mod context;
mod current;
mod database;
mod embeddings;
mod errors;
mod exit;
mod import_report;
mod inside;
mod json;
mod json_forms;
mod metrics;
mod parent;
mod process;
mod query;
mod report;
mod row_iterator;
mod sampler;
mod span_ids;
mod spans;
mod stop;
mod telemetry;
mod unraisable;
mod views;
mod waiting;
mod worker;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native part of `percolate_rocks`.
// Free-threaded interpreters are not tested, so importing the module there enables the GIL.
#[pymodule(gil_used = true)]
#[pyo3(name = "_percolate_rocks")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_sub_interpreter(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    call_start::register(module)?;
    errors::register(module)?;
    context::register(module)?;
    database::register(module)?;
    embeddings::register(module)?;
    query::register(module)?;
    stop::register(module)?;
    telemetry::register(module)?;
    worker::register(module)?;
    Ok(())
}

/// Refuses a sub-interpreter: the threads and caches of this module belong to the main interpreter
/// and would wait for it forever.
fn refuse_sub_interpreter(_: Python<'_>) -> PyResult<()> {
    // SAFETY: the token proves that this thread is attached to an interpreter, as both functions
    // require.
    #[expect(unsafe_code, reason = "no safe function returns the interpreter's id")]
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "cannot import percolate_rocks in a sub-interpreter; import it in the main interpreter",
    ))
}
