//! The class `Database` and the functions that work on the default database.
//!
//! - `handle`: a database in the process that opened it, and how calls run on it;
//! - `opening`: the arguments of opening a database;
//! - `arguments`: ids, keys and bounds as Python passes them;
//! - `batch`: the result of `Database.batch`;
//! - `filter`: the entities that a search may return;
//! - `iterator`: the result of `Database.scan`;
//! - `transfer`: imports and exports; `rows` and `sink`: their Python sources and targets, and `pipe`
//!   those at paths that are not files;
//! - `at_exit`: databases that are open when Python exits;
//! - `class`: the methods of `Database`;
//! - `default`: the default database.

mod arguments;
mod at_exit;
mod batch;
mod class;
mod default;
mod filter;
mod handle;
mod iterator;
mod opening;
mod pipe;
mod rows;
mod sink;
mod transfer;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    at_exit::register(module)?;
    module.add_class::<class::PyDatabase>()?;
    module.add_class::<batch::PyBatch>()?;
    module.add_class::<iterator::EntityIterator>()?;
    module.add_function(wrap_pyfunction!(
        default::store_resource_with_trace,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(default::set_default_database, module)?)?;
    module.add_function(wrap_pyfunction!(opening::_is_url, module)?)?;
    Ok(())
}
