"""Parquet files, read and written by pyarrow, which is imported on demand."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

from ._percolate_rocks import Database, QueryResult

#: The rows that are read together.
ROWS = 8192


def load(call: str) -> tuple[Any, Any]:
    """Return the modules `pyarrow` and `pyarrow.parquet`.

    Raises:
        ImportError: pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(f"{call} needs pyarrow: pip install pyarrow") from error


def import_parquet(
    database: Database, table: str, path: str | os.PathLike[str], **options: Any
) -> dict[str, Any]:
    """Import a Parquet file."""
    pyarrow, parquet = load("import_parquet")
    raised: list[BaseException] = []
    with parquet.ParquetFile(os.fspath(path)) as file:

        def batches() -> Iterator[Any]:
            # An exception does not pass through Arrow's interface, which keeps its text only.
            try:
                yield from file.iter_batches(batch_size=ROWS)
            except GeneratorExit:
                raise
            except BaseException as error:
                raised.append(error)
                raise

        rows = pyarrow.RecordBatchReader.from_batches(file.schema_arrow, batches())
        try:
            return database.insert_arrow(table, rows, **options)
        except Exception as error:
            if raised:
                raise raised[0] from error
            raise


def export_parquet(database: Database, table: str, path: str | os.PathLike[str], **options: Any) -> int:
    """Write a Parquet file, and replace the one at the path when it is complete."""
    pyarrow, parquet = load("export_parquet")
    target = os.path.realpath(path)
    partial = f"{target}.{uuid.uuid4()}.partial"
    writers: list[Any] = []
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(partial, "xb"))
        # It has its new name after a complete export.
        stack.callback(pathlib.Path(partial).unlink, missing_ok=True)

        def write(batch: QueryResult) -> None:
            rows = pyarrow.table(batch)
            if not writers:
                writers.append(parquet.ParquetWriter(file, rows.schema))
            writers[0].write_table(rows)

        try:
            written = database._export_arrow(table, write, **options)
        finally:
            for writer in writers:
                writer.close()
        file.flush()
        os.fsync(file.fileno())
        os.replace(partial, target)
    return written
