//! `Database`: the facade of `percolate-core`, with Python values in and out.
//!
//! Every method takes the parent of its spans first (the `trace_context` argument, else the current Python span), and
//! then works with the interpreter released. A handle belongs to the process that opened it: after a fork the child
//! is refused, and never runs RocksDB's destructors.

#![expect(
    clippy::needless_pass_by_value,
    reason = "pyo3 gives arguments by value"
)]

use std::ops::Bound as RangeBound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use percolate_core::admin::{IndexManager, IndexReport};
use percolate_core::query::QueryResult;
use percolate_core::schema::entity::Entity;
use percolate_core::storage::{ServerAddress, StorageOptions};
use percolate_core::{Database, DatabaseOptions, Error, Hit, SearchFilter};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use serde_json::Value;

use crate::callback::{Callback, Stop, block_on_attentively, wait_for};
use crate::context::{Parent, TraceArgument, parent, traced};
use crate::embeddings::provider_of;
use crate::errors::{ClosedError, ForkedError, raised};
use crate::json::{to_json, to_python};
use crate::query::{self, PyQueryResult};
use crate::telemetry::forks;
use crate::worker::{Job, Worker, refused, status_dict, task_of};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDatabase>()?;
    module.add_class::<EntityIterator>()?;
    module.add_function(wrap_pyfunction!(store_resource_with_trace, module)?)?;
    module.add_function(wrap_pyfunction!(set_default_database, module)?)?;
    Ok(())
}

/// In which process, counted by forks and from 1, RocksDB was used first; 0 for never.
static USED_AFTER_FORKS: AtomicU32 = AtomicU32::new(0);

/// Whether this process, or one it was forked from, has used RocksDB.
pub(crate) fn was_used() -> bool {
    USED_AFTER_FORKS.load(Ordering::Relaxed) != 0
}

/// RocksDB's threads serve a whole process and do not survive a fork: in the child a database could be opened, would
/// hang at its first flush, and crash at exit. So a child opens none if its parent had one, be it closed by now.
fn refuse_after_fork(path: &Path) -> PyResult<()> {
    let here = forks() + 1;
    let first = USED_AFTER_FORKS.compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err_and(|first| first != here) {
        return Err(ForkedError::new_err(format!(
            "cannot open the database at {}: this process was forked from one that had opened a database, and \
             RocksDB's threads do not survive a fork; open databases after forking, or start workers with `spawn`",
            path.display()
        )));
    }
    Ok(())
}

/// The database's handle, in the process that opened it.
struct Handle {
    database: Option<Database>,
    /// Started by the first task that is handed in.
    worker: Mutex<Option<Worker>>,
    /// How many forks lay behind the process when it was opened.
    forks: u32,
}

impl Handle {
    fn new(database: Option<Database>) -> Arc<Self> {
        Arc::new(Self {
            database,
            worker: Mutex::new(None),
            forks: forks(),
        })
    }

    fn worker(&self) -> std::sync::MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(database) = self.database.take() else {
            return;
        };
        let worker = self
            .worker
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if self.forks == forks() {
            // Closing waits for RocksDB's threads. Without an interpreter the closure, and the database, just drop.
            let close = move || {
                if let Some(worker) = worker {
                    worker.abandon();
                }
                drop(database);
            };
            _ = Python::try_attach(move |py| py.detach(close));
        } else {
            // Of the parent's threads none is here: closing would wait for them, and write over the parent's files.
            std::mem::forget((database, worker));
        }
    }
}

/// Tables of JSON entities in a directory, for one tenant.
///
/// Opens the database at `path`, or makes one there. It is a context manager, safe to use from many threads, and may
/// be open once per process and path. Each method takes `trace_context=`: a `TraceContext`, a mapping of headers, or
/// nothing, which makes its spans children of the current Python span.
///
/// Args:
///     path: The directory.
///     tenant: Whose entities the handle sees. Tenants share files and nothing else.
///     namespace: The name telemetry gives the database (`db.namespace`); by default the directory's own name.
///     create_if_missing: Whether to make a database where there is none.
///     read_only: Refuse writes; several processes may read at once.
///     sync: Wait for the disk on every write.
///     server_address: What `server.address` says: `"path"`, `"omit"`, or any other text as it is.
///     query_memory_limit: How many bytes a query may hold at a time; what needs more fails.
///     embedder: Who turns text into vectors: `HttpEmbeddings`, or any object with `name`, `dimensions` and
///         `embed(texts)`. By default an offline one, which needs no model.
///
/// Raises:
///     OpenError: The directory cannot be opened: `MissingError`, `LockedError`, `FormatError` say why.
///
/// Examples:
///     >>> with Database(tmp_path / "db") as db:
///     ...     db.register_schema("articles", {"key_field": "slug", "indexed_fields": ["year"]})
///     ...     id = db.insert("articles", {"slug": "percolation", "year": 1957})
///     ...     db.lookup("articles", "percolation")["year"]
///     1957
#[pyclass(name = "Database", module = "percolate_rocks", frozen, weakref)]
pub(crate) struct PyDatabase {
    handle: RwLock<Option<Arc<Handle>>>,
    path: PathBuf,
    tenant: String,
}

