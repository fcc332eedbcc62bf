//! The native module `percolate_rocks._percolate_rocks`: arguments in, errors out, trace context across, the
//! interpreter released around all I/O. Logic lives in `percolate-core`; what is easier said in Python (providers,
//! instrumentor, life cycle) in `python/percolate_rocks`.
//!
//! One file per family of classes, each with a `register` function.

mod callback;
mod context;
mod current;
mod database;
mod embeddings;
mod errors;
mod exit;
mod json;
mod metrics;
mod parent;
mod process;
mod query;
mod sampler;
mod span_ids;
mod spans;
mod telemetry;
mod views;
mod worker;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native part of `percolate_rocks`.
// On a free-threaded interpreter, where nothing of this was tried, importing it switches the GIL on.
#[pymodule(gil_used = true)]
#[pyo3(name = "_percolate_rocks")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_sub_interpreter(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::register(module)?;
    context::register(module)?;
    database::register(module)?;
    embeddings::register(module)?;
    query::register(module)?;
    telemetry::register(module)?;
    worker::register(module)?;
    Ok(())
}

/// Threads and caches of this module belong to one interpreter: in another one they would wait for it for ever.
fn refuse_sub_interpreter(_: Python<'_>) -> PyResult<()> {
    // SAFETY: the token proves that this thread is attached to an interpreter, which both functions ask for.
    #[expect(unsafe_code, reason = "the interpreter's id has no safe function")]
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "percolate_rocks cannot be used in a sub-interpreter; import it in the main one alone",
    ))
}
