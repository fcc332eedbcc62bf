//! The Python class `Database`: the facade of `percolate-core`, with Python values in and out.
//!
//! Every method first reads the parent of its spans (the `trace_context` argument, else the current
//! Python span) and then works with the interpreter released.

#![expect(
    clippy::needless_pass_by_value,
    reason = "pyo3 passes arguments by value"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use percolate_core::admin::{IndexManager, IndexReport};
use percolate_core::query::QueryResult;
use percolate_core::schema::entity::Entity;
use percolate_core::storage::{StorageOptions, is_url};
use percolate_core::{Database, Error, Follower, SchemaChange};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use serde_json::Value;

use super::arguments::{
    self, Bytes, Given, GivenVectors, Id, Key, Name, QueryVector, Retries, Seen, bounds,
    vectors_of_each,
};
use super::at_exit;
use super::batch::PyBatch;
use super::filter::{IndexProgress, Where};
use super::handle::Closable;
use super::iterator::EntityIterator;
use super::opening::{Opening, Place, StoreOptions, with_store_options};
use super::transfer::{self, Call, ImportArguments};
use crate::bar::Bar;
use crate::callback::Callback;
use crate::context::{TraceArgument, parent};
use crate::errors::{copy_failed, raised};
use crate::json::{entity_to_json, to_json, to_python};
use crate::query::{self, PyQueryResult};
use crate::stop::Stop;
use crate::waiting::{released, traced};
use crate::worker::{Job, status_dict, task_of};

/// Tables of JSON entities in a directory or on an object store, for one tenant.
///
/// Opens the database at `path`, or creates one. It is a context manager and safe to use from many
/// threads. A process can open a directory only once. Methods take `trace_context=`: a
/// `TraceContext` or a mapping of headers. Without it, their spans are children of the current
/// Python span.
///
/// Args:
///     path: The directory (RocksDB), or the URL of a place on an object store (SlateDB):
///         `s3://bucket/prefix`, `file:///directory`, or `memory:///name` for tests, which exists as
///         long as a handle of it in this process.
///     tenant: The tenant whose entities the handle reads and writes. Tenants share the files and
///         nothing else.
///     namespace: The name of the database in telemetry (`db.namespace`). The default is the name
///         of the directory, or the last part of the URL.
///     create_if_missing: Create a database if there is none, in an empty or a new directory.
///     read_only: Refuse writes. Several processes may have a database open read-only.
///     refresh_every: For `read_only=True`: a call that comes this number of seconds or later after
///         the last refresh refreshes the handle first, as `refresh` does. Of several threads, one
///         refreshes and the others wait for it. If the refresh fails, the call raises its error.
///         By default, only `refresh` refreshes.
///     sync: Wait on every write until it is durable: on the disk, or on the object store.
///     server_address: The value of the attribute `server.address`: `"path"` for the path or the
///         host of the bucket, `"omit"` for no attribute, or any other text as it is.
///     cache_size: The size of the cache of blocks in bytes. The default is 64 MiB.
///     memory_table_limit: The size of all memory tables together in bytes, 0 for no limit. The
///         default is 128 MiB.
///     query_memory_limit: The number of bytes that a query may hold. A query that needs more
///         fails.
///     embedder: The embedder that turns text into vectors: an `HttpEmbeddings`, or any object with
///         `name`, `dimensions` and `embed(texts)`. The default one works offline and needs no
///         model.
///     object_store_options: For `s3://`: options by name, such as `aws_region`, `aws_endpoint`,
///         `aws_access_key_id`, `aws_secret_access_key` and `aws_allow_http`. Others come from the
///         environment variables of the same names in capitals. Values do not appear in messages or
///         telemetry. `file://` and `memory://` have no options, and refuse any.
///     flush_interval: For object stores without `sync`: the seconds after which a write is durable.
///         Each flush is a request to the store. The default is 0.1.
///     object_store_retries: For object stores: how often a failed request is repeated, with pauses
///         of up to a second. The default is 30.
///
/// Raises:
///     OpenError: The database cannot be opened. The subclasses `MissingError`, `LockedError`,
///         `FormatError` and `UrlError` name the reason.
///     UnavailableError: The object store cannot be reached.
///     ForkedError: This process was forked from one that had opened a database.
///     ValueError: An argument is out of its range, or does not fit the path.
///
/// Examples:
///     >>> with Database(tmp_path / "db") as db:
///     ...     db.register_schema("articles", {
///     ...         "properties": {"slug": {"type": "string"}, "year": {"type": "integer"}},
///     ...         "key_field": "slug",
///     ...         "indexed_fields": ["year"],
///     ...     })
///     ...     id = db.insert("articles", {"slug": "percolation", "year": 1957})
///     ...     db.lookup("articles", "percolation")["year"]
///     1957
#[pyclass(name = "Database", module = "percolate_rocks", frozen, weakref)]
pub(crate) struct PyDatabase {
    shared: Arc<Closable>,
    tenant: String,
}