impl PyDatabase {
    /// The handle to work with, if it is open and ours.
    fn handle(&self) -> PyResult<Arc<Handle>> {
        let handle = self
            .handle
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(handle) = handle else {
            return Err(ClosedError::new_err(format!(
                "the database at {} was closed; open it again",
                self.path.display()
            )));
        };
        if handle.forks != forks() {
            return Err(ForkedError::new_err(format!(
                "the database at {} was opened before this process was forked, and belongs to the parent; open databases \
                 after forking, or start workers with `spawn`",
                self.path.display()
            )));
        }
        Ok(handle)
    }

    /// Works on the database with the interpreter released, inside the call's trace.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        self.work_in(py, parent, work)
    }

    fn work_in<T: Send>(
        &self,
        py: Python<'_>,
        parent: Option<Parent>,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let handle = self.handle()?;
        let Some(database) = &handle.database else {
            return Err(ClosedError::new_err("the database was closed"));
        };
        traced(py, parent, || work(database)).map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl PyDatabase {
    #[new]
    #[pyo3(signature = (
        path, *, tenant = "default", namespace = None, create_if_missing = true, read_only = false,
        sync = false, server_address = "path", query_memory_limit = None, embedder = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python constructor"
    )]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        tenant: &str,
        namespace: Option<String>,
        create_if_missing: bool,
        read_only: bool,
        sync: bool,
        server_address: &str,
        query_memory_limit: Option<usize>,
        embedder: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let address = match server_address {
            "path" => ServerAddress::Path,
            "omit" => ServerAddress::Omit,
            custom => ServerAddress::Custom(custom.to_owned()),
        };
        let mut storage = StorageOptions::new()
            .create_if_missing(create_if_missing)
            .read_only(read_only)
            .sync(sync)
            .server_address(address);
        if let Some(namespace) = namespace {
            storage = storage.namespace(namespace);
        }
        if path.as_os_str().is_empty() {
            return Err(PyValueError::new_err(
                "the path of a database is empty; give it a directory",
            ));
        }
        refuse_after_fork(&path)?;
        let mut options = DatabaseOptions::new().tenant(tenant).storage(storage);
        if let Some(bytes) = query_memory_limit {
            options = options.query_memory_limit(bytes);
        }
        if let Some(embedder) = embedder {
            options = options.provider(provider_of(embedder)?);
        }
        py.import("percolate_rocks._telemetry")?
            .call_method0("_opened")?;
        let parent = parent(py, None)?;
        let database = traced(py, parent, || Database::open_with(&path, options))
            .map_err(|error| raised(py, &error))?;
        Ok(Self {
            handle: RwLock::new(Some(Handle::new(Some(database)))),
            path,
            tenant: tenant.to_owned(),
        })
    }

    /// The directory.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Whose entities this handle sees.
    #[getter]
    fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The name telemetry gives the database.
    ///
    /// Raises:
    ///     ClosedError: The database was closed.
    #[getter]
    fn namespace(&self) -> PyResult<String> {
        let handle = self.handle()?;
        Ok(handle
            .database
            .as_ref()
            .map(|database| database.storage().namespace().to_owned())
            .unwrap_or_default())
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.handle
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// The same database as another tenant sees it. The files close with the last of the handles.
    fn for_tenant(&self, tenant: String) -> PyResult<Self> {
        let handle = self.handle()?;
        let database = handle
            .database
            .as_ref()
            .map(|database| database.for_tenant(&tenant));
        let handle = RwLock::new(Some(Handle::new(database)));
        Ok(Self {
            handle,
            path: self.path.clone(),
            tenant,
        })
    }

    /// Makes everything written so far outlive a power cut and closes the handle. Closing twice is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let handle = py.detach(|| {
            self.handle
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        });
        let Some(handle) = handle else { return Ok(()) };
        if handle.forks != forks() {
            return Ok(());
        }
        let parent = parent(py, None)?;
        let Some(database) = handle.database.clone() else {
            return Ok(());
        };
        traced(py, parent, || {
            let worker = handle.worker().take();
            if let Some(worker) = worker {
                worker.shutdown();
            }
            let closed = database.close();
            drop(handle);
            closed
        })
        .map_err(|error| raised(py, &error))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().handle()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!(
            "Database({:?}, tenant={:?}{state})",
            self.path.display().to_string(),
            self.tenant
        )
    }

    // ---- tables ----

    /// Registers the schema of a table, or changes it.
    ///
    /// The schema is a JSON Schema with three words more: `key_field` (its value makes the id), `indexed_fields` (can be
    /// looked up by value and range) and `embedding_fields` (can be searched by meaning).
    ///
    /// Raises:
    ///     SchemaError: The schema is not valid.
    #[pyo3(signature = (table, schema, *, trace_context = None))]
    fn register_schema(
        &self,
        py: Python<'_>,
        table: &str,
        schema: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        let schema = to_json(schema)?;
        self.work(py, trace_context, |database| {
            database.register_schema(table, &schema)
        })
    }

    /// The schema of a table as it was registered.
    ///
    /// Raises:
    ///     UnknownTableError: There is no such table.
    fn schema<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Bound<'py, PyAny>> {
        let schema = self.work(py, None, |database| database.schema(table))?;
        to_python(py, schema.source())
    }

    /// The names of the tables, sorted.
    fn tables(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.work(py, None, |database| Ok(database.tables()))
    }

    // ---- entities ----

    /// Adds an entity and gives its id. With a key field, the id is made from the key and is the same every time.
    ///
    /// Raises:
    ///     UnknownTableError: There is no such table.
    ///     ExistsError: The key is taken.
    ///     EntityError: The data does not fit the schema.
    ///     TypeError, ValueError: The data holds what JSON cannot.
    #[pyo3(signature = (table, data, *, trace_context = None))]
    fn insert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        let data = to_json(data)?;
        self.work(py, trace_context, |database| database.insert(table, &data))
            .map(|id| id.to_string())
    }

    /// As `insert`, with the trace context as third argument: a `TraceContext`, a mapping of headers, or `None`.
    #[pyo3(signature = (table, data, trace_context = None))]
    fn insert_with_trace(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        self.insert(py, table, data, trace_context)
    }

    /// Adds an entity, or replaces the data of the one that has its key. Gives its id.
    #[pyo3(signature = (table, data, *, trace_context = None))]
    fn upsert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        let data = to_json(data)?;
        self.work(py, trace_context, |database| database.upsert(table, &data))
            .map(|id| id.to_string())
    }

    /// Adds several entities, all or none, and gives their ids in order.
    #[pyo3(signature = (table, data, *, trace_context = None))]
    fn insert_many(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Vec<String>> {
        let data = data
            .try_iter()?
            .map(|data| to_json(&data?))
            .collect::<PyResult<Vec<_>>>()?;
        let ids = self.work(py, trace_context, |database| {
            database.insert_batch(table, &data)
        })?;
        Ok(ids.iter().map(ToString::to_string).collect())
    }

    /// Replaces the fields that `changes` names; `None` takes a field away. Gives the entity as it is then.
    ///
    /// Raises:
    ///     NotFoundError: There is no such entity.
    #[pyo3(signature = (table, id, changes, *, trace_context = None))]
    fn update<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        id: Id,
        changes: &Bound<'py, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let changes = to_json(changes)?;
        let entity = self.work(py, trace_context, |database| {
            database
                .update(table, id.0, &changes)
                .map(|entity| entity.to_json())
        })?;
        to_python(py, &entity)
    }

    /// The entity with this id, with `id`, `created_at` and `updated_at` beside its data; `None` if there is none.
    #[pyo3(signature = (table, id, *, trace_context = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        id: Id,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let entity = self.work(py, trace_context, |database| database.get(table, id.0))?;
        entity
            .map(|entity| to_python(py, &entity.to_json()))
            .transpose()
    }

    /// The entities with these ids, in their order; `None` for those that are not there.
    #[pyo3(signature = (table, ids, *, trace_context = None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        ids: &Bound<'py, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        let ids = ids
            .try_iter()?
            .map(|id| Ok(id?.extract::<Id>()?.0))
            .collect::<PyResult<Vec<_>>>()?;
        let entities = self.work(py, trace_context, |database| {
            database.get_batch(table, &ids)
        })?;
        let list = PyList::empty(py);
        for entity in entities {
            list.append(
                entity
                    .map(|entity| to_python(py, &entity.to_json()))
                    .transpose()?,
            )?;
        }
        Ok(list)
    }

    /// The entity whose key field has the value `key`; `None` if there is none.
    #[pyo3(signature = (table, key, *, trace_context = None))]
    fn lookup<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        key: Key,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let entity = self.work(py, trace_context, |database| database.lookup(table, &key.0))?;
        entity
            .map(|entity| to_python(py, &entity.to_json()))
            .transpose()
    }

    /// The entities whose indexed field equals `value` or lies within the bounds, ordered by that field.
    ///
    /// Args:
    ///     value: The field's value. Leave it out to give bounds.
    ///     ge, gt, le, lt: Lower bound (inclusive or not) and upper bound (inclusive or not).
    ///
    /// Raises:
    ///     NotIndexedError: The schema does not list the field as indexed.
    ///     TypeError: Neither a value nor bounds, or both, or two lower or two upper bounds.
    #[pyo3(signature = (
        table, field, value = Given(None), *, ge = Given(None), gt = Given(None), le = Given(None), lt = Given(None),
        trace_context = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of the Python method")]
    fn find<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        field: &str,
        value: Given,
        ge: Given,
        gt: Given,
        le: Given,
        lt: Given,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        let range = bounds(value, (ge, gt), (le, lt))?;
        let entities = self.work(py, trace_context, |database| {
            database.find(table, field, range)
        })?;
        let list = PyList::empty(py);
        for entity in entities {
            list.append(to_python(py, &entity.to_json())?)?;
        }
        Ok(list)
    }

    /// An iterator over the entities of a table, in the order of their ids. It reads `page` entities at a time.
    #[pyo3(signature = (table, *, page = 256, trace_context = None))]
    fn scan(
        slf: Bound<'_, Self>,
        table: String,
        page: usize,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<EntityIterator> {
        let parent = parent(slf.py(), trace_context)?;
        slf.get()
            .work_in(slf.py(), None, |database| database.schema(&table).map(drop))?;
        let state = Mutex::new(Walk {
            page: Vec::new().into_iter(),
            after: None,
            ended: false,
        });
        Ok(EntityIterator {
            database: slf.unbind(),
            table,
            size: page.max(1),
            parent,
            state,
        })
    }

    /// The number of entities in a table.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn count(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        self.work(py, trace_context, |database| database.count(table))
    }

    /// Marks an entity as deleted: nothing finds it any more. Gives whether there was one.
    #[pyo3(signature = (table, id, *, trace_context = None))]
    fn delete(
        &self,
        py: Python<'_>,
        table: &str,
        id: Id,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<bool> {
        self.work(py, trace_context, |database| database.delete(table, id.0))
    }

    /// Removes every trace of an entity, deleted or not. Gives whether there was one.
    #[pyo3(signature = (table, id, *, trace_context = None))]
    fn purge(
        &self,
        py: Python<'_>,
        table: &str,
        id: Id,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<bool> {
        self.work(py, trace_context, |database| database.purge(table, id.0))
    }

    // ---- search ----

    /// Makes the vectors of the entities of a table that wait for them. Ctrl-C ends it; what is done by then stays.
    ///
    /// Returns:
    ///     How many entities were `embedded`, and how many are `waiting` for another try.
    ///
    /// Raises:
    ///     EmbeddingError: The embedder failed; an exception raised in it is the cause.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn generate_embeddings<'py>(
        &self,
        py: Python<'py>,
        table: String,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = self.long_work(py, trace_context, move |database, stop| {
            Ok(stop.block_on(database.generate_embeddings(&table)))
        })?;
        let report = report?.map_err(|error| raised(py, &error))?;
        let dict = PyDict::new(py);
        dict.set_item("embedded", report.embedded)?;
        dict.set_item("waiting", report.waiting)?;
        Ok(dict)
    }

    /// Marks every entity of a table for re-embedding, for example after a change of the embedder.
    /// Returns the number of entities.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn mark_for_embedding(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        self.work(py, trace_context, |database| {
            database.mark_for_embedding(table)
        })
    }

    /// The entities whose embedded fields are nearest in meaning to `text`, nearest first.
    ///
    /// Args:
    ///     limit: How many at most.
    ///     where: Decides which entities may be found: a function of an entity.
    ///
    /// Returns:
    ///     Pairs of an entity and its distance, from 0 (the same direction) to 2.
    ///
    /// Raises:
    ///     EmbeddingError: The embedder failed; an exception raised in it is the cause.
    ///     KeyboardInterrupt: At once; the search is over.
    #[pyo3(signature = (table, text, limit = 10, *, r#where = None, trace_context = None))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        text: &str,
        limit: usize,
        r#where: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.hits(py, r#where, trace_context, |database, filter| {
            block_on_attentively(database.search(table, text, limit, filter))
        })
    }

    /// As `search`, nearest to a vector of the embedder's making.
    ///
    /// Raises:
    ///     EmbeddingError: The vector is not as long as the embedder's.
    #[pyo3(signature = (table, vector, limit = 10, *, r#where = None, trace_context = None))]
    fn search_vector<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        vector: Vec<f32>,
        limit: usize,
        r#where: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.hits(py, r#where, trace_context, |database, filter| {
            Ok(database.search_vector(table, &vector, limit, filter))
        })
    }

    // ---- SQL ----

    /// Runs a SELECT over the tables of this tenant and gives its rows.
    ///
    /// Every table is there with the columns of its schema, and with `id`, `created_at` and `updated_at`. All of the
    /// query sees the database as it was at one moment. Names are read in lower case unless they stand in double quotes.
    ///
    /// Args:
    ///     sql: The query. `$1`, `$2` and so on stand for values.
    ///     params: Those values, in order: what JSON can hold, dates and datetimes.
    ///
    /// Returns:
    ///     A dict for each row, in the order of the columns: with `int`, `float`, `str`, `bool`, `None`, `datetime` (in
    ///     UTC), `date` and lists of these.
    ///
    /// Raises:
    ///     UnknownTableError: There is no such table.
    ///     QueryError: Anything else is wrong with the query; `error_type` says what.
    ///     ValueError: Two columns have one name.
    ///     KeyboardInterrupt: At once; the query is over.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "sql") as db:
    ///     ...     db.register_schema("articles", {"properties": {"year": {"type": "integer"}}})
    ///     ...     ids = db.insert_many("articles", [{"year": 1957}, {"year": 1958}, {"year": 1957}])
    ///     ...     db.query("SELECT year, count(*) AS n FROM articles WHERE year < $1 GROUP BY year", [1958])
    ///     [{'year': 1957, 'n': 2}]
    #[pyo3(signature = (sql, params = None, *, trace_context = None))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        sql: String,
        params: Option<&Bound<'py, PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        query::dicts(py, &self.result(py, sql, params, trace_context)?)
    }

    /// As `query`, with the rows as Arrow, for pandas, polars, pyarrow and every other library that takes it.
    ///
    /// Returns:
    ///     A `QueryResult`.
    #[pyo3(signature = (sql, params = None, *, trace_context = None))]
    fn query_arrow<'py>(
        &self,
        py: Python<'py>,
        sql: String,
        params: Option<&Bound<'py, PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<PyQueryResult> {
        self.result(py, sql, params, trace_context)
            .map(PyQueryResult::new)
    }

    // ---- resources ----

    /// Stores bytes under an id, in place of what was there.
    #[pyo3(signature = (resource_id, data, *, trace_context = None))]
    fn store_resource(
        &self,
        py: Python<'_>,
        resource_id: &str,
        data: &[u8],
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.work(py, trace_context, |database| {
            database.store_resource(resource_id, data)
        })
    }

    /// The bytes stored under an id; `None` if there are none.
    #[pyo3(signature = (resource_id, *, trace_context = None))]
    fn load_resource<'py>(
        &self,
        py: Python<'py>,
        resource_id: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let data = self.work(py, trace_context, |database| {
            database.load_resource(resource_id)
        })?;
        Ok(data.map(|data| PyBytes::new(py, &data)))
    }

    /// Removes the bytes stored under an id. Removing what is not there is no error.
    #[pyo3(signature = (resource_id, *, trace_context = None))]
    fn delete_resource(
        &self,
        py: Python<'_>,
        resource_id: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.work(py, trace_context, |database| {
            database.delete_resource(resource_id)
        })
    }

    // ---- upkeep ----

    /// Hands in a task for the background: its span is a trace of its own, with a link to the current one.
    ///
    /// Closing the database waits for what was handed in, up to ten seconds.
    ///
    /// Args:
    ///     task: `"generate_embeddings"`, `"save_index"` or `"load_index"` of a table, `"compact"` of a column family
    ///         (one of `column_families`), or `"flush_wal"`.
    ///     target: The table or the column family.
    ///
    /// Returns:
    ///     A `Job`, to wait for or not.
    ///
    /// Raises:
    ///     JobError: As many jobs wait as may wait.
    ///     TypeError, ValueError: There is no such task, or it lacks its target.
    #[pyo3(signature = (task, target = None, *, trace_context = None))]
    fn submit(
        &self,
        py: Python<'_>,
        task: &str,
        target: Option<String>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Job> {
        let task = task_of(task, target.as_deref())?;
        let parent = parent(py, trace_context)?;
        let handle = self.handle()?;
        let Some(database) = &handle.database else {
            return Err(ClosedError::new_err("the database was closed"));
        };
        let submitted = traced(py, parent, || {
            let mut worker = handle.worker();
            if worker.is_none() {
                *worker = Some(Worker::start(database)?);
            }
            Ok::<_, PyErr>(worker.as_ref().map(|worker| worker.submit(task)))
        })?;
        match submitted {
            Some(job) => job.map_err(refused),
            None => Err(ClosedError::new_err("the database was closed")),
        }
    }

    /// How the tasks handed in with `submit` are getting on.
    ///
    /// Returns:
    ///     The numbers of jobs that are `queued` and `running`, that `succeeded` and `failed`, of attempts that were
    ///     `retried`, and of jobs `refused` because too many waited. All are 0 before the first task.
    fn background_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let handle = self.handle()?;
        let status = py.detach(|| handle.worker().as_ref().map(Worker::status));
        status_dict(py, status.unwrap_or_default())
    }

    /// The names of the column families that the database keeps its data in, sorted: what can be compacted.
    fn column_families(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.work(py, None, |database| {
            let mut families = database.storage().column_families();
            families.sort();
            Ok(families)
        })
    }

    /// Makes every index anew, or the field indexes of one table, beside live reads and writes.
    ///
    /// Args:
    ///     table: Only the field indexes of this table.
    ///     on_progress: Called with the number of entities and entries looked at so far, inside the job's span: spans
    ///         it makes are children. An exception it raises ends the rebuild there, and is raised here.
    ///
    /// Returns:
    ///     What was found: `entities`, `missing`, `stale`, `failed`.
    ///
    /// Raises:
    ///     KeyboardInterrupt: At once. The rebuild ends after the page it is at; what is corrected by then stays so.
    #[pyo3(signature = (table = None, *, on_progress = None, trace_context = None))]
    fn rebuild_indexes<'py>(
        &self,
        py: Python<'py>,
        table: Option<String>,
        on_progress: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.rebuild(
            py,
            on_progress,
            trace_context,
            move |indexes| match &table {
                Some(table) => indexes.rebuild_field_indexes(table),
                None => indexes.rebuild_all(),
            },
        )
    }

    /// Makes the vector indexes of all tables anew from the stored vectors, which the result counts as `entities`.
    ///
    /// `on_progress` and Ctrl-C are as for `rebuild_indexes`.
    #[pyo3(signature = (*, on_progress = None, trace_context = None))]
    fn rebuild_vector_indexes<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.rebuild(
            py,
            on_progress,
            trace_context,
            IndexManager::rebuild_hnsw_index,
        )
    }

    /// Counts what disagrees between the entities and the indexes, and changes nothing.
    #[pyo3(signature = (*, trace_context = None))]
    fn verify_indexes<'py>(
        &self,
        py: Python<'py>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = self.long_work(py, trace_context, |database, stop| {
            let stop = stop.clone();
            database
                .indexes()
                .on_progress(move |_| stop.flow())
                .verify()
        })?;
        report_dict(py, &report)
    }

    /// Writes everything in memory to files.
    #[pyo3(signature = (*, trace_context = None))]
    fn flush(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<()> {
        self.work(py, trace_context, |database| {
            Ok(database.storage().flush()?)
        })
    }

    /// Compacts every column family. Ctrl-C is answered at once; the family at work is compacted to its end.
    #[pyo3(signature = (*, trace_context = None))]
    fn compact(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<()> {
        self.long_work(py, trace_context, |database, stop| {
            for family in database.storage().column_families() {
                if stop.flow().is_break() {
                    break;
                }
                database.storage().compact(&family)?;
            }
            Ok(())
        })
    }

    /// Makes a copy of the database, as it is now, in a new directory.
    #[pyo3(signature = (path, *, trace_context = None))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.long_work(py, trace_context, move |database, _| {
            Ok(database.storage().checkpoint(path)?)
        })
    }
}

