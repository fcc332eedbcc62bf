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
mod sampler;
mod spans;
mod telemetry;

use pyo3::prelude::*;

/// The native part of `percolate_rocks`.
#[pymodule]
#[pyo3(name = "_percolate_rocks")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::register(module)?;
    context::register(module)?;
    database::register(module)?;
    telemetry::register(module)?;
    Ok(())
}