#[pymethods]
impl PyDatabase {
    #[new]
    #[pyo3(signature = (
        path, *, tenant = "default", namespace = None, create_if_missing = true, read_only = false,
        refresh_every = None, sync = false, server_address = "path", cache_size = None,
        memory_table_limit = None, query_memory_limit = None, embedder = None,
        object_store_options = None, flush_interval = None, object_store_retries = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python constructor"
    )]
    fn new(
        py: Python<'_>,
        path: Place,
        tenant: &str,
        namespace: Option<String>,
        create_if_missing: bool,
        read_only: bool,
        refresh_every: Option<f64>,
        sync: bool,
        server_address: &str,
        cache_size: Option<Bytes>,
        memory_table_limit: Option<Bytes>,
        query_memory_limit: Option<Bytes>,
        embedder: Option<&Bound<'_, PyAny>>,
        object_store_options: Option<StoreOptions>,
        flush_interval: Option<f64>,
        object_store_retries: Option<Retries>,
    ) -> PyResult<Self> {
        let path = path.into_path();
        let opening = Opening {
            tenant,
            namespace,
            create_if_missing,
            read_only,
            refresh_every,
            sync,
            server_address,
            cache_size,
            memory_table_limit,
            query_memory_limit,
            embedder,
            object_store_options,
            flush_interval,
            object_store_retries,
        };
        let follower = opening.open(py, &path)?;
        let database = follower.last();
        let path = database.storage().path().to_owned();
        let shared = Closable::new(follower, path);
        at_exit::remember(&shared, &database);
        Ok(Self {
            shared,
            tenant: tenant.to_owned(),
        })
    }

    /// The directory as a `pathlib.Path`, or the URL as a `str`.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let path = self.shared.path();
        if is_url(path) {
            path.as_os_str().into_bound_py_any(py)
        } else {
            path.into_bound_py_any(py)
        }
    }

    /// The tenant whose entities this handle reads and writes.
    #[getter]
    fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The name of the database in telemetry.
    ///
    /// Raises:
    ///     ClosedError: The database is closed.
    #[getter]
    fn namespace(&self) -> PyResult<String> {
        Ok(self.shared.database()?.storage().namespace().to_owned())
    }

    /// The engine of the database, `db.system.name` in telemetry: `"rocksdb"` in a directory,
    /// `"slatedb"` on an object store.
    ///
    /// Raises:
    ///     ClosedError: The database is closed.
    #[getter]
    fn system(&self) -> PyResult<&'static str> {
        Ok(self.shared.database()?.storage().system())
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Show the current state of the database to a handle that was opened with `read_only=True`.
    ///
    /// A read-only handle keeps the tables and entities that it found when it was opened, also if
    /// another process writes. This opens the database again and replaces the handle's state.
    /// Running calls finish with the old state. Does nothing for a handle that can write,
    /// because it is current. A handle of `for_tenant` is refreshed by its own `refresh`. With
    /// `refresh_every`, the next interval begins.
    ///
    /// Raises:
    ///     OpenError, UnavailableError: The database cannot be opened. The handle keeps its state.
    #[pyo3(signature = (*, trace_context = None))]
    fn refresh(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<()> {
        self.shared.refresh(py, trace_context)
    }

    /// Return a handle on the same database for another tenant.
    ///
    /// The files are closed with the last handle.
    fn for_tenant(&self, py: Python<'_>, tenant: String) -> PyResult<Self> {
        let shared = self
            .shared
            .derived(py, |follower| follower.for_tenant(&tenant))?;
        Ok(Self { shared, tenant })
    }

    /// Return a handle on the same database that skips entities that cannot be decoded.
    ///
    /// They are skipped by `scan`, `find`, `count`, searches and SQL. Other handles raise a
    /// `CorruptionError` that names the entity. `delete` and `purge` remove such an entity,
    /// `upsert` replaces it, and `verify_indexes` names all of them.
    fn skip_malformed(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            shared: self.shared.derived(py, Follower::skip_malformed)?,
            tenant: self.tenant.clone(),
        })
    }

    /// Make everything written so far durable, close the handle and release the directory.
    ///
    /// New calls raise a `ClosedError` from now on. Running queries, searches and jobs are ended
    /// and raise a `ClosedError`; other calls are waited for, and so are submitted tasks, up to ten
    /// seconds. A call that closes its own database, in a function that it calls, is not waited
    /// for: the directory is released when it ends. Closing again does nothing.
    ///
    /// Args:
    ///     timeout: The longest time in seconds. By default, calls are waited for without a limit,
    ///         and the engine for a minute.
    ///
    /// Raises:
    ///     KeyboardInterrupt: Ctrl-C ends the waiting.
    ///     OperationTimeoutError: The timeout has passed. Closing continues, and submitted tasks
    ///         that were not finished are abandoned. The directory is locked until the calls have
    ///         ended and the engine has closed the files. With the `error_type` `CloseTimeout`, the
    ///         last writes may not be durable.
    #[pyo3(signature = (*, timeout = None))]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.shared.close(py, timeout)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().shared.begin(None)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py, None)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!(
            "Database({:?}, tenant={:?}{state})",
            self.shared.path().display().to_string(),
            self.tenant
        )
    }

    // ---- tables ----

    /// Register or change the schema of a table.
    ///
    /// The schema is a JSON Schema with four more keywords: `key_field` (the field whose value
    /// determines the id), `indexed_fields` (fields that `find` can search), `embedding_fields` (text
    /// that `search` can search) and `embed` (when the text is embedded: `"queued"`, the default, by
    /// `generate_embeddings`; `"on_write"`, by each write, which fails if the embedder fails). It can be
    /// nested up to 100 levels.
    ///
    /// If the rules for entities change, all entities of the table are checked. Those that do not
    /// match stay as they are; the next write of each must match.
    ///
    /// Returns:
    ///     `None` if all entities match. Otherwise `checked`, the number of entities that were
    ///     checked; `mismatched`, the number of those that do not match; and `examples`, the first
    ///     100 of these, each with `_id`, `key` and `reason`.
    ///
    /// Raises:
    ///     SchemaError: The schema is not valid.
    ///     TypeError, ValueError: The schema cannot be represented in JSON, or is nested too deeply.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "on_write") as db:
    ///     ...     db.register_schema("articles", {"embedding_fields": ["body"], "embed": "on_write"})
    ///     ...     id = db.insert("articles", {"body": "water in porous rock"})
    ///     ...     [(entity, distance)] = db.search("articles", "rock and water")
    ///     ...     entity["body"]
    ///     'water in porous rock'
    #[pyo3(signature = (table, schema, *, trace_context = None))]
    fn register_schema<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        schema: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let schema = to_json(schema)?;
        let change = self.shared.work(py, trace_context, |database| {
            database.register_schema(table, &schema)
        })?;
        (change.mismatched > 0)
            .then(|| change_dict(py, &change))
            .transpose()
    }

    /// Remove a table: its schema, its entities, and everything derived from them.
    ///
    /// It is one write, however large the table is. The disk space is freed by compactions.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn drop_table(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.shared
            .work(py, trace_context, |database| database.drop_table(table))
    }

    /// Return the schema of a table as it was registered.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    ///     CorruptionError: The stored schema cannot be read.
    fn schema<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Bound<'py, PyAny>> {
        let schema = self
            .shared
            .work(py, None, |database| database.schema(table))?;
        to_python(py, schema.source())
    }

    /// Return the names of the tables, sorted. They include the `unusable_tables`.
    fn tables(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.shared.work(py, None, |database| Ok(database.tables()))
    }

    /// Return the tables whose stored schemas cannot be read, with the reasons.
    ///
    /// Their operations raise a `CorruptionError` until a schema with the same key field is
    /// registered. Other tables are not affected.
    fn unusable_tables(&self, py: Python<'_>) -> PyResult<BTreeMap<String, String>> {
        let tables = self
            .shared
            .work(py, None, |database| Ok(database.unusable_tables()))?;
        Ok(tables
            .into_iter()
            .map(|(table, reason)| (table, reason.to_string()))
            .collect())
    }

    /// Return a table whose entities are instances of a class: a Pydantic model or a dataclass. Its
    /// schema is registered, unless it is already.
    ///
    /// Args:
    ///     name: The name of the table.
    ///     model: The class. The fields of a dataclass can have the types `str`, `int`, `float`,
    ///         `bool`, `datetime`, `date`, `time`, `timedelta`, `UUID`, `Decimal`, enums, literals,
    ///         dataclasses, and lists, tuples with any number of values of one type
    ///         (`tuple[int, ...]`), dicts with text as keys, and optional values of these.
    ///     key_field, indexed_fields, embedding_fields: The fields of the model that are these
    ///         keywords of the schema. By default those in the schema of the model, which a Pydantic
    ///         model sets with `json_schema_extra`.
    ///     embed: When texts are embedded, as `embed` of `register_schema`.
    ///     id_field, created_at_field, updated_at_field: Fields of the model that hold `_id`,
    ///         `_created_at` and `_updated_at` when an instance is read. They are not stored. An id
    ///         that is not `None` names the entity when the instance is written, the times are
    ///         ignored.
    ///
    /// Raises:
    ///     SchemaError: The schema cannot be registered.
    ///     TypeError: The model is of another kind, or a field has a type without a JSON form.
    ///     ValueError: The model has no field of a given name.
    ///
    /// Examples:
    ///     >>> from dataclasses import dataclass
    ///     >>> @dataclass
    ///     ... class Article:
    ///     ...     slug: str
    ///     ...     year: int | None = None
    ///     >>> with Database(tmp_path / "typed") as db:
    ///     ...     articles = db.table("articles", Article, key_field="slug")
    ///     ...     id = articles.insert(Article("percolation", 1957))
    ///     ...     articles.get(key="percolation"), articles.where("year < $1", [1950])
    ///     (Article(slug='percolation', year=1957), [])
    #[pyo3(signature = (
        name, model, *, key_field = None, indexed_fields = None, embedding_fields = None, embed = None,
        id_field = None, created_at_field = None, updated_at_field = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn table<'py>(
        slf: Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        model: &Bound<'py, PyAny>,
        key_field: Option<Bound<'py, PyAny>>,
        indexed_fields: Option<Bound<'py, PyAny>>,
        embedding_fields: Option<Bound<'py, PyAny>>,
        embed: Option<Bound<'py, PyAny>>,
        id_field: Option<Bound<'py, PyAny>>,
        created_at_field: Option<Bound<'py, PyAny>>,
        updated_at_field: Option<Bound<'py, PyAny>>,
        trace_context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let tables = slf.py().import("percolate_rocks._tables")?;
        let fields = (
            key_field,
            indexed_fields,
            embedding_fields,
            id_field,
            created_at_field,
            updated_at_field,
            embed,
        );
        let fields = tables.getattr("Fields")?.call1(fields)?;
        tables
            .getattr("Table")?
            .call1((slf, name, model, fields, trace_context))
    }

    // ---- entities ----

    /// Insert an entity and return its id. With a key field, the same key always has the same id.
    ///
    /// A dict that was read can be written back with `insert`, `upsert` and `update`: `_id` names
    /// the entity, `_created_at` and `_updated_at` are ignored. So can a row of an export with vectors:
    /// `_vectors` are vectors as those of the argument, which take precedence, and `_embedded_by` names
    /// the embedder of those that were not supplied.
    ///
    /// Args:
    ///     data: A mapping, a dataclass or a Pydantic model. Dates, UUIDs, decimals, enums and numpy
    ///         values in it are stored in their JSON form, and read in it.
    ///     vectors: Vectors of embedded fields, from a model that runs elsewhere: a mapping from their
    ///         names to sequences of numbers. They are stored in the same atomic write, and stay while
    ///         the texts of the fields stay the same. `None` for a field removes its vector, and the
    ///         embedder computes it.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    ///     ExistsError: The table already holds an entity with this key or `_id`.
    ///     EntityError: The data does not match the schema, or its `_id` belongs to another key.
    ///     NotEmbeddedError: A field of `vectors` is not embedded.
    ///     EmbeddingError: A vector does not have the embedder's dimensions, is all zeros, or contains
    ///         NaN or an infinity; or the table embeds on write, and the embedder failed.
    ///     TypeError, ValueError: The data cannot be represented in JSON, or is nested deeper than 100
    ///         levels.
    ///
    /// Examples:
    ///     >>> class Elsewhere:
    ///     ...     name, dimensions = "elsewhere", 3
    ///     ...     def embed(self, texts):
    ///     ...         raise RuntimeError("the model runs elsewhere")
    ///     >>> with Database(tmp_path / "vectors", embedder=Elsewhere()) as db:
    ///     ...     db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body"]})
    ///     ...     id = db.insert("articles", {"slug": "a", "body": "stone"}, vectors={"body": [0.1, 0.9, 0.0]})
    ///     ...     [(entity, distance)] = db.search_vector("articles", [0.1, 0.9, 0.0])
    ///     ...     entity["slug"], round(distance, 3)
    ///     ('a', 0.0)
    #[pyo3(signature = (table, data, *, vectors = None, trace_context = None))]
    fn insert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        vectors: Option<GivenVectors>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        let data = self.data(table, None, data)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        self.shared
            .work(py, trace_context, |database| {
                database.insert_with_vectors(table, &data, &vectors)
            })
            .map(|id| id.to_string())
    }

    /// Insert an entity as `insert` does, with the trace context as the third argument.
    ///
    /// Args:
    ///     trace_context: A `TraceContext`, a mapping of headers, or `None`.
    #[pyo3(signature = (table, data, trace_context = None))]
    fn insert_with_trace(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        self.insert(py, table, data, None, trace_context)
    }

    /// Insert an entity, or replace the data of the one with the same key. Return its id.
    ///
    /// Without a key field, the `_id` in the data names the entity.
    ///
    /// Args:
    ///     vectors: Vectors of embedded fields, as for `insert`.
    ///
    /// Raises:
    ///     NoKeyError: The table has no key field, and the data has no `_id`.
    ///     EntityError: The data does not match the schema, or its `_id` belongs to another key.
    ///     NotEmbeddedError, EmbeddingError: A vector is refused, as for `insert`.
    #[pyo3(signature = (table, data, *, vectors = None, trace_context = None))]
    fn upsert(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        vectors: Option<GivenVectors>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<String> {
        let data = self.data(table, None, data)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        self.shared
            .work(py, trace_context, |database| {
                database.upsert_with_vectors(table, &data, &vectors)
            })
            .map(|id| id.to_string())
    }

    /// Insert several entities, all or none. Return their ids in order.
    ///
    /// Args:
    ///     vectors: The vectors of each entity, as for `insert`, or `None` for an entity without.
    ///
    /// Raises:
    ///     ExistsError, EntityError, NotEmbeddedError, EmbeddingError, TypeError, ValueError: As for
    ///         `insert`. The message names the entity by its index and its key.
    #[pyo3(signature = (table, data, *, vectors = None, trace_context = None))]
    fn insert_many(
        &self,
        py: Python<'_>,
        table: &str,
        data: &Bound<'_, PyAny>,
        vectors: Option<&Bound<'_, PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Vec<String>> {
        let data = data
            .try_iter()?
            .enumerate()
            .map(|(index, data)| self.data(table, Some(index), &data?))
            .collect::<PyResult<Vec<_>>>()?;
        let vectors = vectors_of_each(vectors, data.len())?;
        let ids = self
            .shared
            .work(py, trace_context, |database| match vectors {
                None => database.insert_batch(table, &data),
                Some(vectors) => {
                    let entities: Vec<_> = data.into_iter().zip(vectors).collect();
                    database.insert_batch_with_vectors(table, &entities)
                }
            })?;
        Ok(ids.iter().map(ToString::to_string).collect())
    }

    /// Set the fields in `changes` and return the changed entity.
    ///
    /// `None` is stored if the schema names null among the types of the field. Otherwise it removes
    /// the field.
    ///
    /// Args:
    ///     id: The id of the entity.
    ///     changes: The new values of fields.
    ///     key: The value of the key field, instead of the id.
    ///     if_unchanged_since: The `_updated_at` of the entity when it was read.
    ///     vectors: Vectors of embedded fields, as for `insert`.
    ///
    /// Raises:
    ///     NotFoundError: The entity does not exist.
    ///     ConflictError: The entity was written after `if_unchanged_since`.
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     EntityError: The result does not match the schema, or `changes` has the `_id` of another
    ///         entity.
    ///     NotEmbeddedError, EmbeddingError: A vector is refused, as for `insert`.
    ///     TypeError: Neither an id nor a key was given, or both, or no changes.
    #[pyo3(signature = (
        table, id = None, changes = None, *, key = None, if_unchanged_since = None, vectors = None,
        trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments in Python"
    )]
    fn update<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        id: Option<Id>,
        changes: Option<&Bound<'py, PyAny>>,
        key: Option<Key>,
        if_unchanged_since: Option<Seen>,
        vectors: Option<GivenVectors>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = Name::new(id, key)?;
        let changes = changes.ok_or_else(|| PyTypeError::new_err("pass the changes"))?;
        let changes = self.data(table, None, changes)?;
        let GivenVectors(vectors) = vectors.unwrap_or_default();
        let seen = if_unchanged_since.map(|Seen(at)| at);
        let entity = self.shared.work(py, trace_context, |database| {
            let entity = database.update_with_vectors(table, &name, &changes, &vectors, seen);
            entity.map(Entity::into_json)
        })?;
        to_python(py, &entity)
    }

    /// Return the entity with this id or key, or `None`.
    ///
    /// The dict holds the data and `_id`, `_created_at` and `_updated_at`, in alphabetical order.
    /// Values have JSON types: a stored `datetime` is read as `str`.
    ///
    /// Raises:
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     TypeError: Neither an id nor a key was given, or both.
    #[pyo3(signature = (table, id = None, *, key = None, trace_context = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        id: Option<Id>,
        key: Option<Key>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = Name::new(id, key)?;
        let entity = self
            .shared
            .work(py, trace_context, |database| database.get(table, &name))?;
        entity
            .map(|entity| to_python(py, &entity.into_json()))
            .transpose()
    }

    /// Return the entities with these ids or keys, in the same order, with `None` for each missing
    /// one.
    ///
    /// Raises:
    ///     NoKeyError: Keys were given, and the table has no key field.
    ///     TypeError: Neither ids nor keys were given, or both.
    #[pyo3(signature = (table, ids = None, *, keys = None, trace_context = None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        ids: Option<&Bound<'py, PyAny>>,
        keys: Option<&Bound<'py, PyAny>>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        let names = Name::several(ids, keys)?;
        let entities = self.shared.work(py, trace_context, |database| {
            database.get_batch(table, &names)
        })?;
        let list = PyList::empty(py);
        for entity in entities {
            list.append(
                entity
                    .map(|entity| to_python(py, &entity.into_json()))
                    .transpose()?,
            )?;
        }
        Ok(list)
    }

    /// Return the entity whose key field has the value `key`, or `None`.
    ///
    /// Raises:
    ///     NoKeyError: The table has no key field.
    #[pyo3(signature = (table, key, *, trace_context = None))]
    fn lookup<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        key: Key,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let entity = self
            .shared
            .work(py, trace_context, |database| database.lookup(table, &key.0))?;
        entity
            .map(|entity| to_python(py, &entity.into_json()))
            .transpose()
    }

    /// Return the entities whose indexed field equals `value` or is within bounds, ordered by that
    /// field.
    ///
    /// Args:
    ///     value: The value of the field. Omit it to pass bounds.
    ///     ge, gt: The lower bound, inclusive or exclusive.
    ///     le, lt: The upper bound, inclusive or exclusive.
    ///
    /// Raises:
    ///     NotIndexedError: The schema does not list the field in `indexed_fields`.
    ///     TypeError: Neither a value nor bounds were given, or both, or two bounds on one side.
    #[pyo3(signature = (
        table, field, value = Given(None), *, ge = Given(None), gt = Given(None), le = Given(None), lt = Given(None),
        trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
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
        let entities = self.shared.work(py, trace_context, |database| {
            database.find(table, field, range)
        })?;
        let list = PyList::empty(py);
        for entity in entities {
            list.append(to_python(py, &entity.into_json())?)?;
        }
        Ok(list)
    }

    /// Return an iterator over the entities of a table, in the order of their ids.
    ///
    /// Args:
    ///     page_size: The number of entities to read at a time.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    #[pyo3(signature = (table, *, page_size = 256, trace_context = None))]
    fn scan(
        slf: Bound<'_, Self>,
        table: String,
        #[pyo3(from_py_with = arguments::page_size)] page_size: usize,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<EntityIterator> {
        let parent = parent(slf.py(), trace_context)?;
        slf.get()
            .shared
            .work(slf.py(), None, |database| database.schema(&table).map(drop))?;
        let database = Arc::clone(&slf.get().shared);
        Ok(EntityIterator::new(database, table, page_size, parent))
    }

    /// Return the number of entities in a table.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn count(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        self.shared
            .work(py, trace_context, |database| database.count(table))
    }

    /// Change the fields of all entities of a table that match a condition. Return their number.
    ///
    /// Up to 10,000 entities are changed in one atomic write, more of them in writes of 10,000. No
    /// entity is changed that does not match the condition at the moment of the write.
    ///
    /// Args:
    ///     where: The text after WHERE of a `query`, with `$1`, `$2` and so on for values. `"true"`
    ///         matches all.
    ///     changes: The new values of fields, as for `update`.
    ///     params: The values of the placeholders.
    ///     timeout: The longest time in seconds. Writes that were made before are kept, and one that
    ///         has begun is finished in the background.
    ///
    /// Raises:
    ///     QueryError: The condition is invalid.
    ///     EntityError: The result does not match the schema. Earlier writes of 10,000 are kept.
    ///     ConflictError: Others kept changing the same entities.
    ///     OperationTimeoutError: The timeout has passed.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "where") as db:
    ///     ...     fields = {"year": {"type": "integer"}, "archived": {"type": "boolean"}}
    ///     ...     db.register_schema("articles", {"properties": fields})
    ///     ...     ids = db.insert_many("articles", [{"year": 1957}, {"year": 1958}, {"year": 2024}])
    ///     ...     db.update_where("articles", "year < $1", {"archived": True}, [2000])
    ///     ...     db.delete_where("articles", "archived")
    ///     2
    ///     2
    #[pyo3(signature = (table, r#where, changes, params = None, *, timeout = None, trace_context = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments in Python"
    )]
    fn update_where(
        &self,
        py: Python<'_>,
        table: String,
        r#where: String,
        changes: &Bound<'_, PyAny>,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        let changes = self.data(&table, None, changes)?;
        let params = query::parameters(params)?;
        let stop = Stop::of_call(timeout)?;
        let work = move |database: Database| async move {
            database
                .update_where(&table, &r#where, &params, &changes)
                .await
        };
        self.shared.long_future(py, trace_context, &stop, work)
    }

    /// Mark all entities of a table that match a condition as deleted. Return their number. The
    /// arguments and exceptions are those of `update_where`.
    #[pyo3(signature = (table, r#where, params = None, *, timeout = None, trace_context = None))]
    fn delete_where(
        &self,
        py: Python<'_>,
        table: String,
        r#where: String,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        let params = query::parameters(params)?;
        let stop = Stop::of_call(timeout)?;
        let work = move |database: Database| async move {
            database.delete_where(&table, &r#where, &params).await
        };
        self.shared.long_future(py, trace_context, &stop, work)
    }

    /// Create an empty batch: writes to any tables that are committed together, or not at all.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "batch") as db:
    ///     ...     db.register_schema("articles", {"key_field": "slug"})
    ///     ...     db.register_schema("authors", {"key_field": "name"})
    ///     ...     with db.batch() as batch:
    ///     ...         _ = batch.insert("authors", {"name": "hammersley", "articles": 1})
    ///     ...         _ = batch.insert("articles", {"slug": "percolation"})
    ///     ...     db.count("articles")
    ///     1
    fn batch(slf: Bound<'_, Self>) -> PyResult<PyBatch> {
        PyBatch::new(slf)
    }

    /// Mark an entity, named by id or key, as deleted, so that no read returns it. Return `True` if
    /// it existed.
    ///
    /// Args:
    ///     id: The id of the entity.
    ///     key: The value of the key field, instead of the id.
    ///     if_unchanged_since: The `_updated_at` of the entity when it was read.
    ///
    /// Raises:
    ///     ConflictError: The entity was written after `if_unchanged_since`.
    ///     NotFoundError: `if_unchanged_since` was given, and the entity does not exist.
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     TypeError: Neither an id nor a key was given, or both.
    #[pyo3(signature = (table, id = None, *, key = None, if_unchanged_since = None, trace_context = None))]
    fn delete(
        &self,
        py: Python<'_>,
        table: &str,
        id: Option<Id>,
        key: Option<Key>,
        if_unchanged_since: Option<Seen>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<bool> {
        let name = Name::new(id, key)?;
        self.shared
            .work(py, trace_context, |database| match if_unchanged_since {
                Some(Seen(at)) => database
                    .delete_if_unchanged(table, &name, at)
                    .map(|()| true),
                None => database.delete(table, &name),
            })
    }

    /// Remove an entity, named by id or key, deleted or not, from the store. Return `True` if it
    /// existed.
    ///
    /// Raises:
    ///     NoKeyError: A key was given, and the table has no key field.
    ///     TypeError: Neither an id nor a key was given, or both.
    #[pyo3(signature = (table, id = None, *, key = None, trace_context = None))]
    fn purge(
        &self,
        py: Python<'_>,
        table: &str,
        id: Option<Id>,
        key: Option<Key>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<bool> {
        let name = Name::new(id, key)?;
        self.shared
            .work(py, trace_context, |database| database.purge(table, &name))
    }

    // ---- import and export ----

    /// Import lines of JSON (JSONL, NDJSON), each with one object, in batches. Return a report.
    ///
    /// `_id`, `_created_at` and `_updated_at` of a row are those of the entity, so that an import of
    /// what `export_jsonl` wrote restores the same entities. With a key field, the id is that of the
    /// key. A replaced entity gets a later `_updated_at` than it has. `_vectors` and `_embedded_by`, of
    /// an export with `vectors=True`, are its vectors, which must fit the embedder of the database.
    ///
    /// Args:
    ///     source: A path, or an iterable of rows: an open file or other lines as `str` or `bytes`,
    ///         or data as for `insert`. The call uses the iterable on its own thread.
    ///     on_error: With `"abort"`, all rows are checked before the first one is written, and if one
    ///         is refused, none is written. A file is read twice. The rows of another source are
    ///         kept, above 8 MiB in a temporary file without a name. With `"skip"`, the other rows
    ///         are written.
    ///     existing: What happens with rows whose entities exist: they are refused (`"error"`),
    ///         replace the data of the entities (`"replace"`), or are ignored (`"skip"`).
    ///     batch_size: The number of rows that are written together, atomically. A batch also ends
    ///         when its lines have 8 MiB.
    ///     max_line_length: The bytes of the longest line. Longer ones are refused. The default is
    ///         16 MiB.
    ///     ignore_vectors: Ignore the vectors of the rows. The texts are embedded again.
    ///     on_progress: Called after each batch with the number of rows read so far; with `"abort"`,
    ///         once while they are checked, and again while they are written. An exception ends the
    ///         import and is raised here. The `Progress` is a number with `total` and `seconds`.
    ///     progress: Show a bar of tqdm on standard error.
    ///     timeout: The longest time in seconds. It also ends waiting for a pipe at a path, but not a
    ///         `read` of a Python file or an iterable that blocks.
    ///
    /// Returns:
    ///     The numbers of `rows`, of rows that were `written`, that left an existing entity
    ///     `unchanged`, and that were `refused`; and in `errors` the first 100 of these, each with
    ///     its `line`, from 1, and the `reason`.
    ///
    /// Raises:
    ///     RowsRefusedError: Rows were refused. The exception has the `report`. Nothing was written,
    ///         unless another thread wrote the same entities after the check: `written` counts the
    ///         rows before.
    ///     OSError: The file cannot be read.
    ///     TypeError: The source is not a path and not an iterable of rows.
    ///     OperationTimeoutError: The timeout has passed. Batches that were written stay.
    ///     KeyboardInterrupt: Ctrl-C ends the import after the current batch. Batches that were
    ///         written stay. From Python 3.11 on, a note has the number of their rows.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "import") as db:
    ///     ...     db.register_schema("articles", {"key_field": "slug"})
    ///     ...     lines = '{"slug": "percolation"}', '{"slug": }', '{"slug": "clusters"}'
    ///     ...     report = db.import_jsonl("articles", lines, on_error="skip")
    ///     >>> report.get("written"), report.get("errors")
    ///     (2, [{'line': 2, 'reason': 'invalid JSON at column 10: expected value'}])
    #[pyo3(signature = (
        table, source, *, on_error = "abort", existing = "error", batch_size = 1000,
        max_line_length = None, ignore_vectors = false, on_progress = None, progress = false, timeout = None,
        trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn import_jsonl<'py>(
        &self,
        table: &str,
        source: &Bound<'py, PyAny>,
        on_error: &str,
        existing: &str,
        #[pyo3(from_py_with = arguments::batch_size)] batch_size: usize,
        max_line_length: Option<Bytes>,
        ignore_vectors: bool,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let arguments = ImportArguments {
            on_error,
            existing,
            batch_size,
            max_line_length: max_line_length.map(|Bytes(bytes)| bytes),
            ignore_vectors,
        };
        let call = Call {
            on_progress,
            progress,
            timeout,
            trace_context,
        };
        transfer::import_jsonl(&self.shared, table, source, &arguments, call)
    }

    /// Insert the rows of Arrow data, in batches, and return a report.
    ///
    /// Each column is a field; `_id`, `_created_at`, `_updated_at`, `_vectors` and `_embedded_by` are the
    /// system fields, the last two as structs, as `export_parquet` writes them. Values have the form
    /// that `insert` gives the same Python values: dates, times and durations are text of ISO 8601, a
    /// decimal is text where the schema allows only text. Text in a column whose field cannot be text
    /// is JSON, as in the result of a query. A null is stored if the schema names null among the types
    /// of the field; otherwise the field is left out. A row with a float that is not finite is refused.
    ///
    /// Args:
    ///     data: A table, a frame, a batch or a stream of batches with Arrow's PyCapsule interface,
    ///         as pyarrow, polars, pandas 3 and `query_arrow` have. It is read once.
    ///     on_error, existing, batch_size, ignore_vectors, on_progress, progress, timeout: As for
    ///         `import_jsonl`.
    ///
    /// Returns:
    ///     The report of `import_jsonl`, with the number of the row as the `line`.
    ///
    /// Raises:
    ///     RowsRefusedError: Rows were refused, as in `import_jsonl`.
    ///     TypeError: The data has no Arrow interface, two columns of the same name, or a column of a
    ///         type that JSON cannot hold, such as bytes.
    ///     ValueError: The data is not of rows.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "arrow_in") as db:
    ///     ...     fields = {"slug": {"type": "string"}, "year": {"type": "integer"}}
    ///     ...     db.register_schema("articles", {"properties": fields, "key_field": "slug"})
    ///     ...     db.register_schema("old", {"properties": fields, "key_field": "slug"})
    ///     ...     id = db.insert("articles", {"slug": "percolation", "year": 1957})
    ///     ...     result = db.query_arrow("SELECT slug, year FROM articles WHERE year < 1960")
    ///     ...     report = db.insert_arrow("old", result)
    ///     ...     report.get("written"), db.count("old")
    ///     (1, 1)
    #[pyo3(signature = (
        table, data, *, on_error = "abort", existing = "error", batch_size = 1000, ignore_vectors = false,
        on_progress = None, progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn insert_arrow<'py>(
        &self,
        table: &str,
        data: &Bound<'py, PyAny>,
        on_error: &str,
        existing: &str,
        #[pyo3(from_py_with = arguments::batch_size)] batch_size: usize,
        ignore_vectors: bool,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let arguments = ImportArguments {
            on_error,
            existing,
            batch_size,
            max_line_length: None,
            ignore_vectors,
        };
        let call = Call {
            on_progress,
            progress,
            timeout,
            trace_context,
        };
        transfer::insert_arrow(&self.shared, table, data, &arguments, call)
    }

    /// Write the entities of a table as lines of JSON, ordered by id. Return their number.
    ///
    /// The export reads one snapshot. Each line has the data and `_id`, `_created_at` and
    /// `_updated_at`. With `vectors`, it also has `_vectors`, an object from the embedded fields to arrays
    /// of numbers, without fields that have no vector, and `_embedded_by`, an object from those fields
    /// whose vectors were not supplied to the name of the embedder. `import_jsonl` restores the vectors.
    ///
    /// Args:
    ///     target: A path, or an open file: any object whose `write` takes `bytes` or `str`. The file
    ///         at a path is replaced once the export is complete and on the disk.
    ///     vectors: Export the vectors too. The embedder of the database must be that of the vectors.
    ///     on_progress: Called after every 1000 entities, and at the end, with the number of entities
    ///         written so far. An exception ends the export and is raised here.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Raises:
    ///     OSError: The file cannot be written.
    ///     CorruptionError: An entity cannot be decoded. A handle of `skip_malformed` leaves it out.
    ///     EmbeddingError: A vector to export has another length than those of the embedder.
    ///     OperationTimeoutError: The timeout has passed.
    ///
    /// Examples:
    ///     >>> import io
    ///     >>> file = io.StringIO()
    ///     >>> with Database(tmp_path / "export") as db:
    ///     ...     db.register_schema("articles", {"key_field": "slug"})
    ///     ...     id = db.insert("articles", {"slug": "percolation"})
    ///     ...     db.export_jsonl("articles", file)
    ///     1
    ///     >>> file.getvalue()
    ///     '{"_created_at":"...","_id":"...","_updated_at":"...","slug":"percolation"}\n'
    #[pyo3(signature = (
        table, target, *, vectors = false, on_progress = None, progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn export_jsonl(
        &self,
        table: &str,
        target: &Bound<'_, PyAny>,
        vectors: bool,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        let call = Call {
            on_progress,
            progress,
            timeout,
            trace_context,
        };
        transfer::export_jsonl(&self.shared, table, target, vectors, call)
    }

    /// Pass the entities of a table to a function, in batches of the type that `query_arrow` returns.
    #[pyo3(signature = (
        table, write, *, vectors = false, on_progress = None, progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn _export_arrow(
        &self,
        table: &str,
        write: &Bound<'_, PyAny>,
        vectors: bool,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        let call = Call {
            on_progress,
            progress,
            timeout,
            trace_context,
        };
        transfer::export_arrow(
            write.py(),
            &self.shared,
            table,
            write.clone().unbind(),
            vectors,
            call,
        )
    }

    /// Import a Parquet file, as `insert_arrow` inserts its rows. Return the report. Needs pyarrow.
    ///
    /// The file is read piece by piece.
    ///
    /// Args:
    ///     path: The file.
    ///     on_error, existing, batch_size, ignore_vectors, on_progress, progress, timeout: As for
    ///         `import_jsonl`.
    ///
    /// Raises:
    ///     ImportError: pyarrow is not installed, or tqdm for `progress`.
    ///     OSError: The file cannot be read.
    ///     ValueError: The file is not a Parquet file.
    ///     RowsRefusedError, TypeError: As for `insert_arrow`.
    #[pyo3(signature = (
        table, path, *, on_error = "abort", existing = "error", batch_size = 1000, ignore_vectors = false,
        on_progress = None, progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn import_parquet<'py>(
        slf: Bound<'py, Self>,
        table: &str,
        path: Bound<'py, PyAny>,
        on_error: &str,
        existing: &str,
        #[pyo3(from_py_with = arguments::batch_size)] batch_size: usize,
        ignore_vectors: bool,
        on_progress: Option<Bound<'py, PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let options = PyDict::new(py);
        options.set_item("on_error", on_error)?;
        options.set_item("existing", existing)?;
        options.set_item("batch_size", batch_size)?;
        options.set_item("ignore_vectors", ignore_vectors)?;
        options.set_item("on_progress", on_progress)?;
        options.set_item("progress", progress)?;
        options.set_item("timeout", timeout)?;
        options.set_item("trace_context", trace_context)?;
        py.import("percolate_rocks._parquet")?.call_method(
            "import_parquet",
            (slf, table, path),
            Some(&options),
        )
    }

    /// Write the entities of a table to a Parquet file, ordered by id. Return their number. Needs
    /// pyarrow.
    ///
    /// The columns are those of `SELECT *`. Fields that the schema does not list are not in the file,
    /// values that do not match it are null, and a field that may have any type is text;
    /// `export_jsonl` writes everything. The export reads one snapshot.
    ///
    /// Args:
    ///     path: The file. It is replaced once the export is complete and on the disk.
    ///     vectors: Export the vectors too, as for `export_jsonl`: `_vectors` and `_embedded_by` are
    ///         columns of structs, with lists of 32-bit floats of one length.
    ///     on_progress: Called after each batch of up to 65,536 entities with the number of entities
    ///         written so far. An exception ends the export and is raised here.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Raises:
    ///     ImportError: pyarrow is not installed, or tqdm for `progress`.
    ///     OSError: The file cannot be written.
    ///     ValueError: The schema has no properties.
    ///     EmbeddingError: A vector to export has another length than those of the embedder.
    #[pyo3(signature = (
        table, path, *, vectors = false, on_progress = None, progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn export_parquet<'py>(
        slf: Bound<'py, Self>,
        table: &str,
        path: Bound<'py, PyAny>,
        vectors: bool,
        on_progress: Option<Bound<'py, PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let options = PyDict::new(py);
        options.set_item("vectors", vectors)?;
        options.set_item("on_progress", on_progress)?;
        options.set_item("progress", progress)?;
        options.set_item("timeout", timeout)?;
        options.set_item("trace_context", trace_context)?;
        py.import("percolate_rocks._parquet")?.call_method(
            "export_parquet",
            (slf, table, path),
            Some(&options),
        )
    }

    // ---- search ----

    /// Compute the missing vectors of a table. Ctrl-C and the timeout stop the job; finished vectors
    /// are kept.
    ///
    /// Args:
    ///     on_progress: Called after each page of up to 256 entities with the `Progress`; `total` is the
    ///         number of entities to embed. An exception ends the job and is raised here.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     How many entities were `embedded`, how many are `waiting` for another attempt, and how many
    ///     were set aside (`refused`) because the embedder has no vector for one of their texts while
    ///     it embedded others. `embedding_status` lists these.
    ///
    /// Raises:
    ///     EmbeddingError: The embedder failed. An exception raised in it is the cause.
    ///     OperationTimeoutError: The timeout has passed.
    #[pyo3(signature = (table, *, on_progress = None, progress = false, timeout = None, trace_context = None))]
    fn generate_embeddings<'py>(
        &self,
        py: Python<'py>,
        table: String,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let stop = Stop::of_call(timeout)?;
        let (_bar, on_progress) = Bar::show(py, progress, on_progress)?;
        let function = on_progress
            .map(|function| Callback::new(py, "on_progress", function, &stop))
            .transpose()?;
        let mine = function.clone();
        let work = move |database: Database| async move {
            match mine {
                Some(function) => {
                    let report = move |progress| function.report(progress);
                    database.generate_embeddings_with(&table, report).await
                }
                None => database.generate_embeddings(&table).await,
            }
        };
        let report = self.shared.long_future(py, trace_context, &stop, work);
        if let Some(error) = function.and_then(|function| function.take_error()) {
            return Err(error);
        }
        let report = report?;
        let dict = PyDict::new(py);
        dict.set_item("embedded", report.embedded)?;
        dict.set_item("waiting", report.waiting)?;
        dict.set_item("refused", report.refused)?;
        Ok(dict)
    }

    /// Return the state of the vectors of a table.
    ///
    /// Returns:
    ///     `waiting`, the number of entities that the next run embeds, and `refused`, a list of the
    ///     texts that were set aside, each a dict with `id`, `field` and `reason`.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn embedding_status<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let status = self.shared.work(py, trace_context, |database| {
            database.embedding_status(table)
        })?;
        let refused = PyList::empty(py);
        for field in status.refused {
            let entry = PyDict::new(py);
            entry.set_item("id", field.id.to_string())?;
            entry.set_item("field", field.field)?;
            entry.set_item("reason", field.reason)?;
            refused.append(entry)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("waiting", status.waiting)?;
        dict.set_item("refused", refused)?;
        Ok(dict)
    }

    /// Mark the entities that were set aside for embedding, for example after the embedder was
    /// repaired. Return their number.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn retry_refused_embeddings(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        self.shared.work(py, trace_context, |database| {
            database.retry_refused_embeddings(table)
        })
    }

    /// Mark all entities of a table for re-embedding, for example after a change of the embedder.
    /// Return their number. Vectors that were supplied with entities stay if they have the embedder's
    /// dimensions.
    #[pyo3(signature = (table, *, trace_context = None))]
    fn mark_for_embedding(
        &self,
        py: Python<'_>,
        table: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        self.shared.work(py, trace_context, |database| {
            database.mark_for_embedding(table)
        })
    }

    /// Return the entities whose embedded text is nearest in meaning to `text`, nearest first.
    ///
    /// The first search of a table loads its vector indexes into memory, which takes long for many
    /// vectors. `load_index` does so in advance.
    ///
    /// With a condition in SQL, the number of results is exact: `limit`, or that of all matching
    /// entities that have a vector, if these are fewer. Up to 2,048 matching entities are compared
    /// one by one; for more, the vector index is searched. The results are of one snapshot.
    ///
    /// Args:
    ///     limit: The largest number of results.
    ///     where: A condition: the text after WHERE of a `query`, with `$1`, `$2` and so on for
    ///         values. Or a function that takes an entity and returns whether to include it; it is
    ///         called for the nearest entities first, until enough have passed.
    ///     params: The values of the placeholders in the condition.
    ///     on_progress: Called with the number of vectors added so far, if the search builds an index.
    ///         An exception ends the search and is raised here. It must not search the table.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     Pairs of an entity and its cosine distance, from 0 (same direction) to 2.
    ///
    /// Raises:
    ///     NotEmbeddedError: The schema has no `embedding_fields`.
    ///     EmbeddingError: The embedder failed. An exception raised in it is the cause.
    ///     QueryError: The condition is invalid.
    ///     TypeError: `params` were given without a condition.
    ///     OperationTimeoutError: The timeout has passed. A Python function that is running is not
    ///         interrupted.
    ///     KeyboardInterrupt: Ctrl-C ends the search at once.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "search") as db:
    ///     ...     fields = {"body": {"type": "string"}, "year": {"type": "integer"}}
    ///     ...     db.register_schema("articles", {"properties": fields, "embedding_fields": ["body"]})
    ///     ...     ids = db.insert_many("articles", [
    ///     ...         {"body": "water in porous rock", "year": 1957},
    ///     ...         {"body": "a store of keys and values", "year": 2013},
    ///     ...     ])
    ///     ...     report = db.generate_embeddings("articles")
    ///     ...     found = db.search("articles", "rock and water", where="year > $1", params=[2000])
    ///     ...     [entity["year"] for entity, distance in found]
    ///     [2013]
    #[pyo3(signature = (
        table, text, limit = 10, *, r#where = None, params = None, on_progress = None, progress = false, timeout = None,
        trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn search<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        text: &str,
        #[pyo3(from_py_with = arguments::limit)] limit: usize,
        r#where: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        let stop = Stop::of_call(timeout)?;
        let filter = Where::new(r#where, params, &stop)?;
        let progress = &IndexProgress::new(py, on_progress, progress, &stop)?;
        let (given, function) = (&filter, filter.function());
        let function = function.as_deref();
        let hits = self
            .shared
            .future(py, trace_context, &stop, |database| async move {
                let database = progress.reported_by(database);
                match given {
                    Where::Condition { sql, params } => {
                        database.search_where(table, text, limit, sql, params).await
                    }
                    Where::All | Where::Function(_) => {
                        database.search(table, text, limit, function).await
                    }
                }
            });
        filter.results(py, progress, hits)
    }

    /// Search as `search` does, with a vector computed by the same embedder.
    ///
    /// Args:
    ///     vector: A sequence of numbers, or a one-dimensional array of numpy.
    ///
    /// Raises:
    ///     TypeError: The vector is not a sequence of numbers.
    ///     NotEmbeddedError: The schema has no `embedding_fields`.
    ///     EmbeddingError: The vector does not have the embedder's dimensions, is all zeros, or
    ///         contains NaN or an infinity.
    ///     QueryError: The condition is invalid.
    #[pyo3(signature = (
        table, vector, limit = 10, *, r#where = None, params = None, on_progress = None, progress = false, timeout = None,
        trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn search_vector<'py>(
        &self,
        py: Python<'py>,
        table: &str,
        vector: QueryVector,
        #[pyo3(from_py_with = arguments::limit)] limit: usize,
        r#where: Option<&Bound<'py, PyAny>>,
        params: Option<&Bound<'py, PyAny>>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        let stop = Stop::of_call(timeout)?;
        let filter = Where::new(r#where, params, &stop)?;
        let progress = &IndexProgress::new(py, on_progress, progress, &stop)?;
        let (given, function) = (&filter, filter.function());
        let (vector, function) = (&vector.0[..], function.as_deref());
        let hits = self
            .shared
            .future(py, trace_context, &stop, |database| async move {
                let database = progress.reported_by(database);
                match given {
                    Where::Condition { sql, params } => {
                        database
                            .search_vector_where(table, vector, limit, sql, params)
                            .await
                    }
                    Where::All | Where::Function(_) => {
                        database
                            .search_vector_async(table, vector, limit, function)
                            .await
                    }
                }
            });
        filter.results(py, progress, hits)
    }

    // ---- SQL ----

    /// Run a SELECT over the tables of this tenant and return the rows.
    ///
    /// A table has the columns of its schema, and `_id`, `_created_at` and `_updated_at`. Each
    /// query reads one snapshot. Names are lower-cased unless they are in double quotes.
    ///
    /// Args:
    ///     sql: The query, with `$1`, `$2` and so on for values.
    ///     params: The values, in order: JSON values, and the types that `insert` accepts.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     One dict per row, with the columns in order. Values are `int`, `float`, `str`, `bool`,
    ///     `None`, `datetime` (in UTC), `date`, and lists of these.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    ///     QueryError: The query is invalid or failed; `error_type` names the reason.
    ///     ValueError: Two columns have the same name.
    ///     OperationTimeoutError: The timeout has passed.
    ///     KeyboardInterrupt: Ctrl-C ends the query at once.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "sql") as db:
    ///     ...     db.register_schema("articles", {"properties": {"year": {"type": "integer"}}})
    ///     ...     ids = db.insert_many("articles", [{"year": 1957}, {"year": 1958}, {"year": 1957}])
    ///     ...     db.query("SELECT year, count(*) AS n FROM articles WHERE year < $1 GROUP BY year", [1958])
    ///     [{'year': 1957, 'n': 2}]
    #[pyo3(signature = (sql, params = None, *, timeout = None, trace_context = None))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        sql: String,
        params: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyList>> {
        query::dicts(py, &self.result(py, sql, params, timeout, trace_context)?)
    }

    /// Run a query as `query` does and return the rows as Arrow, for pandas, polars, pyarrow and
    /// other libraries that read Arrow.
    #[pyo3(signature = (sql, params = None, *, timeout = None, trace_context = None))]
    fn query_arrow<'py>(
        &self,
        py: Python<'py>,
        sql: String,
        params: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<PyQueryResult> {
        self.result(py, sql, params, timeout, trace_context)
            .map(PyQueryResult::new)
    }

    // ---- resources ----

    /// Store bytes under an id, replacing earlier ones.
    #[pyo3(signature = (resource_id, data, *, trace_context = None))]
    fn store_resource(
        &self,
        py: Python<'_>,
        resource_id: &str,
        data: &[u8],
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.shared.work(py, trace_context, |database| {
            database.store_resource(resource_id, data)
        })
    }

    /// Return the bytes stored under an id, or `None`.
    #[pyo3(signature = (resource_id, *, trace_context = None))]
    fn load_resource<'py>(
        &self,
        py: Python<'py>,
        resource_id: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let data = self.shared.work(py, trace_context, |database| {
            database.load_resource(resource_id)
        })?;
        Ok(data.map(|data| PyBytes::new(py, &data)))
    }

    /// Delete the bytes stored under an id. Deleting a missing id is not an error.
    #[pyo3(signature = (resource_id, *, trace_context = None))]
    fn delete_resource(
        &self,
        py: Python<'_>,
        resource_id: &str,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        self.shared.work(py, trace_context, |database| {
            database.delete_resource(resource_id)
        })
    }

    // ---- maintenance ----

    /// Submit a task to run in the background. Its span starts a trace, linked to the current one.
    ///
    /// Closing the database waits up to ten seconds for submitted tasks.
    ///
    /// Args:
    ///     task: `"generate_embeddings"`, `"save_index"` or `"load_index"` for a table, `"compact"`
    ///         for a column family (one of `column_families`), or `"flush_wal"`.
    ///     target: The table or the column family.
    ///
    /// Returns:
    ///     A `Job` that can be waited for.
    ///
    /// Raises:
    ///     JobError: The queue of jobs is full.
    ///     TypeError, ValueError: The task is unknown, or its target is missing.
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
        let running = self.shared.begin(None)?;
        traced(py, parent, || {
            running.run(|_| running.handle().submit(task))
        })?
        .map_err(|error| raised(py, &error))?
    }

    /// Return the state of the tasks submitted with `submit`.
    ///
    /// Returns:
    ///     The numbers of jobs that are `queued` and `running`, that `succeeded` and `failed`, of
    ///     attempts `retried`, and of jobs `refused` because the queue was full. All are 0 before
    ///     the first task.
    fn background_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let running = self.shared.begin(None)?;
        let status = released(py, || running.handle().worker_status())?;
        status_dict(py, status.unwrap_or_default())
    }

    /// Return the names of the column families, sorted. Each can be compacted.
    fn column_families(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.shared.work(py, None, |database| {
            let mut families = database.storage().column_families();
            families.sort();
            Ok(families)
        })
    }

    /// Rebuild all indexes, or the field indexes of one table, while reads and writes go on.
    ///
    /// Args:
    ///     table: Rebuild only the field indexes of this table.
    ///     on_progress: Called with the number of entities and entries checked so far. It runs
    ///         inside the span of the job, so its spans are children. An exception ends the rebuild
    ///         and is raised here.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     The numbers of `entities`, of `missing` and `stale` index entries, and of `failed`
    ///     entities and vectors; and in `unreadable` the names of entities and schemas that cannot
    ///     be read, at most 100.
    ///
    /// Raises:
    ///     OperationTimeoutError: The timeout has passed.
    ///     KeyboardInterrupt: Ctrl-C raises at once. The rebuild stops after the current page and
    ///         keeps its corrections, as it does after a timeout.
    #[pyo3(signature = (table = None, *, on_progress = None, progress = false, timeout = None, trace_context = None))]
    fn rebuild_indexes<'py>(
        &self,
        py: Python<'py>,
        table: Option<String>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let rebuild = move |indexes: &IndexManager| match &table {
            Some(table) => indexes.rebuild_field_indexes(table),
            None => indexes.rebuild_all(),
        };
        let report =
            self.with_progress(py, (on_progress, progress), timeout, trace_context, rebuild)?;
        report_dict(py, &report)
    }

    /// Rebuild the vector indexes of all tables from the stored vectors, counted as `entities`.
    ///
    /// `on_progress`, `progress`, `timeout` and Ctrl-C work as in `rebuild_indexes`.
    #[pyo3(signature = (*, on_progress = None, progress = false, timeout = None, trace_context = None))]
    fn rebuild_vector_indexes<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let rebuild = IndexManager::rebuild_hnsw_index;
        let report =
            self.with_progress(py, (on_progress, progress), timeout, trace_context, rebuild)?;
        report_dict(py, &report)
    }

    /// Load the vector indexes of a table into memory, as the first search does. Return the number
    /// of vectors.
    ///
    /// The indexes are read from the files of `submit("save_index", table)` if these are current,
    /// otherwise built from the stored vectors. An index that is in memory is not loaded again.
    ///
    /// Args:
    ///     on_progress: Called with the number of vectors of an index added so far, as in
    ///         `rebuild_indexes`.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Raises:
    ///     UnknownTableError: The table does not exist.
    ///     OperationTimeoutError: The timeout has passed.
    ///     KeyboardInterrupt: Ctrl-C ends the loading. An index that is not complete is dropped.
    #[pyo3(signature = (table, *, on_progress = None, progress = false, timeout = None, trace_context = None))]
    fn load_index(
        &self,
        py: Python<'_>,
        table: String,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<usize> {
        let load = move |indexes: &IndexManager| indexes.load_vector_indexes(&table);
        let report =
            self.with_progress(py, (on_progress, progress), timeout, trace_context, load)?;
        Ok(report.entities)
    }

    /// Count the differences between the entities and the indexes. Changes nothing.
    ///
    /// Args:
    ///     on_progress, progress: As for `rebuild_indexes`.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     The same as `rebuild_indexes`.
    #[pyo3(signature = (*, on_progress = None, progress = false, timeout = None, trace_context = None))]
    fn verify_indexes<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let verify = IndexManager::verify;
        let progress = (on_progress, progress);
        let report = self.with_progress(py, progress, timeout, trace_context, verify)?;
        report_dict(py, &report)
    }

    /// Write the data in memory to files.
    #[pyo3(signature = (*, trace_context = None))]
    fn flush(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<()> {
        self.shared.work(py, trace_context, |database| {
            Ok(database.storage().flush()?)
        })
    }

    /// Compact every column family. Ctrl-C raises at once; the current column family is finished.
    #[pyo3(signature = (*, trace_context = None))]
    fn compact(&self, py: Python<'_>, trace_context: Option<TraceArgument>) -> PyResult<()> {
        let stop = Stop::of_call(None)?;
        let work = |database: &Database, stop: &Stop| {
            for family in database.storage().column_families() {
                if stop.flow().is_break() {
                    break;
                }
                database.storage().compact(&family)?;
            }
            Ok(())
        };
        self.shared.long_work(py, trace_context, &stop, work)
    }

    /// Copy the current state of the database into a new directory. On the same file system, the data
    /// files of the copy are hard links. Only for a database in a directory; `copy_to` copies others.
    ///
    /// Raises:
    ///     UnsupportedError: The database is on an object store.
    #[pyo3(signature = (path, *, trace_context = None))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<()> {
        let stop = Stop::of_call(None)?;
        self.shared
            .long_work(py, trace_context, &stop, move |database, _| {
                Ok(database.storage().checkpoint(path)?)
            })
    }

    /// Copy the database to a new place, from a directory to an object store or back, and compare the
    /// copy with it, entry by entry.
    ///
    /// The copy has all tenants, and the state at the time of the call: stop writing before, if nothing
    /// may be missing. Vector indexes are built again by the first search. An interrupted copy is
    /// incomplete; delete it before another attempt.
    ///
    /// Args:
    ///     target: A new or an empty directory, or the URL of a place without a database.
    ///     object_store_options, object_store_retries: Those of the target, as for `Database`.
    ///     on_progress: Called with the number of entries copied so far, and then with the number
    ///         compared, as in `rebuild_indexes`. An exception ends the copy and is raised here.
    ///     progress: Show a bar, as in `import_jsonl`.
    ///     timeout: The longest time in seconds.
    ///
    /// Returns:
    ///     The numbers of `column_families`, `entries` and `bytes` of the copy.
    ///
    /// Raises:
    ///     OpenError: The target cannot be opened, or has data.
    ///     CorruptionError: The target does not have what was written to it.
    ///     OperationTimeoutError: The timeout has passed.
    ///
    /// Examples:
    ///     >>> with Database(tmp_path / "here") as db:
    ///     ...     db.register_schema("articles", {"key_field": "slug"})
    ///     ...     id = db.insert("articles", {"slug": "percolation"})
    ///     ...     report = db.copy_to(f"file://{tmp_path}/there")
    ///     >>> with Database(f"file://{tmp_path}/there", read_only=True) as copy:
    ///     ...     copy.count("articles")
    ///     1
    #[pyo3(signature = (
        target, *, object_store_options = None, object_store_retries = None, on_progress = None,
        progress = false, timeout = None, trace_context = None,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the Python method"
    )]
    fn copy_to<'py>(
        &self,
        py: Python<'py>,
        target: Place,
        object_store_options: Option<StoreOptions>,
        object_store_retries: Option<Retries>,
        on_progress: Option<Py<PyAny>>,
        progress: bool,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let target = target.into_path();
        let options = with_store_options(
            StorageOptions::new(),
            &target,
            object_store_options,
            object_store_retries,
        )?;
        let stop = Stop::of_call(timeout)?;
        let (_bar, on_progress) = Bar::show(py, progress, on_progress)?;
        let progress = on_progress
            .map(|function| Callback::new(py, "on_progress", function, &stop))
            .transpose()?;
        let mine = progress.clone();
        let copy = move |database: &Database, stop: &Stop| {
            let stop = stop.clone();
            Ok(database
                .storage()
                .copy_to_with_progress(target, options, move |made| match &mine {
                    Some(progress) => progress.report(made),
                    None => stop.flow(),
                }))
        };
        let copied = self.shared.long_work(py, trace_context, &stop, copy)?;
        if let Some(error) = progress.and_then(|progress| progress.take_error()) {
            return Err(error);
        }
        let report = copied.map_err(|error| copy_failed(py, error))?;
        let dict = PyDict::new(py);
        dict.set_item("column_families", report.column_families)?;
        dict.set_item("entries", report.entries)?;
        dict.set_item("bytes", report.bytes)?;
        Ok(dict)
    }
}