impl PyDatabase {
    /// What a search finds, with a Python function as its condition.
    fn hits<'py>(
        &self,
        py: Python<'py>,
        condition: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
        search: impl FnOnce(&Database, Option<&SearchFilter<'_>>) -> PyResult<Result<Vec<Hit>, Error>>
        + Send,
    ) -> PyResult<Bound<'py, PyList>> {
        let condition = condition
            .map(|function| Callback::new(py, "where", function))
            .transpose()?;
        let filter = condition
            .clone()
            .map(|filter| move |entity: &Entity| filter.approves(&entity.to_json()));
        let hits = self.work(py, trace_context, |database| {
            Ok(search(
                database,
                filter.as_ref().map(|filter| filter as &SearchFilter<'_>),
            ))
        })?;
        let hits = hits?.map_err(|error| raised(py, &error))?;
        if let Some(error) = condition.and_then(|condition| condition.take_error()) {
            return Err(error);
        }
        let list = PyList::empty(py);
        for hit in hits {
            list.append((to_python(py, &hit.entity.to_json())?, hit.distance))?;
        }
        Ok(list)
    }

    /// What a query finds.
    fn result(
        &self,
        py: Python<'_>,
        sql: String,
        params: Option<&Bound<'_, PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<QueryResult> {
        let params = query::parameters(params)?;
        let result = self.long_work(py, trace_context, move |database, stop| {
            Ok(stop.block_on(database.query_with(&sql, &params)))
        })?;
        result?.map_err(|error| raised(py, &error))
    }

