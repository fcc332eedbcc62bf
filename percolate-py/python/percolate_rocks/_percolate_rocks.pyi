"""The native module of `percolate_rocks`."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, TypeVar, final
from uuid import UUID

from opentelemetry.context import Context
from typing_extensions import Self

from ._embedder import Embedder
from ._progress import Progress
from ._tables import Table as _Table
from ._types import Array as _Array
from ._types import Arrow as _Arrow
from ._types import Data as _Data
from ._types import File as _File
from ._types import Key as _Key
from ._types import Row as _Row
from ._types import Value as _Value
from ._types import Vectors as _Vectors

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Headers = Mapping[str, str] | Mapping[bytes, bytes]
_Trace = TraceContext | Mapping[str, str] | None

__version__: Final[str]

class PercolateError(Exception):
    """Base class of the exceptions that percolate raises."""
    error_type: str
    status_code: str | None

class OpenError(PercolateError):
    """A database could not be opened."""
class MissingError(OpenError):
    """There is no database at the path, and `create_if_missing` is false."""
class LockedError(OpenError):
    """Another process or handle has the database open."""
class FormatError(OpenError):
    """The directory holds another program's database, or one of a newer format."""
class UrlError(OpenError):
    """The URL of a database on an object store is malformed, or an option of the store is malformed or unknown."""
class ReadError(PercolateError):
    """Reading from the store failed."""
class WriteError(PercolateError):
    """Writing to the store failed; nothing was written."""
class ReadOnlyError(WriteError):
    """The database was opened read-only."""
class DiskFullError(WriteError):
    """The disk is full."""
class PoisonedError(WriteError):
    """An earlier write failed halfway; reopen the database."""
class FencedError(WriteError):
    """Another writer has opened the database on the object store, so no call of this handle works."""
class MaintenanceError(PercolateError):
    """A flush, a compaction or a checkpoint failed."""
class UnsupportedError(MaintenanceError):
    """The engine of the database cannot do this."""
class SchemaError(PercolateError):
    """A schema is not valid."""
class EntityError(PercolateError):
    """Data does not match the schema of its table."""
class ExistsError(EntityError):
    """The table already holds an entity with this key."""
class ConflictError(EntityError):
    """The entity was written after it was read."""

class RowsRefusedError(EntityError):
    """Rows of an import were refused, and nothing was written. `report` has the numbers and reasons."""
    report: dict[str, Any]

class NotFoundError(EntityError):
    """The table does not hold this entity."""
class UnknownTableError(PercolateError):
    """No schema is registered for the table."""
class NotIndexedError(PercolateError):
    """The field is not indexed."""
class NotEmbeddedError(PercolateError):
    """The table has no embedded fields, or the field of a vector is not one of them."""
class NoKeyError(PercolateError):
    """The schema of the table has no key field."""
class CorruptionError(PercolateError):
    """Stored data is corrupt."""
class EmbeddingError(PercolateError):
    """The embedder failed, or a vector does not fit it."""
class QueryError(PercolateError):
    """A query is invalid or failed."""
class JobError(PercolateError):
    """A background job was refused, or failed."""
class ClosedError(PercolateError):
    """The database is closed."""
class ForkedError(PercolateError):
    """The database was opened before this process was forked."""
class InternalError(PercolateError):
    """An error in percolate itself."""
class UnavailableError(PercolateError, ConnectionError):
    """The object store cannot be reached, or refuses requests. It is also a `ConnectionError`."""
class OperationTimeoutError(PercolateError, TimeoutError):
    """A call did not end within its `timeout`. It is also a `TimeoutError`."""

@final
class TraceContext:
    """The W3C trace context of one request.

    It is built from a mapping or a list of headers, with keys in any letter case and of `str` or
    `bytes`, and keeps only `traceparent` and `tracestate`. An invalid `traceparent` does not raise:
    it restarts the trace.

    Args:
        headers: The headers of a request, or a dict filled by `opentelemetry.propagate.inject`.
            Without it, the context is empty.

    Raises:
        TypeError: `headers` is neither a mapping nor a list of pairs.

    Examples:
        >>> context = TraceContext({"TraceParent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        >>> context.trace_id, context.span_id, context.sampled
        ('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', True)
        >>> TraceContext({"traceparent": "nonsense"}).is_valid
        False
    """
    def __new__(
        cls, headers: _Headers | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]] | None = None, /
    ) -> Self: ...
    @staticmethod
    def current() -> TraceContext | None:
        """Return the context of the current Python span, or `None` without a span.

        Examples:
            >>> TraceContext.current() is None
            True
        """
    @property
    def headers(self) -> dict[str, str]:
        """The headers as received, keys in lower case."""
    @property
    def traceparent(self) -> str | None:
        """The `traceparent` as received, or `None`."""
    @property
    def tracestate(self) -> str | None:
        """The `tracestate` as received, or `None`."""
    @property
    def is_valid(self) -> bool:
        """Whether there is a valid `traceparent`."""
    @property
    def trace_id(self) -> str | None:
        """The trace id as 32 lower-case hexadecimal digits, or `None` if the context is invalid."""
    @property
    def span_id(self) -> str | None:
        """The caller's span id as 16 lower-case hexadecimal digits, or `None` if the context is
        invalid.
        """
    @property
    def sampled(self) -> bool:
        """Whether the caller sampled the trace."""
    @property
    def trace_flags(self) -> int:
        """The flags of the `traceparent`: 1 is sampled, 2 is a random trace id; 0 if the context is
        invalid.
        """
    def to_context(self, context: Context | None = None) -> Context:
        """Return a context of `opentelemetry-api` with this as the remote parent, for
        `opentelemetry.context.attach` or `tracer.start_span(name, context=...)`.

        Spans below it, of Python and of Rust, continue the trace. While it is attached, Rust keeps
        what the Python types cannot hold: the random flag, and entries of the trace state that they
        refuse. An invalid context restarts the trace.

        Args:
            context: The context to derive it from. Default: the current one.

        Raises:
            ImportError: `opentelemetry-api` is not installed.

        Examples:
            >>> from opentelemetry import trace
            >>> received = TraceContext({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
            >>> span = trace.get_current_span(received.to_context())
            >>> format(span.get_span_context().trace_id, "032x") == received.trace_id
            True
        """
    def to_headers(self) -> dict[str, str]:
        """Return the normalised headers to send on; an empty dict without a valid `traceparent`.

        Examples:
            >>> TraceContext({"tracestate": "a=1"}).to_headers()
            {}
        """
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class HttpEmbeddings:
    """Embeddings from an HTTP endpoint with the OpenAI protocol.

    An `embedder` for `Database`. Requests are sent from Rust with the interpreter released and
    carry the trace context. Too many requests, server errors, timeouts and lost connections are
    retried; other failures raise an `EmbeddingError`.

    Args:
        endpoint: The URL to post to, for example `https://api.openai.com/v1/embeddings`.
        model: The name of the model.
        dimensions: The length of its vectors.
        api_key: A key to send as a bearer token.
        request_dimensions: Send `dimensions` in the request, for models with vectors of several
            lengths.
        timeout: The longest time for one attempt, in seconds.
        attempts: The largest number of attempts per request.
        send_baggage: Send the current baggage. By default, it is sent if the application's
            propagator sends baggage.

    Raises:
        EmbeddingError: `endpoint` is not a URL, or `api_key` cannot be sent in a header.
        ValueError: `timeout` is not a number of seconds, or `dimensions` is 0.

    Examples:
        >>> HttpEmbeddings("http://localhost:8080/v1/embeddings", "minilm", 384).dimensions
        384
    """
    def __new__(
        cls,
        endpoint: str,
        model: str,
        dimensions: int,
        *,
        api_key: str | None = None,
        request_dimensions: bool = False,
        timeout: float = 30.0,
        attempts: int = 4,
        send_baggage: bool | None = None,
    ) -> Self: ...
    @property
    def name(self) -> str:
        """The name of the model."""
    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector per text, in order.

        Raises:
            EmbeddingError: The endpoint returned no vectors.
            KeyboardInterrupt: Ctrl-C ends the request at once.
        """

@final
class Job:
    """A task submitted with `Database.submit`. It runs whether or not it is waited for."""
    @property
    def task(self) -> str:
        """The name of the task, as passed to `submit`."""
    @property
    def target(self) -> str | None:
        """The table or column family, as passed to `submit`, or `None`."""
    @property
    def status(self) -> Literal["pending", "succeeded", "failed"]:
        """`"pending"` while the job waits or runs, then `"succeeded"` or `"failed"`."""
    @property
    def done(self) -> bool:
        """Whether the job has ended, successfully or not."""
    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the job to end.

        Args:
            timeout: The longest wait in seconds; without it, there is no limit.

        Returns:
            Whether the job has ended.

        Raises:
            JobError: The job failed. The reason is the cause.
        """
    # Used only by `AsyncJob`.
    def _add_done_callback(self, function: Callable[[], object]) -> None: ...

