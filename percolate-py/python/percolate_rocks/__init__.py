"""percolate: an embedded database, on RocksDB or an object store, whose Rust spans appear in your OpenTelemetry traces.

    from percolate_rocks import Database

    with Database("data") as db:
        db.register_schema("articles", {
            "properties": {"slug": {"type": "string"}, "year": {"type": "integer"}},
            "key_field": "slug",
        })
        db.insert("articles", {"slug": "percolation", "year": 1957})

If the application has an OpenTelemetry `TracerProvider`, nothing needs to be configured: each call
runs as a child of the current Python span, and finished Rust spans reach the application's
exporters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._async import AsyncBatch, AsyncDatabase, AsyncJob
from ._embedder import Embedder
from ._percolate_rocks import (
    Batch,
    ClosedError,
    ConflictError,
    CorruptionError,
    Database,
    DiskFullError,
    EmbeddingError,
    EntityError,
    ExistsError,
    FencedError,
    ForkedError,
    FormatError,
    HttpEmbeddings,
    InternalError,
    Job,
    JobError,
    LockedError,
    MaintenanceError,
    MissingError,
    NoKeyError,
    NotEmbeddedError,
    NotFoundError,
    NotIndexedError,
    OpenError,
    OperationTimeoutError,
    PercolateError,
    PoisonedError,
    QueryError,
    QueryResult,
    ReadError,
    ReadOnlyError,
    RowsRefusedError,
    SchemaError,
    TraceContext,
    UnavailableError,
    UnknownTableError,
    UnsupportedError,
    UrlError,
    WriteError,
    __version__,
    set_default_database,
    store_resource_with_trace,
)
from ._progress import Progress
from ._tables import AsyncTable, Table
from ._telemetry import Status, configure, force_flush, shutdown, status

if TYPE_CHECKING:
    from ._instrumentor import PercolateInstrumentor as PercolateInstrumentor

__all__ = [
    "AsyncBatch",
    "AsyncDatabase",
    "AsyncJob",
    "AsyncTable",
    "Batch",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "Database",
    "DiskFullError",
    "Embedder",
    "EmbeddingError",
    "EntityError",
    "ExistsError",
    "FencedError",
    "ForkedError",
    "FormatError",
    "HttpEmbeddings",
    "InternalError",
    "Job",
    "JobError",
    "LockedError",
    "MaintenanceError",
    "MissingError",
    "NoKeyError",
    "NotEmbeddedError",
    "NotFoundError",
    "NotIndexedError",
    "OpenError",
    "OperationTimeoutError",
    "PercolateError",
    "PoisonedError",
    "Progress",
    "QueryError",
    "QueryResult",
    "ReadError",
    "ReadOnlyError",
    "RowsRefusedError",
    "SchemaError",
    "Status",
    "Table",
    "TraceContext",
    "UnavailableError",
    "UnknownTableError",
    "UnsupportedError",
    "UrlError",
    "WriteError",
    "__version__",
    "configure",
    "force_flush",
    "set_default_database",
    "shutdown",
    "status",
    "store_resource_with_trace",
]


# `PercolateInstrumentor` is not in `__all__`: a star import must not need its dependencies.
def __getattr__(name: str) -> object:
    # Imported on demand: only the instrumentor needs `opentelemetry-instrumentation`.
    if name == "PercolateInstrumentor":
        try:
            from ._instrumentor import PercolateInstrumentor
        except ImportError as error:
            from ._distribution import name as distribution_name

            packages = "opentelemetry-instrumentation and opentelemetry-sdk"
            extra = f": pip install '{distribution_name()}[opentelemetry]'" if distribution_name() else ""
            raise ImportError(f"PercolateInstrumentor needs {packages}{extra}") from error
        return PercolateInstrumentor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