    /// Rebuilds until it is done, `on_progress` raises, or Ctrl-C comes.
    fn rebuild<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Py<PyAny>>,
        trace_context: Option<TraceArgument>,
        rebuild: impl FnOnce(&IndexManager) -> Result<IndexReport, Error> + Send + 'static,
    ) -> PyResult<Bound<'py, PyDict>> {
        let progress = on_progress
            .map(|function| Callback::new(py, "on_progress", function))
            .transpose()?;
        let mine = progress.clone();
        let report = self.long_work(py, trace_context, move |database, stop| {
            let stop = stop.clone();
            rebuild(&database.indexes().on_progress(move |made| match &mine {
                Some(progress) if stop.flow().is_continue() => progress.tell(made.done),
                _ => stop.flow(),
            }))
        })?;
        if let Some(error) = progress.and_then(|progress| progress.take_error()) {
            return Err(error);
        }
        report_dict(py, &report)
    }

    /// Works on another thread and waits for it, so that Ctrl-C is answered at once. Work that can, stops then.
    fn long_work<T: Send + 'static>(
        &self,
        py: Python<'_>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&Database, &Stop) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<T> {
        let parent = parent(py, trace_context)?;
        let handle = self.handle()?;
        let work = move |stop: &Stop| {
            handle
                .database
                .as_ref()
                .map(|database| work(database, stop))
        };
        match wait_for(py, parent, work)? {
            Some(done) => done.map_err(|error| raised(py, &error)),
            None => Err(ClosedError::new_err("the database was closed")),
        }
    }
}