@final
class Batch:
    """Writes to any tables of a database that are committed together; returned by `Database.batch`.

    The data of a write is checked when it is added. Whether the entities exist is checked by
    `commit`, in the order of the writes: a later write sees the earlier ones. Leaving the `with`
    block commits the writes; an exception in it discards them.
    """
    def insert(self, table: str, data: _Data, *, vectors: _Vectors | None = None) -> str:
        """Add the insertion of an entity, as `Database.insert` does it, and return its id.

        A later write of the batch that changes the text of a field removes its vector.

        Raises:
            EntityError: The data does not match the schema.
            NotEmbeddedError, EmbeddingError: A vector is refused.
            UnknownTableError: The table does not exist.
        """
    def upsert(self, table: str, data: _Data, *, vectors: _Vectors | None = None) -> str:
        """Add the insertion of an entity, or the replacement of its data, as `Database.upsert` does it.
        Return the id.

        Raises:
            EntityError: The data does not match the schema.
            NoKeyError: The table has no key field, and the data has no `_id`.
        """
    def update(
        self,
        table: str,
        id: str | UUID | None = None,
        changes: _Data | None = None,
        *,
        key: _Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        vectors: _Vectors | None = None,
    ) -> str:
        """Add a change of fields, as `Database.update` does it. Return the id.

        Raises:
            NoKeyError: A key was given, and the table has no key field.
            TypeError: Neither an id nor a key was given, or both, or no changes.
        """
    def delete(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: _Key | None = None,
        if_unchanged_since: str | datetime | None = None,
    ) -> str:
        """Add a deletion, as `Database.delete` does it. Return the id. Deleting an entity that does not
        exist is not an error, unless `if_unchanged_since` is given.

        Raises:
            NoKeyError: A key was given, and the table has no key field.
            TypeError: Neither an id nor a key was given, or both.
        """
    def commit(self, *, trace_context: _Trace = None) -> int:
        """Write all or nothing, and return the number of writes. The batch is empty after this, also if
        it fails.

        Raises:
            ExistsError, NotFoundError, ConflictError, EntityError: A write cannot be done; the
                message has its index. Nothing was written.
        """
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

@final
class EntityIterator:
    """An iterator over the entities of a table; returned by `Database.scan`."""
    def __iter__(self) -> Iterator[dict[str, Any]]: ...
    def __next__(self) -> dict[str, Any]: ...

