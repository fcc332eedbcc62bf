//! `RowIterator`: the rows of a query result as tuples. Each row is converted when it is reached, so
//! that only the Arrow data of the result is in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use percolate_core::query::QueryResult;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::query::value;
use crate::waiting::caught;

/// An iterator over the rows of a query; returned by `QueryResult.iter_rows`.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct RowIterator {
    result: QueryResult,
    /// The index of the row after each batch.
    ends: Vec<usize>,
    next: AtomicUsize,
}

impl RowIterator {
    pub(crate) fn new(result: QueryResult) -> Self {
        let mut end = 0;
        let ends = result.batches().iter().map(|batch| {
            end += batch.num_rows();
            end
        });
        let ends = ends.collect();
        Self {
            result,
            ends,
            next: AtomicUsize::new(0),
        }
    }

    fn row<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let row = self.next.fetch_add(1, Ordering::Relaxed);
        let at = self.ends.partition_point(|end| *end <= row);
        let Some(batch) = self.result.batches().get(at) else {
            return Ok(None);
        };
        let start = self.ends[at] - batch.num_rows();
        let values = batch
            .columns()
            .iter()
            .map(|column| value(py, column, row - start))
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, values).map(Some)
    }
}

#[pymethods]
impl RowIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        caught(|| self.row(py))?
    }
}