fn report_dict<'py>(py: Python<'py>, report: &IndexReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("entities", report.entities)?;
    dict.set_item("missing", report.missing)?;
    dict.set_item("stale", report.stale)?;
    dict.set_item("failed", report.failed)?;
    Ok(dict)
}

// ---- arguments ----

/// An entity's id: a `str` or a `uuid.UUID`.
#[derive(Clone, Copy)]
struct Id(uuid::Uuid);

impl<'a, 'py> FromPyObject<'a, 'py> for Id {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = value.str()?;
        let text = text.to_cow()?;
        if !value.is_instance_of::<PyString>() && value.getattr("hex").is_err() {
            let type_name = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "an id must be a str or a uuid.UUID, not {type_name}"
            )));
        }
        uuid::Uuid::parse_str(&text)
            .map(Self)
            .map_err(|_| PyValueError::new_err(format!("`{text}` is not an id (a UUID)")))
    }
}

/// The value of a key field: a `str` or an `int`.
struct Key(String);

impl<'a, 'py> FromPyObject<'a, 'py> for Key {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match to_json(&value)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) if !number.is_f64() => Ok(Self(number.to_string())),
            _ => Err(PyTypeError::new_err(format!(
                "a key must be a str or an int, not {}",
                value.get_type().name()?
            ))),
        }
    }
}

