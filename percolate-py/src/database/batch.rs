//! `Batch`: several writes that are committed together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use percolate_core::{Batch, Error, Writes};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::arguments::{GivenVectors, Id, Key, Name, Seen};
use super::class::PyDatabase;
use super::handle::Closable;
use crate::context::TraceArgument;

/// Writes to any tables of a database that are committed together; returned by `Database.batch`.
///
/// The data of a write is checked when it is added. Whether the entities exist is checked by
/// `commit`, in the order of the writes: a later write sees the earlier ones. Leaving the `with`
/// block commits the writes; an exception in it discards them.
#[pyclass(name = "Batch", module = "percolate_rocks", frozen)]
pub(crate) struct PyBatch {
    database: Py<PyDatabase>,
    shared: Arc<Closable>,
    /// The writes do not keep the database open.
    writes: Mutex<Writes>,
}

impl PyBatch {
    pub(super) fn new(database: Bound<'_, PyDatabase>) -> PyResult<Self> {
        let shared = database.get().shared();
        shared.begin(None)?;
        Ok(Self {
            shared: Arc::clone(shared),
            database: database.unbind(),
            writes: Mutex::default(),
        })
    }

    /// The lock is never held while Python code runs.
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a write, and returns the id of its entity.
    fn add(
        &self,
        py: Python<'_>,
        write: impl FnOnce(&mut Batch) -> Result<percolate_core::uuid::Uuid, Error> + Send,
    ) -> PyResult<String> {
        let id = self.shared.work(py, None, |database| {
            let mut writes = self.writes();
            let mut batch = database.batch_of(std::mem::take(&mut *writes))?;
            let id = write(&mut batch);
            *writes = batch.into_writes();
            id
        })?;
        Ok(id.to_string())
    }
}

#[pymethods]
impl PyBatch {
    /// Add the insertion of an entity, as `Database.insert` does it, and return its id.
    ///
    /// A later write of the batch that changes the text of a field removes its vector.
    ///
    /// Raises:
    ///     EntityError: The data does not match the schema.
    ///     NotEmbeddedError, EmbeddingError: A vector is refused.
    ///     UnknownTableError: The table does not exist.
    #[pyo3(signature = (table, data, *, vectors = None))]
    fn insert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        vectors: Option<GivenVectors>,
    ) -> PyResult<String> {
        let data = self.database.get().data(table, None, data)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        self.add(py, |batch| batch.insert_with_vectors(table, &data, vectors))
    }

    /// Add the insertion of an entity, or the replacement of its data, as `Database.upsert` does it.
    /// Return the id.
    ///
    /// Raises:
    ///     EntityError: The data does not match the schema.
    ///     NoKeyError: The table has no key field, and the data has no `_id`.
    #[pyo3(signature = (table, data, *, vectors = None))]
    fn upsert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        vectors: Option<GivenVectors>,
    ) -> PyResult<String> {
        let data = self.database.get().data(table, None, data)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        self.add(py, |batch| batch.upsert_with_vectors(table, &data, vectors))
    }

    /// Add a change of fields, as `Database.update` does it. Return the id.
    ///
    /// Raises:
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     TypeError: Neither an id nor a key was given, or both, or no changes.
    #[pyo3(signature = (
        table, id = None, changes = None, *, key = None, if_unchanged_since = None, vectors = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments in Python"
    )]
    fn update(
        &self,
        py: Python<'_>,
        table: &str,
        id: Option<Id>,
        changes: Option<&Bound<'_, PyAny>>,
        key: Option<Key>,
        if_unchanged_since: Option<Seen>,
        vectors: Option<GivenVectors>,
    ) -> PyResult<String> {
        let name = Name::new(id, key)?;
        let changes = changes.ok_or_else(|| PyTypeError::new_err("pass the changes"))?;
        let changes = self.database.get().data(table, None, changes)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        let seen = if_unchanged_since.map(|Seen(at)| at);
        self.add(py, |batch| {
            batch.update_with_vectors(table, &name, &changes, vectors, seen)
        })
    }

    /// Add a deletion, as `Database.delete` does it. Return the id. Deleting an entity that does not
    /// exist is not an error, unless `if_unchanged_since` is given.
    ///
    /// Raises:
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     TypeError: Neither an id nor a key was given, or both.
    #[pyo3(signature = (table, id = None, *, key = None, if_unchanged_since = None))]
    fn delete(
        &self,
        py: Python<'_>,
        table: &str,
        id: Option<Id>,
        key: Option<Key>,
        if_unchanged_since: Option<Seen>,
    ) -> PyResult<String> {
        let name = Name::new(id, key)?;
        self.add(py, |batch| match if_unchanged_since {
            Some(Seen(at)) => batch.delete_if_unchanged(table, &name, at),
            None => batch.delete(table, &name),
        })
    }

    /// Write all or nothing, and return the number of writes. The batch is empty after this, also if
    /// it fails.
    ///
    /// Raises:
    ///     ExistsError, NotFoundError, ConflictError, EntityError: A write cannot be done; the
    ///         message has its index. Nothing was written.
    #[pyo3(signature = (*, trace_context = None))]
    fn commit(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<usize> {
        let writes = py.detach(|| std::mem::take(&mut *self.writes()));
        self.shared.work(py, trace_context, |database| {
            database.batch_of(writes)?.commit()
        })
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.writes().len())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, _error, _traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if kind.is_none() {
            self.commit(py, None)?;
        } else {
            py.detach(|| *self.writes() = Writes::default());
        }
        Ok(())
    }
}