@final
class QueryResult:
    """The rows of a query as Arrow; returned by `Database.query_arrow`.

    Libraries that support Arrow's PyCapsule interface read it and share its memory:
    `pandas.DataFrame.from_arrow(result)`, `polars.DataFrame(result)`, `pyarrow.table(result)`. It
    can be read repeatedly, also after the database is closed.

    Examples:
        >>> with Database(tmp_path / "arrow") as db:
        ...     db.register_schema("articles", {"properties": {"year": {"type": "integer"}}})
        ...     id = db.insert("articles", {"year": 1957})
        ...     result = db.query_arrow("SELECT year FROM articles")
        >>> result.column_names, len(result), result.to_dicts()
        (['year'], 1, [{'year': 1957}])
    """
    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order. Names may repeat."""
    @property
    def num_rows(self) -> int:
        """The number of rows."""
    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as `Database.query` does.

        Raises:
            ValueError: Two columns have the same name.
        """
    def iter_rows(self) -> Iterator[tuple[Any, ...]]:
        """Return an iterator over the rows as tuples, with the values that `Database.query` returns. A
        row is converted when it is reached. Names of columns may repeat.

        Examples:
            >>> with Database(tmp_path / "rows") as db:
            ...     result = db.query_arrow("SELECT 1957 AS year, 'percolation' AS slug")
            >>> list(result.iter_rows())
            [(1957, 'percolation')]
        """
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Database:
    """Tables of JSON entities in a directory or on an object store, for one tenant.

    Opens the database at `path`, or creates one. It is a context manager and safe to use from many
    threads. A process can open a directory only once. Methods take `trace_context=`: a
    `TraceContext` or a mapping of headers. Without it, their spans are children of the current
    Python span.

    Args:
        path: The directory (RocksDB), or the URL of a place on an object store (SlateDB):
            `s3://bucket/prefix`, `file:///directory`, or `memory:///name` for tests, which exists as
            long as a handle of it in this process.
        tenant: The tenant whose entities the handle reads and writes. Tenants share the files and
            nothing else.
        namespace: The name of the database in telemetry (`db.namespace`). The default is the name
            of the directory, or the last part of the URL.
        create_if_missing: Create a database if there is none, in an empty or a new directory.
        read_only: Refuse writes. Several processes may have a database open read-only.
        refresh_every: For `read_only=True`: a call that comes this number of seconds or later after
            the last refresh refreshes the handle first, as `refresh` does. Of several threads, one
            refreshes and the others wait for it. If the refresh fails, the call raises its error.
            By default, only `refresh` refreshes.
        sync: Wait on every write until it is durable: on the disk, or on the object store.
        server_address: The value of the attribute `server.address`: `"path"` for the path or the
            host of the bucket, `"omit"` for no attribute, or any other text as it is.
        cache_size: The size of the cache of blocks in bytes. The default is 64 MiB.
        memory_table_limit: The size of all memory tables together in bytes, 0 for no limit. The
            default is 128 MiB.
        query_memory_limit: The number of bytes that a query may hold. A query that needs more
            fails.
        embedder: The embedder that turns text into vectors: an `HttpEmbeddings`, or any object with
            `name`, `dimensions` and `embed(texts)`. The default one works offline and needs no
            model.
        object_store_options: For `s3://`: options by name, such as `aws_region`, `aws_endpoint`,
            `aws_access_key_id`, `aws_secret_access_key` and `aws_allow_http`. Others come from the
            environment variables of the same names in capitals. Values do not appear in messages or
            telemetry. `file://` and `memory://` have no options, and refuse any.
        flush_interval: For object stores without `sync`: the seconds after which a write is durable.
            Each flush is a request to the store. The default is 0.1.
        object_store_retries: For object stores: how often a failed request is repeated, with pauses
            of up to a second. The default is 30.

    Raises:
        OpenError: The database cannot be opened. The subclasses `MissingError`, `LockedError`,
            `FormatError` and `UrlError` name the reason.
        UnavailableError: The object store cannot be reached.
        ForkedError: This process was forked from one that had opened a database.
        ValueError: An argument is out of its range, or does not fit the path.

    Examples:
        >>> with Database(tmp_path / "db") as db:
        ...     db.register_schema("articles", {
        ...         "properties": {"slug": {"type": "string"}, "year": {"type": "integer"}},
        ...         "key_field": "slug",
        ...         "indexed_fields": ["year"],
        ...     })
        ...     id = db.insert("articles", {"slug": "percolation", "year": 1957})
        ...     db.lookup("articles", "percolation")["year"]
        1957
    """
    def __new__(
        cls,
        path: str | os.PathLike[str],
        *,
        tenant: str = "default",
        namespace: str | None = None,
        create_if_missing: bool = True,
        read_only: bool = False,
        refresh_every: float | None = None,
        sync: bool = False,
        server_address: Literal["path", "omit"] | str = "path",
        cache_size: int | None = None,
        memory_table_limit: int | None = None,
        query_memory_limit: int | None = None,
        embedder: Embedder | None = None,
        object_store_options: Mapping[str, str] | None = None,
        flush_interval: float | None = None,
        object_store_retries: int | None = None,
    ) -> Self: ...
    @property
    def path(self) -> Path | str:
        """The directory as a `pathlib.Path`, or the URL as a `str`."""
    @property
    def tenant(self) -> str:
        """The tenant whose entities this handle reads and writes."""
    @property
    def namespace(self) -> str:
        """The name of the database in telemetry.

        Raises:
            ClosedError: The database is closed.
        """
    @property
    def system(self) -> Literal["rocksdb", "slatedb"]:
        """The engine of the database, `db.system.name` in telemetry: `"rocksdb"` in a directory,
        `"slatedb"` on an object store.

        Raises:
            ClosedError: The database is closed.
        """
    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
    def for_tenant(self, tenant: str) -> Database:
        """Return a handle on the same database for another tenant.

        The files are closed with the last handle.
        """
    def skip_malformed(self) -> Database:
        """Return a handle on the same database that skips entities that cannot be decoded.

        They are skipped by `scan`, `find`, `count`, searches and SQL. Other handles raise a
        `CorruptionError` that names the entity. `delete` and `purge` remove such an entity,
        `upsert` replaces it, and `verify_indexes` names all of them.
        """
    def close(self, *, timeout: float | None = None) -> None:
        """Make everything written so far durable, close the handle and release the directory.

        New calls raise a `ClosedError` from now on. Running queries, searches and jobs are ended
        and raise a `ClosedError`; other calls are waited for, and so are submitted tasks, up to ten
        seconds. A call that closes its own database, in a function that it calls, is not waited
        for: the directory is released when it ends. Closing again does nothing.

        Args:
            timeout: The longest time in seconds. By default, calls are waited for without a limit,
                and the engine for a minute.

        Raises:
            KeyboardInterrupt: Ctrl-C ends the waiting.
            OperationTimeoutError: The timeout has passed. Closing continues, and submitted tasks
                that were not finished are abandoned. The directory is locked until the calls have
                ended and the engine has closed the files. With the `error_type` `CloseTimeout`, the
                last writes may not be durable.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        *_exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...
    def register_schema(
        self, table: str, schema: Mapping[str, Any], *, trace_context: _Trace = None
    ) -> dict[str, Any] | None:
        """Register or change the schema of a table.

        The schema is a JSON Schema with four more keywords: `key_field` (the field whose value
        determines the id), `indexed_fields` (fields that `find` can search), `embedding_fields` (text
        that `search` can search) and `embed` (when the text is embedded: `"queued"`, the default, by
        `generate_embeddings`; `"on_write"`, by each write, which fails if the embedder fails). It can be
        nested up to 100 levels.

        If the rules for entities change, all entities of the table are checked. Those that do not
        match stay as they are; the next write of each must match.

        Returns:
            `None` if all entities match. Otherwise `checked`, the number of entities that were
            checked; `mismatched`, the number of those that do not match; and `examples`, the first
            100 of these, each with `_id`, `key` and `reason`.

        Raises:
            SchemaError: The schema is not valid.
            TypeError, ValueError: The schema cannot be represented in JSON, or is nested too deeply.

        Examples:
            >>> with Database(tmp_path / "on_write") as db:
            ...     db.register_schema("articles", {"embedding_fields": ["body"], "embed": "on_write"})
            ...     id = db.insert("articles", {"body": "water in porous rock"})
            ...     [(entity, distance)] = db.search("articles", "rock and water")
            ...     entity["body"]
            'water in porous rock'
        """
    def table(
        self,
        name: str,
        model: type[_T],
        *,
        key_field: str | None = None,
        indexed_fields: Iterable[str] | None = None,
        embedding_fields: Iterable[str] | None = None,
        embed: Literal["queued", "on_write"] | None = None,
        id_field: str | None = None,
        created_at_field: str | None = None,
        updated_at_field: str | None = None,
        trace_context: _Trace = None,
    ) -> _Table[_T]:
        """Return a table whose entities are instances of a class: a Pydantic model or a dataclass. Its
        schema is registered, unless it is already.

        Args:
            name: The name of the table.
            model: The class. The fields of a dataclass can have the types `str`, `int`, `float`,
                `bool`, `datetime`, `date`, `time`, `timedelta`, `UUID`, `Decimal`, enums, literals,
                dataclasses, and lists, tuples with any number of values of one type
                (`tuple[int, ...]`), dicts with text as keys, and optional values of these.
            key_field, indexed_fields, embedding_fields: The fields of the model that are these
                keywords of the schema. By default those in the schema of the model, which a Pydantic
                model sets with `json_schema_extra`.
            embed: When texts are embedded, as `embed` of `register_schema`.
            id_field, created_at_field, updated_at_field: Fields of the model that hold `_id`,
                `_created_at` and `_updated_at` when an instance is read. They are not stored. An id
                that is not `None` names the entity when the instance is written, the times are
                ignored.

        Raises:
            SchemaError: The schema cannot be registered.
            TypeError: The model is of another kind, or a field has a type without a JSON form.
            ValueError: The model has no field of a given name.

        Examples:
            >>> from dataclasses import dataclass
            >>> @dataclass
            ... class Article:
            ...     slug: str
            ...     year: int | None = None
            >>> with Database(tmp_path / "typed") as db:
            ...     articles = db.table("articles", Article, key_field="slug")
            ...     id = articles.insert(Article("percolation", 1957))
            ...     articles.get(key="percolation"), articles.where("year < $1", [1950])
            (Article(slug='percolation', year=1957), [])
        """
    def drop_table(self, table: str, *, trace_context: _Trace = None) -> None:
        """Remove a table: its schema, its entities, and everything derived from them.

        It is one write, however large the table is. The disk space is freed by compactions.

        Raises:
            UnknownTableError: The table does not exist.
        """
    def schema(self, table: str) -> dict[str, Any]:
        """Return the schema of a table as it was registered.

        Raises:
            UnknownTableError: The table does not exist.
            CorruptionError: The stored schema cannot be read.
        """
    def tables(self) -> list[str]:
        """Return the names of the tables, sorted. They include the `unusable_tables`."""
    def unusable_tables(self) -> dict[str, str]:
        """Return the tables whose stored schemas cannot be read, with the reasons.

        Their operations raise a `CorruptionError` until a schema with the same key field is
        registered. Other tables are not affected.
        """
    def insert(
        self, table: str, data: _Data, *, vectors: _Vectors | None = None, trace_context: _Trace = None
    ) -> str:
        """Insert an entity and return its id. With a key field, the same key always has the same id.

        A dict that was read can be written back with `insert`, `upsert` and `update`: `_id` names
        the entity, `_created_at` and `_updated_at` are ignored. So can a row of an export with vectors:
        `_vectors` are vectors as those of the argument, which take precedence, and `_embedded_by` names
        the embedder of those that were not supplied.

        Args:
            data: A mapping, a dataclass or a Pydantic model. Dates, UUIDs, decimals, enums and numpy
                values in it are stored in their JSON form, and read in it.
            vectors: Vectors of embedded fields, from a model that runs elsewhere: a mapping from their
                names to sequences of numbers. They are stored in the same atomic write, and stay while
                the texts of the fields stay the same. `None` for a field removes its vector, and the
                embedder computes it.

        Raises:
            UnknownTableError: The table does not exist.
            ExistsError: The table already holds an entity with this key or `_id`.
            EntityError: The data does not match the schema, or its `_id` belongs to another key.
            NotEmbeddedError: A field of `vectors` is not embedded.
            EmbeddingError: A vector does not have the embedder's dimensions, is all zeros, or contains
                NaN or an infinity; or the table embeds on write, and the embedder failed.
            TypeError, ValueError: The data cannot be represented in JSON, or is nested deeper than 100
                levels.

        Examples:
            >>> class Elsewhere:
            ...     name, dimensions = "elsewhere", 3
            ...     def embed(self, texts):
            ...         raise RuntimeError("the model runs elsewhere")
            >>> with Database(tmp_path / "vectors", embedder=Elsewhere()) as db:
            ...     db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body"]})
            ...     id = db.insert("articles", {"slug": "a", "body": "stone"}, vectors={"body": [0.1, 0.9, 0.0]})
            ...     [(entity, distance)] = db.search_vector("articles", [0.1, 0.9, 0.0])
            ...     entity["slug"], round(distance, 3)
            ('a', 0.0)
        """
    def insert_with_trace(self, table: str, data: _Data, trace_context: _Trace = None) -> str:
        """Insert an entity as `insert` does, with the trace context as the third argument.

        Args:
            trace_context: A `TraceContext`, a mapping of headers, or `None`.
        """
    def upsert(
        self, table: str, data: _Data, *, vectors: _Vectors | None = None, trace_context: _Trace = None
    ) -> str:
        """Insert an entity, or replace the data of the one with the same key. Return its id.

        Without a key field, the `_id` in the data names the entity.

        Args:
            vectors: Vectors of embedded fields, as for `insert`.

        Raises:
            NoKeyError: The table has no key field, and the data has no `_id`.
            EntityError: The data does not match the schema, or its `_id` belongs to another key.
            NotEmbeddedError, EmbeddingError: A vector is refused, as for `insert`.
        """
    def insert_many(
        self,
        table: str,
        data: Iterable[_Data],
        *,
        vectors: Iterable[_Vectors | None] | None = None,
        trace_context: _Trace = None,
    ) -> list[str]:
        """Insert several entities, all or none. Return their ids in order.

        Args:
            vectors: The vectors of each entity, as for `insert`, or `None` for an entity without.

        Raises:
            ExistsError, EntityError, NotEmbeddedError, EmbeddingError, TypeError, ValueError: As for
                `insert`. The message names the entity by its index and its key.
        """
    def update(
        self,
        table: str,
        id: str | UUID | None = None,
        changes: _Data | None = None,
        *,
        key: _Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        vectors: _Vectors | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Set the fields in `changes` and return the changed entity.

        `None` is stored if the schema names null among the types of the field. Otherwise it removes
        the field.

        Args:
            id: The id of the entity.
            changes: The new values of fields.
            key: The value of the key field, instead of the id.
            if_unchanged_since: The `_updated_at` of the entity when it was read.
            vectors: Vectors of embedded fields, as for `insert`.

        Raises:
            NotFoundError: The entity does not exist.
            ConflictError: The entity was written after `if_unchanged_since`.
            NoKeyError: A key was given, and the table has no key field.
            EntityError: The result does not match the schema, or `changes` has the `_id` of another
                entity.
            NotEmbeddedError, EmbeddingError: A vector is refused, as for `insert`.
            TypeError: Neither an id nor a key was given, or both, or no changes.
        """
    def get(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: _Key | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any] | None:
        """Return the entity with this id or key, or `None`.

        The dict holds the data and `_id`, `_created_at` and `_updated_at`, in alphabetical order.
        Values have JSON types: a stored `datetime` is read as `str`.

        Raises:
            NoKeyError: A key was given, and the table has no key field.
            TypeError: Neither an id nor a key was given, or both.
        """
    def get_many(
        self,
        table: str,
        ids: Iterable[str | UUID] | None = None,
        *,
        keys: Iterable[_Key] | None = None,
        trace_context: _Trace = None,
    ) -> list[dict[str, Any] | None]:
        """Return the entities with these ids or keys, in the same order, with `None` for each missing
        one.

        Raises:
            NoKeyError: Keys were given, and the table has no key field.
            TypeError: Neither ids nor keys were given, or both.
        """
    def lookup(self, table: str, key: _Key, *, trace_context: _Trace = None) -> dict[str, Any] | None:
        """Return the entity whose key field has the value `key`, or `None`.

        Raises:
            NoKeyError: The table has no key field.
        """
    def find(
        self,
        table: str,
        field: str,
        value: _Value = ...,
        *,
        ge: _Value = ...,
        gt: _Value = ...,
        le: _Value = ...,
        lt: _Value = ...,
        trace_context: _Trace = None,
    ) -> list[dict[str, Any]]:
        """Return the entities whose indexed field equals `value` or is within bounds, ordered by that
        field.

        Args:
            value: The value of the field. Omit it to pass bounds.
            ge, gt: The lower bound, inclusive or exclusive.
            le, lt: The upper bound, inclusive or exclusive.

        Raises:
            NotIndexedError: The schema does not list the field in `indexed_fields`.
            TypeError: Neither a value nor bounds were given, or both, or two bounds on one side.
        """
    def scan(self, table: str, *, page_size: int = 256, trace_context: _Trace = None) -> EntityIterator:
        """Return an iterator over the entities of a table, in the order of their ids.

        Args:
            page_size: The number of entities to read at a time.

        Raises:
            UnknownTableError: The table does not exist.
        """
    def count(self, table: str, *, trace_context: _Trace = None) -> int:
        """Return the number of entities in a table."""
    def update_where(
        self,
        table: str,
        where: str,
        changes: _Data,
        params: Iterable[_Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int:
        """Change the fields of all entities of a table that match a condition. Return their number.

        Up to 10,000 entities are changed in one atomic write, more of them in writes of 10,000. No
        entity is changed that does not match the condition at the moment of the write.

        Args:
            where: The text after WHERE of a `query`, with `$1`, `$2` and so on for values. `"true"`
                matches all.
            changes: The new values of fields, as for `update`.
            params: The values of the placeholders.
            timeout: The longest time in seconds. Writes that were made before are kept, and one that
                has begun is finished in the background.

        Raises:
            QueryError: The condition is invalid.
            EntityError: The result does not match the schema. Earlier writes of 10,000 are kept.
            ConflictError: Others kept changing the same entities.
            OperationTimeoutError: The timeout has passed.

        Examples:
            >>> with Database(tmp_path / "where") as db:
            ...     fields = {"year": {"type": "integer"}, "archived": {"type": "boolean"}}
            ...     db.register_schema("articles", {"properties": fields})
            ...     ids = db.insert_many("articles", [{"year": 1957}, {"year": 1958}, {"year": 2024}])
            ...     db.update_where("articles", "year < $1", {"archived": True}, [2000])
            ...     db.delete_where("articles", "archived")
            2
            2
        """
    def delete_where(
        self,
        table: str,
        where: str,
        params: Iterable[_Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int:
        """Mark all entities of a table that match a condition as deleted. Return their number. The
        arguments and exceptions are those of `update_where`.
        """
    def batch(self) -> Batch:
        """Create an empty batch: writes to any tables that are committed together, or not at all.

        Examples:
            >>> with Database(tmp_path / "batch") as db:
            ...     db.register_schema("articles", {"key_field": "slug"})
            ...     db.register_schema("authors", {"key_field": "name"})
            ...     with db.batch() as batch:
            ...         _ = batch.insert("authors", {"name": "hammersley", "articles": 1})
            ...         _ = batch.insert("articles", {"slug": "percolation"})
            ...     db.count("articles")
            1
        """
    def delete(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: _Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        trace_context: _Trace = None,
    ) -> bool:
        """Mark an entity, named by id or key, as deleted, so that no read returns it. Return `True` if
        it existed.

        Args:
            id: The id of the entity.
            key: The value of the key field, instead of the id.
            if_unchanged_since: The `_updated_at` of the entity when it was read.

        Raises:
            ConflictError: The entity was written after `if_unchanged_since`.
            NotFoundError: `if_unchanged_since` was given, and the entity does not exist.
            NoKeyError: A key was given, and the table has no key field.
            TypeError: Neither an id nor a key was given, or both.
        """
    def purge(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: _Key | None = None,
        trace_context: _Trace = None,
    ) -> bool:
        """Remove an entity, named by id or key, deleted or not, from the store. Return `True` if it
        existed.

        Raises:
            NoKeyError: A key was given, and the table has no key field.
            TypeError: Neither an id nor a key was given, or both.
        """
    def import_jsonl(
        self,
        table: str,
        source: str | os.PathLike[str] | Iterable[_Row],
        *,
        on_error: Literal["abort", "skip"] = "abort",
        existing: Literal["error", "replace", "skip"] = "error",
        batch_size: int = 1000,
        max_line_length: int | None = None,
        ignore_vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Import lines of JSON (JSONL, NDJSON), each with one object, in batches. Return a report.

        `_id`, `_created_at` and `_updated_at` of a row are those of the entity, so that an import of
        what `export_jsonl` wrote restores the same entities. With a key field, the id is that of the
        key. A replaced entity gets a later `_updated_at` than it has. `_vectors` and `_embedded_by`, of
        an export with `vectors=True`, are its vectors, which must fit the embedder of the database.

        Args:
            source: A path, or an iterable of rows: an open file or other lines as `str` or `bytes`,
                or data as for `insert`. The call uses the iterable on its own thread.
            on_error: With `"abort"`, all rows are checked before the first one is written, and if one
                is refused, none is written. A file is read twice. The rows of another source are
                kept, above 8 MiB in a temporary file without a name. With `"skip"`, the other rows
                are written.
            existing: What happens with rows whose entities exist: they are refused (`"error"`),
                replace the data of the entities (`"replace"`), or are ignored (`"skip"`).
            batch_size: The number of rows that are written together, atomically. A batch also ends
                when its lines have 8 MiB.
            max_line_length: The bytes of the longest line. Longer ones are refused. The default is
                16 MiB.
            ignore_vectors: Ignore the vectors of the rows. The texts are embedded again.
            on_progress: Called after each batch with the number of rows read so far; with `"abort"`,
                once while they are checked, and again while they are written. An exception ends the
                import and is raised here. The `Progress` is a number with `total` and `seconds`.
            progress: Show a bar of tqdm on standard error.
            timeout: The longest time in seconds. It also ends waiting for a pipe at a path, but not a
                `read` of a Python file or an iterable that blocks.

        Returns:
            The numbers of `rows`, of rows that were `written`, that left an existing entity
            `unchanged`, and that were `refused`; and in `errors` the first 100 of these, each with
            its `line`, from 1, and the `reason`.

        Raises:
            RowsRefusedError: Rows were refused. The exception has the `report`. Nothing was written,
                unless another thread wrote the same entities after the check: `written` counts the
                rows before.
            OSError: The file cannot be read.
            TypeError: The source is not a path and not an iterable of rows.
            OperationTimeoutError: The timeout has passed. Batches that were written stay.
            KeyboardInterrupt: Ctrl-C ends the import after the current batch. Batches that were
                written stay. From Python 3.11 on, a note has the number of their rows.

        Examples:
            >>> with Database(tmp_path / "import") as db:
            ...     db.register_schema("articles", {"key_field": "slug"})
            ...     lines = '{"slug": "percolation"}', '{"slug": }', '{"slug": "clusters"}'
            ...     report = db.import_jsonl("articles", lines, on_error="skip")
            >>> report.get("written"), report.get("errors")
            (2, [{'line': 2, 'reason': 'invalid JSON at column 10: expected value'}])
        """
    def insert_arrow(
        self,
        table: str,
        data: _Arrow,
        *,
        on_error: Literal["abort", "skip"] = "abort",
        existing: Literal["error", "replace", "skip"] = "error",
        batch_size: int = 1000,
        ignore_vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Insert the rows of Arrow data, in batches, and return a report.

        Each column is a field; `_id`, `_created_at`, `_updated_at`, `_vectors` and `_embedded_by` are the
        system fields, the last two as structs, as `export_parquet` writes them. Values have the form
        that `insert` gives the same Python values: dates, times and durations are text of ISO 8601, a
        decimal is text where the schema allows only text. Text in a column whose field cannot be text
        is JSON, as in the result of a query. A null is stored if the schema names null among the types
        of the field; otherwise the field is left out. A row with a float that is not finite is refused.

        Args:
            data: A table, a frame, a batch or a stream of batches with Arrow's PyCapsule interface,
                as pyarrow, polars, pandas 3 and `query_arrow` have. It is read once.
            on_error, existing, batch_size, ignore_vectors, on_progress, progress, timeout: As for
                `import_jsonl`.

        Returns:
            The report of `import_jsonl`, with the number of the row as the `line`.

        Raises:
            RowsRefusedError: Rows were refused, as in `import_jsonl`.
            TypeError: The data has no Arrow interface, two columns of the same name, or a column of a
                type that JSON cannot hold, such as bytes.
            ValueError: The data is not of rows.

        Examples:
            >>> with Database(tmp_path / "arrow_in") as db:
            ...     fields = {"slug": {"type": "string"}, "year": {"type": "integer"}}
            ...     db.register_schema("articles", {"properties": fields, "key_field": "slug"})
            ...     db.register_schema("old", {"properties": fields, "key_field": "slug"})
            ...     id = db.insert("articles", {"slug": "percolation", "year": 1957})
            ...     result = db.query_arrow("SELECT slug, year FROM articles WHERE year < 1960")
            ...     report = db.insert_arrow("old", result)
            ...     report.get("written"), db.count("old")
            (1, 1)
        """
    def export_jsonl(
        self,
        table: str,
        target: str | os.PathLike[str] | _File,
        *,
        vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int:
        """Write the entities of a table as lines of JSON, ordered by id. Return their number.

        The export reads one snapshot. Each line has the data and `_id`, `_created_at` and
        `_updated_at`. With `vectors`, it also has `_vectors`, an object from the embedded fields to arrays
        of numbers, without fields that have no vector, and `_embedded_by`, an object from those fields
        whose vectors were not supplied to the name of the embedder. `import_jsonl` restores the vectors.

        Args:
            target: A path, or an open file: any object whose `write` takes `bytes` or `str`. The file
                at a path is replaced once the export is complete and on the disk.
            vectors: Export the vectors too. The embedder of the database must be that of the vectors.
            on_progress: Called after every 1000 entities, and at the end, with the number of entities
                written so far. An exception ends the export and is raised here.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Raises:
            OSError: The file cannot be written.
            CorruptionError: An entity cannot be decoded. A handle of `skip_malformed` leaves it out.
            EmbeddingError: A vector to export has another length than those of the embedder.
            OperationTimeoutError: The timeout has passed.

        Examples:
            >>> import io
            >>> file = io.StringIO()
            >>> with Database(tmp_path / "export") as db:
            ...     db.register_schema("articles", {"key_field": "slug"})
            ...     id = db.insert("articles", {"slug": "percolation"})
            ...     db.export_jsonl("articles", file)
            1
            >>> file.getvalue()
            '{"_created_at":"...","_id":"...","_updated_at":"...","slug":"percolation"}\\n'
        """
    def _export_arrow(
        self,
        table: str,
        write: Callable[[QueryResult], object],
        *,
        vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int: ...
    def import_parquet(
        self,
        table: str,
        path: str | os.PathLike[str],
        *,
        on_error: Literal["abort", "skip"] = "abort",
        existing: Literal["error", "replace", "skip"] = "error",
        batch_size: int = 1000,
        ignore_vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Import a Parquet file, as `insert_arrow` inserts its rows. Return the report. Needs pyarrow.

        The file is read piece by piece.

        Args:
            path: The file.
            on_error, existing, batch_size, ignore_vectors, on_progress, progress, timeout: As for
                `import_jsonl`.

        Raises:
            ImportError: pyarrow is not installed, or tqdm for `progress`.
            OSError: The file cannot be read.
            ValueError: The file is not a Parquet file.
            RowsRefusedError, TypeError: As for `insert_arrow`.
        """
    def export_parquet(
        self,
        table: str,
        path: str | os.PathLike[str],
        *,
        vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int:
        """Write the entities of a table to a Parquet file, ordered by id. Return their number. Needs
        pyarrow.

        The columns are those of `SELECT *`. Fields that the schema does not list are not in the file,
        values that do not match it are null, and a field that may have any type is text;
        `export_jsonl` writes everything. The export reads one snapshot.

        Args:
            path: The file. It is replaced once the export is complete and on the disk.
            vectors: Export the vectors too, as for `export_jsonl`: `_vectors` and `_embedded_by` are
                columns of structs, with lists of 32-bit floats of one length.
            on_progress: Called after each batch of up to 65,536 entities with the number of entities
                written so far. An exception ends the export and is raised here.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Raises:
            ImportError: pyarrow is not installed, or tqdm for `progress`.
            OSError: The file cannot be written.
            ValueError: The schema has no properties.
            EmbeddingError: A vector to export has another length than those of the embedder.
        """
    def generate_embeddings(
        self,
        table: str,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, int]:
        """Compute the missing vectors of a table. Ctrl-C and the timeout stop the job; finished vectors
        are kept.

        Args:
            on_progress: Called after each page of up to 256 entities with the `Progress`; `total` is the
                number of entities to embed. An exception ends the job and is raised here.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Returns:
            How many entities were `embedded`, how many are `waiting` for another attempt, and how many
            were set aside (`refused`) because the embedder has no vector for one of their texts while
            it embedded others. `embedding_status` lists these.

        Raises:
            EmbeddingError: The embedder failed. An exception raised in it is the cause.
            OperationTimeoutError: The timeout has passed.
        """
    def refresh(self, *, trace_context: _Trace = None) -> None:
        """Show the current state of the database to a handle that was opened with `read_only=True`.

        A read-only handle keeps the tables and entities that it found when it was opened, also if
        another process writes. This opens the database again and replaces the handle's state.
        Running calls finish with the old state. Does nothing for a handle that can write,
        because it is current. A handle of `for_tenant` is refreshed by its own `refresh`. With
        `refresh_every`, the next interval begins.

        Raises:
            OpenError, UnavailableError: The database cannot be opened. The handle keeps its state.
        """
    def embedding_status(self, table: str, *, trace_context: _Trace = None) -> dict[str, Any]:
        """Return the state of the vectors of a table.

        Returns:
            `waiting`, the number of entities that the next run embeds, and `refused`, a list of the
            texts that were set aside, each a dict with `id`, `field` and `reason`.
        """
    def retry_refused_embeddings(self, table: str, *, trace_context: _Trace = None) -> int:
        """Mark the entities that were set aside for embedding, for example after the embedder was
        repaired. Return their number.
        """
    def mark_for_embedding(self, table: str, *, trace_context: _Trace = None) -> int:
        """Mark all entities of a table for re-embedding, for example after a change of the embedder.
        Return their number. Vectors that were supplied with entities stay if they have the embedder's
        dimensions.
        """
    def search(
        self,
        table: str,
        text: str,
        limit: int = 10,
        *,
        where: str | Callable[[dict[str, Any]], object] | None = None,
        params: Iterable[_Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> list[tuple[dict[str, Any], float]]:
        """Return the entities whose embedded text is nearest in meaning to `text`, nearest first.

        The first search of a table loads its vector indexes into memory, which takes long for many
        vectors. `load_index` does so in advance.

        With a condition in SQL, the number of results is exact: `limit`, or that of all matching
        entities that have a vector, if these are fewer. Up to 2,048 matching entities are compared
        one by one; for more, the vector index is searched. The results are of one snapshot.

        Args:
            limit: The largest number of results.
            where: A condition: the text after WHERE of a `query`, with `$1`, `$2` and so on for
                values. Or a function that takes an entity and returns whether to include it; it is
                called for the nearest entities first, until enough have passed.
            params: The values of the placeholders in the condition.
            on_progress: Called with the number of vectors added so far, if the search builds an index.
                An exception ends the search and is raised here. It must not search the table.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Returns:
            Pairs of an entity and its cosine distance, from 0 (same direction) to 2.

        Raises:
            NotEmbeddedError: The schema has no `embedding_fields`.
            EmbeddingError: The embedder failed. An exception raised in it is the cause.
            QueryError: The condition is invalid.
            TypeError: `params` were given without a condition.
            OperationTimeoutError: The timeout has passed. A Python function that is running is not
                interrupted.
            KeyboardInterrupt: Ctrl-C ends the search at once.

        Examples:
            >>> with Database(tmp_path / "search") as db:
            ...     fields = {"body": {"type": "string"}, "year": {"type": "integer"}}
            ...     db.register_schema("articles", {"properties": fields, "embedding_fields": ["body"]})
            ...     ids = db.insert_many("articles", [
            ...         {"body": "water in porous rock", "year": 1957},
            ...         {"body": "a store of keys and values", "year": 2013},
            ...     ])
            ...     report = db.generate_embeddings("articles")
            ...     found = db.search("articles", "rock and water", where="year > $1", params=[2000])
            ...     [entity["year"] for entity, distance in found]
            [2013]
        """
    def search_vector(
        self,
        table: str,
        vector: Sequence[float] | _Array,
        limit: int = 10,
        *,
        where: str | Callable[[dict[str, Any]], object] | None = None,
        params: Iterable[_Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> list[tuple[dict[str, Any], float]]:
        """Search as `search` does, with a vector computed by the same embedder.

        Args:
            vector: A sequence of numbers, or a one-dimensional array of numpy.

        Raises:
            TypeError: The vector is not a sequence of numbers.
            NotEmbeddedError: The schema has no `embedding_fields`.
            EmbeddingError: The vector does not have the embedder's dimensions, is all zeros, or
                contains NaN or an infinity.
            QueryError: The condition is invalid.
        """
    def query(
        self,
        sql: str,
        params: Iterable[_Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> list[dict[str, Any]]:
        """Run a SELECT over the tables of this tenant and return the rows.

        A table has the columns of its schema, and `_id`, `_created_at` and `_updated_at`. Each
        query reads one snapshot. Names are lower-cased unless they are in double quotes.

        Args:
            sql: The query, with `$1`, `$2` and so on for values.
            params: The values, in order: JSON values, and the types that `insert` accepts.
            timeout: The longest time in seconds.

        Returns:
            One dict per row, with the columns in order. Values are `int`, `float`, `str`, `bool`,
            `None`, `datetime` (in UTC), `date`, and lists of these.

        Raises:
            UnknownTableError: The table does not exist.
            QueryError: The query is invalid or failed; `error_type` names the reason.
            ValueError: Two columns have the same name.
            OperationTimeoutError: The timeout has passed.
            KeyboardInterrupt: Ctrl-C ends the query at once.

        Examples:
            >>> with Database(tmp_path / "sql") as db:
            ...     db.register_schema("articles", {"properties": {"year": {"type": "integer"}}})
            ...     ids = db.insert_many("articles", [{"year": 1957}, {"year": 1958}, {"year": 1957}])
            ...     db.query("SELECT year, count(*) AS n FROM articles WHERE year < $1 GROUP BY year", [1958])
            [{'year': 1957, 'n': 2}]
        """
    def query_arrow(
        self,
        sql: str,
        params: Iterable[_Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> QueryResult:
        """Run a query as `query` does and return the rows as Arrow, for pandas, polars, pyarrow and
        other libraries that read Arrow.
        """
    def store_resource(self, resource_id: str, data: bytes, *, trace_context: _Trace = None) -> None:
        """Store bytes under an id, replacing earlier ones."""
    def load_resource(self, resource_id: str, *, trace_context: _Trace = None) -> bytes | None:
        """Return the bytes stored under an id, or `None`."""
    def delete_resource(self, resource_id: str, *, trace_context: _Trace = None) -> None:
        """Delete the bytes stored under an id. Deleting a missing id is not an error."""
    def submit(
        self,
        task: Literal["generate_embeddings", "save_index", "load_index", "compact", "flush_wal"],
        target: str | None = None,
        *,
        trace_context: _Trace = None,
    ) -> Job:
        """Submit a task to run in the background. Its span starts a trace, linked to the current one.

        Closing the database waits up to ten seconds for submitted tasks.

        Args:
            task: `"generate_embeddings"`, `"save_index"` or `"load_index"` for a table, `"compact"`
                for a column family (one of `column_families`), or `"flush_wal"`.
            target: The table or the column family.

        Returns:
            A `Job` that can be waited for.

        Raises:
            JobError: The queue of jobs is full.
            TypeError, ValueError: The task is unknown, or its target is missing.
        """
    def background_status(self) -> dict[str, int]:
        """Return the state of the tasks submitted with `submit`.

        Returns:
            The numbers of jobs that are `queued` and `running`, that `succeeded` and `failed`, of
            attempts `retried`, and of jobs `refused` because the queue was full. All are 0 before
            the first task.
        """
    def column_families(self) -> list[str]:
        """Return the names of the column families, sorted. Each can be compacted."""
    def rebuild_indexes(
        self,
        table: str | None = None,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Rebuild all indexes, or the field indexes of one table, while reads and writes go on.

        Args:
            table: Rebuild only the field indexes of this table.
            on_progress: Called with the number of entities and entries checked so far. It runs
                inside the span of the job, so its spans are children. An exception ends the rebuild
                and is raised here.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Returns:
            The numbers of `entities`, of `missing` and `stale` index entries, and of `failed`
            entities and vectors; and in `unreadable` the names of entities and schemas that cannot
            be read, at most 100.

        Raises:
            OperationTimeoutError: The timeout has passed.
            KeyboardInterrupt: Ctrl-C raises at once. The rebuild stops after the current page and
                keeps its corrections, as it does after a timeout.
        """
    def rebuild_vector_indexes(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Rebuild the vector indexes of all tables from the stored vectors, counted as `entities`.

        `on_progress`, `progress`, `timeout` and Ctrl-C work as in `rebuild_indexes`.
        """
    def load_index(
        self,
        table: str,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> int:
        """Load the vector indexes of a table into memory, as the first search does. Return the number
        of vectors.

        The indexes are read from the files of `submit("save_index", table)` if these are current,
        otherwise built from the stored vectors. An index that is in memory is not loaded again.

        Args:
            on_progress: Called with the number of vectors of an index added so far, as in
                `rebuild_indexes`.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Raises:
            UnknownTableError: The table does not exist.
            OperationTimeoutError: The timeout has passed.
            KeyboardInterrupt: Ctrl-C ends the loading. An index that is not complete is dropped.
        """
    def verify_indexes(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, Any]:
        """Count the differences between the entities and the indexes. Changes nothing.

        Args:
            on_progress, progress: As for `rebuild_indexes`.
            timeout: The longest time in seconds.

        Returns:
            The same as `rebuild_indexes`.
        """
    def flush(self, *, trace_context: _Trace = None) -> None:
        """Write the data in memory to files."""
    def compact(self, *, trace_context: _Trace = None) -> None:
        """Compact every column family. Ctrl-C raises at once; the current column family is finished."""
    def checkpoint(self, path: str | os.PathLike[str], *, trace_context: _Trace = None) -> None:
        """Copy the current state of the database into a new directory. On the same file system, the data
        files of the copy are hard links. Only for a database in a directory; `copy_to` copies others.

        Raises:
            UnsupportedError: The database is on an object store.
        """
    def copy_to(
        self,
        target: str | os.PathLike[str],
        *,
        object_store_options: Mapping[str, str] | None = None,
        object_store_retries: int | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: _Trace = None,
    ) -> dict[str, int]:
        """Copy the database to a new place, from a directory to an object store or back, and compare the
        copy with it, entry by entry.

        The copy has all tenants, and the state at the time of the call: stop writing before, if nothing
        may be missing. Vector indexes are built again by the first search. An interrupted copy is
        incomplete; delete it before another attempt.

        Args:
            target: A new or an empty directory, or the URL of a place without a database.
            object_store_options, object_store_retries: Those of the target, as for `Database`.
            on_progress: Called with the number of entries copied so far, and then with the number
                compared, as in `rebuild_indexes`. An exception ends the copy and is raised here.
            progress: Show a bar, as in `import_jsonl`.
            timeout: The longest time in seconds.

        Returns:
            The numbers of `column_families`, `entries` and `bytes` of the copy.

        Raises:
            OpenError: The target cannot be opened, or has data.
            CorruptionError: The target does not have what was written to it.
            OperationTimeoutError: The timeout has passed.

        Examples:
            >>> with Database(tmp_path / "here") as db:
            ...     db.register_schema("articles", {"key_field": "slug"})
            ...     id = db.insert("articles", {"slug": "percolation"})
            ...     report = db.copy_to(f"file://{tmp_path}/there")
            >>> with Database(f"file://{tmp_path}/there", read_only=True) as copy:
            ...     copy.count("articles")
            1
        """

def set_default_database(database: Database | None, /) -> None:
    """Set the database that module-level functions work on.

    Without this call, they open the directory or the URL in the environment variable
    `PERCOLATE_DATABASE`.

    Args:
        database: The database, or `None` to unset it.
    """
def store_resource_with_trace(
    tenant_id: str, resource_id: str, data: bytes, trace_context: _Trace = None
) -> None:
    """Store bytes under an id of a tenant in the default database, as a child of the caller's span.

    Args:
        tenant_id: The tenant that owns the resource.
        resource_id: The id of the resource. Data stored under it before is replaced.
        data: The bytes.
        trace_context: A `TraceContext`, a mapping of headers as `inject` fills it, or `None` for
            the current Python span.

    Raises:
        MissingError: No default database is set.
    """

# Used only by the Python modules of this package.
@final
class _Cancellation:
    def __new__(cls) -> Self: ...
    def run(self, method: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
    def cancel(self) -> None: ...

def _select_ids(table: str, condition: str) -> str: ...
def _capture(trace_context: _Trace = None) -> bool: ...
def _install_python(
    deliver: Callable[[list[tuple[Any, ...]]], object],
    sampler: object,
    meters: Mapping[str, Any] | None,
    report: tuple[str, dict[str, Any]] | None = None,
) -> None: ...
def _install_rust(export: str, report: str | None = None) -> None: ...
def _set_on_start(function: Callable[[tuple[Any, ...]], dict[str, Any]] | None, /) -> None: ...
def _set_automatic(on: bool, *, at_once: bool = False) -> None: ...
def _force_flush(timeout: float) -> bool: ...
def _is_url(path: str | os.PathLike[str]) -> bool: ...
def _shutdown(
    timeout: float,
) -> tuple[bool, int, str | None, str | None, str | None, tuple[int, int, int], list[list[Any]]]: ...
def _write_report(timeout: float) -> str | None: ...
def _report_span(span: tuple[Any, ...], /) -> None: ...
def _collect(reader: int) -> list[Any]: ...
def _status() -> dict[str, Any]: ...
def _after_fork_in_child() -> bool: ...