/// A value that may be left out, and may be `None`.
struct Given(Option<Value>);

impl<'a, 'py> FromPyObject<'a, 'py> for Given {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        to_json(&value).map(|value| Self(Some(value)))
    }
}

type Bounds = (RangeBound<Value>, RangeBound<Value>);

fn bounds(value: Given, (ge, gt): (Given, Given), (le, lt): (Given, Given)) -> PyResult<Bounds> {
    let bound = |inclusive: Given, exclusive: Given, names: &str| match (inclusive.0, exclusive.0) {
        (Some(_), Some(_)) => Err(PyTypeError::new_err(format!(
            "give one of {names}, not both"
        ))),
        (Some(value), None) => Ok(RangeBound::Included(value)),
        (None, Some(value)) => Ok(RangeBound::Excluded(value)),
        (None, None) => Ok(RangeBound::Unbounded),
    };
    let range = (bound(ge, gt, "ge and gt")?, bound(le, lt, "le and lt")?);
    match (value.0, &range) {
        (Some(value), (RangeBound::Unbounded, RangeBound::Unbounded)) => Ok((
            RangeBound::Included(value.clone()),
            RangeBound::Included(value),
        )),
        (Some(_), _) => Err(PyTypeError::new_err("give a value or bounds, not both")),
        (None, (RangeBound::Unbounded, RangeBound::Unbounded)) => Err(PyTypeError::new_err(
            "give a value, or bounds as ge=, gt=, le= or lt=",
        )),
        (None, _) => Ok(range),
    }
}

