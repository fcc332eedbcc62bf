"""`AsyncDatabase`: the database for asyncio, on two pools of threads.

The event loop is never blocked. Queries, searches and jobs have their own threads, so that they do
not delay other calls. Each call runs in a copy of the caller's context variables, so that Rust
spans are children of the awaiting Python span. Cancelling an await ends a query, a search or a job;
another call that has begun is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar
from uuid import UUID

from ._embedder import Embedder
from ._percolate_rocks import (
    Batch,
    ClosedError,
    Database,
    Job,
    OperationTimeoutError,
    QueryResult,
    TraceContext,
    _Cancellation,
)
from ._progress import Progress
from ._tables import AsyncTable
from ._types import Array, Arrow, Data, File, Key, Row, Value, Vectors

P = ParamSpec("P")
T = TypeVar("T")

Trace = TraceContext | Mapping[str, str] | None

_END = object()
#: A value or bound that was not passed. `None` is a value.
_OMITTED: Any = object()


class AsyncJob:
    """A `Job` that is awaited, with `await job` or `await job.wait(timeout)`, without a thread."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def task(self) -> str:
        """The name of the task, as passed to `submit`."""
        return self._job.task

    @property
    def target(self) -> str | None:
        """The table or column family, as passed to `submit`, or `None`."""
        return self._job.target

    @property
    def status(self) -> Literal["pending", "succeeded", "failed"]:
        """See `Job.status`."""
        return self._job.status

    @property
    def done(self) -> bool:
        """Whether the job has ended, successfully or not."""
        return self._job.done

    async def wait(self, timeout: float | None = None) -> bool:
        """See `Job.wait`."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def job_ended() -> None:
            # The loop may have been closed meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        self._job._add_done_callback(job_ended)
        try:
            await asyncio.wait_for(ended.wait(), timeout)
        except asyncio.TimeoutError:
            return False
        return self._job.wait(0)

    def __await__(self) -> Generator[Any, None, bool]:
        return self.wait().__await__()

    def __repr__(self) -> str:
        return repr(self._job).replace("<Job", "<AsyncJob", 1)


class AsyncBatch:
    """A `Batch` whose `commit` is awaited; returned by `AsyncDatabase.batch`.

    Leaving the `async with` block commits the writes; an exception in it discards them.
    """

    def __init__(self, database: AsyncDatabase, batch: Batch) -> None:
        self._database = database
        self._batch = batch
        #: See the methods of `Batch`. They check data and do not wait for the disk.
        self.insert = batch.insert
        self.upsert = batch.upsert
        self.update = batch.update
        self.delete = batch.delete

    async def commit(self, *, trace_context: Trace = None) -> int:
        """See `Batch.commit`."""
        return await self._database._run(self._batch.commit, trace_context=trace_context)

    def __len__(self) -> int:
        return len(self._batch)

    async def __aenter__(self) -> AsyncBatch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.commit()
        else:
            self._batch.__exit__(kind, error, traceback)


class AsyncDatabase:
    """A `Database` whose methods are awaited.

    Create it with `await AsyncDatabase.open(path)`, or from an open `Database`, which it then owns.

    Args:
        database: The database. It is closed with this object.
        threads: The largest number of concurrent queries, searches and jobs, and of other
            concurrent calls. The default is that of `ThreadPoolExecutor`.

    Examples:
        >>> import asyncio
        >>> async def main():
        ...     async with await AsyncDatabase.open(tmp_path / "db") as db:
        ...         slug = {"type": "string"}
        ...         await db.register_schema("articles", {"properties": {"slug": slug}, "key_field": "slug"})
        ...         await db.insert("articles", {"slug": "percolation"})
        ...         return await db.count("articles")
        >>> asyncio.run(main())
        1
    """

    def __init__(self, database: Database, *, threads: int | None = None) -> None:
        if not isinstance(database, Database):
            raise TypeError(
                f"AsyncDatabase takes an open Database, not {type(database).__name__}; "
                "use `await AsyncDatabase.open(path)` for a path"
            )
        self._database = database
        self._threads = threads
        self._closing = False
        self._calls = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="percolate-async")
        self._work = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="percolate-async-work")
        self._pending: set[Future[Any]] = set()

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
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
    ) -> AsyncDatabase:
        """Open a database without blocking the event loop. `threads` is that of this class, the other
        arguments are those of `Database`."""
        database = await asyncio.to_thread(
            Database,
            path,
            tenant=tenant,
            namespace=namespace,
            create_if_missing=create_if_missing,
            read_only=read_only,
            refresh_every=refresh_every,
            sync=sync,
            server_address=server_address,
            cache_size=cache_size,
            memory_table_limit=memory_table_limit,
            query_memory_limit=query_memory_limit,
            embedder=embedder,
            object_store_options=object_store_options,
            flush_interval=flush_interval,
            object_store_retries=object_store_retries,
        )
        return cls(database, threads=threads)

    @property
    def database(self) -> Database:
        """The underlying database."""
        return self._database

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing or self._database.closed

    def for_tenant(self, tenant: str) -> AsyncDatabase:
        """See `Database.for_tenant`. The result has its own threads and must be closed too."""
        return AsyncDatabase(self._database.for_tenant(tenant), threads=self._threads)

    def skip_malformed(self) -> AsyncDatabase:
        """See `Database.skip_malformed`. The result has its own threads and must be closed too."""
        return AsyncDatabase(self._database.skip_malformed(), threads=self._threads)

    async def close(self, *, timeout: float | None = None) -> None:
        """Close the database as `Database.close` does, without blocking the event loop.

        Queries, searches and jobs are ended and raise a `ClosedError`; other calls are waited for,
        at most `timeout` seconds with the rest of closing. Closing again does nothing.

        Raises:
            OperationTimeoutError: The timeout has passed. Closing continues.
        """
        if self._closing:
            return
        self._closing = True
        # A thread of its own: all others may be busy. It finishes even if this task is cancelled.
        closer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="percolate-async-close")
        closed = closer.submit(contextvars.copy_context().run, self._finish, timeout)
        for executor in (closer, self._calls, self._work):
            executor.shutdown(wait=False)
        await asyncio.wrap_future(closed)

    def _finish(self, timeout: float | None) -> None:
        started = time.monotonic()
        wait(list(self._pending), timeout)
        if timeout is not None:
            timeout = max(0.0, timeout - (time.monotonic() - started))
        self._database.close(timeout=timeout)

    async def __aenter__(self) -> AsyncDatabase:
        self._refuse_closed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _refuse_closed(self) -> None:
        if self.closed:
            raise ClosedError(f"cannot use the database at {self._database.path}: it is closed; open it again")

    def _submit(self, executor: ThreadPoolExecutor, call: Callable[[], T]) -> Future[T]:
        """Run a call on a thread, with the caller's context variables."""
        self._refuse_closed()
        try:
            return executor.submit(contextvars.copy_context().run, call)
        except RuntimeError:
            # Another thread has closed the database meanwhile.
            self._refuse_closed()
            raise

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short call. Closing waits for it."""
        future = self._submit(self._calls, functools.partial(call, *args, **kwargs))
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return await asyncio.wrap_future(future)

    async def _run_long(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query, a search or a job. Cancelling the task and closing end it."""
        cancellation = _Cancellation()
        future = self._submit(self._work, functools.partial(cancellation.run, call, *args, **kwargs))
        waiting = asyncio.wrap_future(future)
        try:
            timeout: Any = kwargs.get("timeout")
            if timeout is not None and timeout > 0:
                await asyncio.wait([waiting], timeout=timeout)
                # Succeeds only if all threads were busy and the call has not begun.
                if future.cancel():
                    raise OperationTimeoutError(f"the call did not end within its timeout of {timeout} s")
            return await waiting
        except asyncio.CancelledError:
            future.cancel()
            cancellation.cancel()
            raise

    async def register_schema(
        self, table: str, schema: Mapping[str, Any], *, trace_context: Trace = None
    ) -> dict[str, Any] | None:
        """See `Database.register_schema`."""
        return await self._run(self._database.register_schema, table, schema, trace_context=trace_context)

    async def table(
        self,
        name: str,
        model: type[T],
        *,
        key_field: str | None = None,
        indexed_fields: Iterable[str] | None = None,
        embedding_fields: Iterable[str] | None = None,
        embed: Literal["queued", "on_write"] | None = None,
        id_field: str | None = None,
        created_at_field: str | None = None,
        updated_at_field: str | None = None,
        trace_context: Trace = None,
    ) -> AsyncTable[T]:
        """See `Database.table`."""
        table = await self._run(
            self._database.table,
            name,
            model,
            key_field=key_field,
            indexed_fields=indexed_fields,
            embedding_fields=embedding_fields,
            embed=embed,
            id_field=id_field,
            created_at_field=created_at_field,
            updated_at_field=updated_at_field,
            trace_context=trace_context,
        )
        return AsyncTable(self, table)

    async def drop_table(self, table: str, *, trace_context: Trace = None) -> None:
        """See `Database.drop_table`."""
        await self._run(self._database.drop_table, table, trace_context=trace_context)

    async def schema(self, table: str) -> dict[str, Any]:
        """See `Database.schema`."""
        return await self._run(self._database.schema, table)

    async def tables(self) -> list[str]:
        """See `Database.tables`."""
        return await self._run(self._database.tables)

    async def unusable_tables(self) -> dict[str, str]:
        """See `Database.unusable_tables`."""
        return await self._run(self._database.unusable_tables)

    async def column_families(self) -> list[str]:
        """See `Database.column_families`."""
        return await self._run(self._database.column_families)

    async def insert(
        self, table: str, data: Data, *, vectors: Vectors | None = None, trace_context: Trace = None
    ) -> str:
        """See `Database.insert`."""
        return await self._run(self._database.insert, table, data, vectors=vectors, trace_context=trace_context)

    async def insert_with_trace(self, table: str, data: Data, trace_context: Trace = None) -> str:
        """See `Database.insert_with_trace`."""
        return await self._run(self._database.insert_with_trace, table, data, trace_context)

    async def upsert(
        self, table: str, data: Data, *, vectors: Vectors | None = None, trace_context: Trace = None
    ) -> str:
        """See `Database.upsert`."""
        return await self._run(self._database.upsert, table, data, vectors=vectors, trace_context=trace_context)

    async def insert_many(
        self,
        table: str,
        data: Iterable[Data],
        *,
        vectors: Iterable[Vectors | None] | None = None,
        trace_context: Trace = None,
    ) -> list[str]:
        """See `Database.insert_many`."""
        return await self._run(
            self._database.insert_many, table, data, vectors=vectors, trace_context=trace_context
        )

    async def update(
        self,
        table: str,
        id: str | UUID | None = None,
        changes: Data | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        vectors: Vectors | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.update`."""
        return await self._run(
            self._database.update,
            table,
            id,
            changes,
            key=key,
            if_unchanged_since=if_unchanged_since,
            vectors=vectors,
            trace_context=trace_context,
        )

    async def update_where(
        self,
        table: str,
        where: str,
        changes: Data,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Database.update_where`."""
        return await self._run_long(
            self._database.update_where, table, where, changes, params, timeout=timeout, trace_context=trace_context
        )

    async def delete_where(
        self,
        table: str,
        where: str,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Database.delete_where`."""
        return await self._run_long(
            self._database.delete_where, table, where, params, timeout=timeout, trace_context=trace_context
        )

    def batch(self) -> AsyncBatch:
        """See `Database.batch`. Writes are added without waiting, and `commit` is awaited.

        Examples:
            >>> import asyncio
            >>> async def main():
            ...     async with await AsyncDatabase.open(tmp_path / "batch") as db:
            ...         await db.register_schema("articles", {"key_field": "slug"})
            ...         async with db.batch() as batch:
            ...             _ = batch.insert("articles", {"slug": "percolation"})
            ...         return await db.count("articles")
            >>> asyncio.run(main())
            1
        """
        self._refuse_closed()
        return AsyncBatch(self, self._database.batch())

    async def get(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: Key | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any] | None:
        """See `Database.get`."""
        return await self._run(self._database.get, table, id, key=key, trace_context=trace_context)

    async def get_many(
        self,
        table: str,
        ids: Iterable[str | UUID] | None = None,
        *,
        keys: Iterable[Key] | None = None,
        trace_context: Trace = None,
    ) -> list[dict[str, Any] | None]:
        """See `Database.get_many`."""
        return await self._run(self._database.get_many, table, ids, keys=keys, trace_context=trace_context)

    async def lookup(self, table: str, key: Key, *, trace_context: Trace = None) -> dict[str, Any] | None:
        """See `Database.lookup`."""
        return await self._run(self._database.lookup, table, key, trace_context=trace_context)

    async def find(
        self,
        table: str,
        field: str,
        value: Value = _OMITTED,
        *,
        ge: Value = _OMITTED,
        gt: Value = _OMITTED,
        le: Value = _OMITTED,
        lt: Value = _OMITTED,
        trace_context: Trace = None,
    ) -> list[dict[str, Any]]:
        """See `Database.find`."""
        bounds = {"value": value, "ge": ge, "gt": gt, "le": le, "lt": lt}
        passed: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not _OMITTED}
        return await self._run(self._database.find, table, field, trace_context=trace_context, **passed)

    async def scan(
        self, table: str, *, page_size: int = 256, trace_context: Trace = None
    ) -> AsyncIterator[dict[str, Any]]:
        """See `Database.scan`, for `async for`."""
        entities = await self._run(self._database.scan, table, page_size=page_size, trace_context=trace_context)
        while (entity := await self._run(next, entities, _END)) is not _END:
            yield entity  # type: ignore[misc]

    async def count(self, table: str, *, trace_context: Trace = None) -> int:
        """See `Database.count`."""
        return await self._run(self._database.count, table, trace_context=trace_context)

    async def delete(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        trace_context: Trace = None,
    ) -> bool:
        """See `Database.delete`."""
        return await self._run(
            self._database.delete,
            table,
            id,
            key=key,
            if_unchanged_since=if_unchanged_since,
            trace_context=trace_context,
        )

    async def purge(
        self,
        table: str,
        id: str | UUID | None = None,
        *,
        key: Key | None = None,
        trace_context: Trace = None,
    ) -> bool:
        """See `Database.purge`."""
        return await self._run(self._database.purge, table, id, key=key, trace_context=trace_context)

    async def import_jsonl(
        self,
        table: str,
        source: str | os.PathLike[str] | Iterable[Row],
        *,
        on_error: Literal["abort", "skip"] = "abort",
        existing: Literal["error", "replace", "skip"] = "error",
        batch_size: int = 1000,
        max_line_length: int | None = None,
        ignore_vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.import_jsonl`. The iterable and `on_progress` run on another thread."""
        return await self._run_long(
            self._database.import_jsonl,
            table,
            source,
            on_error=on_error,
            existing=existing,
            batch_size=batch_size,
            max_line_length=max_line_length,
            ignore_vectors=ignore_vectors,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def insert_arrow(
        self,
        table: str,
        data: Arrow,
        *,
        on_error: Literal["abort", "skip"] = "abort",
        existing: Literal["error", "replace", "skip"] = "error",
        batch_size: int = 1000,
        ignore_vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.insert_arrow`. The data is read on another thread."""
        return await self._run_long(
            self._database.insert_arrow,
            table,
            data,
            on_error=on_error,
            existing=existing,
            batch_size=batch_size,
            ignore_vectors=ignore_vectors,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def export_jsonl(
        self,
        table: str,
        target: str | os.PathLike[str] | File,
        *,
        vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Database.export_jsonl`. The file and `on_progress` are used on another thread."""
        return await self._run_long(
            self._database.export_jsonl,
            table,
            target,
            vectors=vectors,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def import_parquet(
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
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.import_parquet`."""
        return await self._run_long(
            self._database.import_parquet,
            table,
            path,
            on_error=on_error,
            existing=existing,
            batch_size=batch_size,
            ignore_vectors=ignore_vectors,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def export_parquet(
        self,
        table: str,
        path: str | os.PathLike[str],
        *,
        vectors: bool = False,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Database.export_parquet`."""
        return await self._run_long(
            self._database.export_parquet,
            table,
            path,
            vectors=vectors,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def generate_embeddings(
        self,
        table: str,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, int]:
        """See `Database.generate_embeddings`. The embedder and `on_progress` run on another thread."""
        return await self._run_long(
            self._database.generate_embeddings,
            table,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def refresh(self, *, trace_context: Trace = None) -> None:
        """See `Database.refresh`."""
        await self._run(self._database.refresh, trace_context=trace_context)

    async def embedding_status(self, table: str, *, trace_context: Trace = None) -> dict[str, Any]:
        """See `Database.embedding_status`."""
        return await self._run(self._database.embedding_status, table, trace_context=trace_context)

    async def retry_refused_embeddings(self, table: str, *, trace_context: Trace = None) -> int:
        """See `Database.retry_refused_embeddings`."""
        return await self._run(self._database.retry_refused_embeddings, table, trace_context=trace_context)

    async def mark_for_embedding(self, table: str, *, trace_context: Trace = None) -> int:
        """See `Database.mark_for_embedding`."""
        return await self._run(self._database.mark_for_embedding, table, trace_context=trace_context)

    async def search(
        self,
        table: str,
        text: str,
        limit: int = 10,
        *,
        where: str | Callable[[dict[str, Any]], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[dict[str, Any], float]]:
        """See `Database.search`. `where` and `on_progress` run on another thread."""
        return await self._run_long(
            self._database.search,
            table,
            text,
            limit,
            where=where,
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def search_vector(
        self,
        table: str,
        vector: Sequence[float] | Array,
        limit: int = 10,
        *,
        where: str | Callable[[dict[str, Any]], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[dict[str, Any], float]]:
        """See `Database.search_vector`. `where` and `on_progress` run on another thread."""
        return await self._run_long(
            self._database.search_vector,
            table,
            vector,
            limit,
            where=where,
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def query(
        self,
        sql: str,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[dict[str, Any]]:
        """See `Database.query`."""
        return await self._run_long(self._database.query, sql, params, timeout=timeout, trace_context=trace_context)

    async def query_arrow(
        self,
        sql: str,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> QueryResult:
        """See `Database.query_arrow`."""
        return await self._run_long(
            self._database.query_arrow, sql, params, timeout=timeout, trace_context=trace_context
        )

    async def store_resource(self, resource_id: str, data: bytes, *, trace_context: Trace = None) -> None:
        """See `Database.store_resource`."""
        await self._run(self._database.store_resource, resource_id, data, trace_context=trace_context)

    async def load_resource(self, resource_id: str, *, trace_context: Trace = None) -> bytes | None:
        """See `Database.load_resource`."""
        return await self._run(self._database.load_resource, resource_id, trace_context=trace_context)

    async def delete_resource(self, resource_id: str, *, trace_context: Trace = None) -> None:
        """See `Database.delete_resource`."""
        await self._run(self._database.delete_resource, resource_id, trace_context=trace_context)

    async def submit(
        self,
        task: Literal["generate_embeddings", "save_index", "load_index", "compact", "flush_wal"],
        target: str | None = None,
        *,
        trace_context: Trace = None,
    ) -> AsyncJob:
        """See `Database.submit`. Returns when the task is submitted."""
        return AsyncJob(await self._run(self._database.submit, task, target, trace_context=trace_context))

    async def background_status(self) -> dict[str, int]:
        """See `Database.background_status`."""
        return await self._run(self._database.background_status)

    async def rebuild_indexes(
        self,
        table: str | None = None,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.rebuild_indexes`. `on_progress` runs on another thread."""
        return await self._run_long(
            self._database.rebuild_indexes,
            table,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def rebuild_vector_indexes(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.rebuild_vector_indexes`. `on_progress` runs on another thread."""
        return await self._run_long(
            self._database.rebuild_vector_indexes,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def load_index(
        self,
        table: str,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Database.load_index`. `on_progress` runs on another thread."""
        return await self._run_long(
            self._database.load_index,
            table,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def verify_indexes(
        self,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, Any]:
        """See `Database.verify_indexes`. `on_progress` runs on another thread."""
        return await self._run_long(
            self._database.verify_indexes,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def flush(self, *, trace_context: Trace = None) -> None:
        """See `Database.flush`."""
        await self._run(self._database.flush, trace_context=trace_context)

    async def compact(self, *, trace_context: Trace = None) -> None:
        """See `Database.compact`."""
        await self._run_long(self._database.compact, trace_context=trace_context)

    async def checkpoint(self, path: str | os.PathLike[str], *, trace_context: Trace = None) -> None:
        """See `Database.checkpoint`."""
        await self._run_long(self._database.checkpoint, path, trace_context=trace_context)

    async def copy_to(
        self,
        target: str | os.PathLike[str],
        *,
        object_store_options: Mapping[str, str] | None = None,
        object_store_retries: int | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> dict[str, int]:
        """See `Database.copy_to`. `on_progress` runs on another thread."""
        return await self._run_long(
            self._database.copy_to,
            target,
            object_store_options=object_store_options,
            object_store_retries=object_store_retries,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )
