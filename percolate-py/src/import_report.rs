//! The report of an import as Python values.

use percolate_core::ImportReport;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Returns the numbers of rows and the list of refused ones.
pub(crate) fn import_report<'py>(
    py: Python<'py>,
    report: &ImportReport,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("rows", report.rows)?;
    dict.set_item("written", report.written)?;
    dict.set_item("unchanged", report.unchanged)?;
    dict.set_item("refused", report.refused)?;
    let errors = PyList::empty(py);
    for error in &report.errors {
        let entry = PyDict::new(py);
        entry.set_item("line", error.line)?;
        entry.set_item("reason", &error.reason)?;
        errors.append(entry)?;
    }
    dict.set_item("errors", errors)?;
    Ok(dict)
}