// ---- iteration ----

/// Walks over the entities of a table; made by `Database.scan`.
#[pyclass(module = "percolate_rocks", frozen)]
pub(crate) struct EntityIterator {
    database: Py<PyDatabase>,
    table: String,
    size: usize,
    parent: Option<Parent>,
    state: Mutex<Walk>,
}

struct Walk {
    page: std::vec::IntoIter<Value>,
    after: Option<uuid::Uuid>,
    ended: bool,
}

#[pymethods]
impl EntityIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = {
            let mut walk = self.walk();
            if walk.ended {
                return Ok(None);
            }
            walk.page.next()
        };
        match next {
            Some(entity) => to_python(py, &entity).map(Some),
            None => self.next_page(py),
        }
    }
}

impl EntityIterator {
    fn walk(&self) -> std::sync::MutexGuard<'_, Walk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_page<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let after = self.walk().after;
        let (table, size) = (&self.table, self.size);
        let page = self
            .database
            .get()
            .work_in(py, self.parent.clone(), |database| {
                let page = database.list(table, after, size)?;
                let last = page.last().map(|entity| entity.id);
                Ok((last, page.iter().map(Entity::to_json).collect::<Vec<_>>()))
            });
        let mut walk = self.walk();
        let (last, page) = page.inspect_err(|_| walk.ended = true)?;
        walk.after = last;
        walk.ended = last.is_none();
        walk.page = page.into_iter();
        let first = walk.page.next();
        drop(walk);
        first.map(|entity| to_python(py, &entity)).transpose()
    }
}

