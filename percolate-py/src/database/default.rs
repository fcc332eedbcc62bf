//! The default database, and the module's functions that work on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use super::class::PyDatabase;
use crate::context::TraceArgument;
use crate::errors::MissingError;

static DEFAULT: Mutex<Option<Py<PyDatabase>>> = Mutex::new(None);

/// Set the database that module-level functions work on.
///
/// Without this call, they open the directory or the URL in the environment variable
/// `PERCOLATE_DATABASE`.
///
/// Args:
///     database: The database, or `None` to unset it.
#[pyfunction]
#[pyo3(signature = (database, /))]
pub(super) fn set_default_database(database: Option<Py<PyDatabase>>) {
    let before = std::mem::replace(&mut *default_slot(), database);
    drop(before);
}

/// Locks the slot. The lock is never held while Python code runs, so waiting for it does not need
/// the interpreter released.
fn default_slot() -> MutexGuard<'static, Option<Py<PyDatabase>>> {
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn default_database(py: Python<'_>) -> PyResult<Py<PyDatabase>> {
    let chosen = default_slot()
        .as_ref()
        .map(|database| database.clone_ref(py));
    if let Some(database) = chosen {
        return Ok(database);
    }
    let Some(path) = std::env::var_os("PERCOLATE_DATABASE") else {
        return Err(MissingError::new_err(
            "no default database is set: call percolate_rocks.set_default_database(db), or set \
             PERCOLATE_DATABASE to a directory or a URL",
        ));
    };
    let opened = py
        .get_type::<PyDatabase>()
        .call1((path,))?
        .cast_into::<PyDatabase>()?
        .unbind();
    let mut slot = default_slot();
    let (default, spare) = match &*slot {
        Some(set) => (set.clone_ref(py), Some(opened)),
        None => (slot.insert(opened).clone_ref(py), None),
    };
    drop(slot);
    // Dropped without the lock, because closing a database releases the interpreter.
    drop(spare);
    Ok(default)
}

/// Store bytes under an id of a tenant in the default database, as a child of the caller's span.
///
/// Args:
///     tenant_id: The tenant that owns the resource.
///     resource_id: The id of the resource. Data stored under it before is replaced.
///     data: The bytes.
///     trace_context: A `TraceContext`, a mapping of headers as `inject` fills it, or `None` for
///         the current Python span.
///
/// Raises:
///     MissingError: No default database is set.
#[pyfunction]
#[pyo3(signature = (tenant_id, resource_id, data, trace_context = None))]
pub(super) fn store_resource_with_trace(
    py: Python<'_>,
    tenant_id: &str,
    resource_id: &str,
    data: &[u8],
    trace_context: Option<TraceArgument>,
) -> PyResult<()> {
    let database = default_database(py)?;
    database.get().shared().work(py, trace_context, |database| {
        database
            .for_tenant(tenant_id)
            .store_resource(resource_id, data)
    })
}