impl PyDatabase {
    /// The handle, for functions that work on a `Database`.
    pub(super) fn shared(&self) -> &Arc<Closable> {
        &self.shared
    }

    /// Converts data to write. The schema is only read for decimals.
    pub(super) fn data(
        &self,
        table: &str,
        index: Option<usize>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<Value> {
        let is_text = |place: &[String]| {
            let schema = self
                .shared
                .work(data.py(), None, |database| database.schema(table));
            schema.is_ok_and(|schema| schema.is_text_at(place))
        };
        entity_to_json(data, index, &is_text)
    }

    /// Runs a query until it ends or is stopped.
    fn result(
        &self,
        py: Python<'_>,
        sql: String,
        params: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
    ) -> PyResult<QueryResult> {
        let params = query::parameters(params)?;
        let stop = Stop::of_call(timeout)?;
        self.shared
            .long_future(py, trace_context, &stop, move |database| async move {
                database.query_with(&sql, &params).await
            })
    }

    /// Rebuilds until the end, an exception in `on_progress`, or a stop.
    fn with_progress(
        &self,
        py: Python<'_>,
        (on_progress, progress): (Option<Py<PyAny>>, bool),
        timeout: Option<f64>,
        trace_context: Option<TraceArgument>,
        work: impl FnOnce(&IndexManager) -> Result<IndexReport, Error> + Send + 'static,
    ) -> PyResult<IndexReport> {
        let stop = Stop::of_call(timeout)?;
        let (_bar, on_progress) = Bar::show(py, progress, on_progress)?;
        let progress = on_progress
            .map(|function| Callback::new(py, "on_progress", function, &stop))
            .transpose()?;
        let mine = progress.clone();
        let report = self
            .shared
            .long_work(py, trace_context, &stop, move |database, stop| {
                let stop = stop.clone();
                work(
                    &database
                        .indexes()
                        .on_progress(move |progress_made| match &mine {
                            Some(progress) => progress.report(progress_made),
                            None => stop.flow(),
                        }),
                )
            })?;
        if let Some(error) = progress.and_then(|progress| progress.take_error()) {
            return Err(error);
        }
        Ok(report)
    }
}

fn change_dict<'py>(py: Python<'py>, change: &SchemaChange) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("checked", change.checked)?;
    dict.set_item("mismatched", change.mismatched)?;
    let examples = PyList::empty(py);
    for mismatch in &change.examples {
        let example = PyDict::new(py);
        example.set_item("_id", mismatch.id.to_string())?;
        example.set_item("key", &mismatch.key)?;
        example.set_item("reason", &mismatch.reason)?;
        examples.append(example)?;
    }
    dict.set_item("examples", examples)?;
    Ok(dict)
}

fn report_dict<'py>(py: Python<'py>, report: &IndexReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("entities", report.entities)?;
    dict.set_item("missing", report.missing)?;
    dict.set_item("stale", report.stale)?;
    dict.set_item("failed", report.failed)?;
    let unreadable = report.unreadable.iter().map(ToString::to_string);
    dict.set_item("unreadable", unreadable.collect::<Vec<_>>())?;
    Ok(dict)
}