// ---- the default database ----

static DEFAULT: Mutex<Option<Py<PyDatabase>>> = Mutex::new(None);

/// Chooses the database that module-level functions work on; `None` for none.
///
/// Without this call they open the directory named by the environment variable `PERCOLATE_DATABASE`.
#[pyfunction]
#[pyo3(signature = (database, /))]
fn set_default_database(database: Option<Py<PyDatabase>>) {
    let before = std::mem::replace(&mut *default_slot(), database);
    drop(before);
}

/// The lock is never held while Python code runs, so that it need not be waited for without the interpreter.
fn default_slot() -> std::sync::MutexGuard<'static, Option<Py<PyDatabase>>> {
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
        return Err(crate::errors::MissingError::new_err(
            "there is no default database: call percolate_rocks.set_default_database(db), or set PERCOLATE_DATABASE \
             to a directory",
        ));
    };
    let opened = py
        .get_type::<PyDatabase>()
        .call1((PathBuf::from(path),))?
        .cast_into::<PyDatabase>()?
        .unbind();
    Ok(default_slot().get_or_insert(opened).clone_ref(py))
}

/// Stores bytes under an id of a tenant, in the default database, as a child of the caller's span.
///
/// Args:
///     tenant_id: Whose resource it is.
///     resource_id: Its id; what was stored under it is replaced.
///     data: The bytes.
///     trace_context: A `TraceContext`, a mapping of headers as `inject` fills it, or `None`: the current Python span.
///
/// Raises:
///     MissingError: There is no default database.
#[pyfunction]
#[pyo3(signature = (tenant_id, resource_id, data, trace_context = None))]
fn store_resource_with_trace(
    py: Python<'_>,
    tenant_id: &str,
    resource_id: &str,
    data: &[u8],
    trace_context: Option<TraceArgument>,
) -> PyResult<()> {
    let database = default_database(py)?;
    database.get().work(py, trace_context, |database| {
        database
            .for_tenant(tenant_id)
            .store_resource(resource_id, data)
    })
}
