"""Parquet files, read and written by pyarrow, which is imported on demand."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pathlib
import stat
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
    writers: list[Any] = []

    def write_to(file: Any) -> int:
        def write(batch: QueryResult) -> None:
            rows = pyarrow.table(batch)
            if not writers:
                writers.append(parquet.ParquetWriter(file, rows.schema))
            writers[0].write_table(rows)

        try:
            return database._export_arrow(table, write, **options)
        finally:
            for writer in writers:
                writer.close()

    if os.path.exists(target) and not os.path.isfile(target):
        # A pipe or a device is written directly.
        with open(target, "wb") as file:
            return write_to(file)
    partial = f"{target}.{uuid.uuid4()}.partial"
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(create(partial, target))
        # It has its new name after a complete export.
        stack.callback(pathlib.Path(partial).unlink, missing_ok=True)
        written = write_to(file)
        file.flush()
        os.fsync(file.fileno())
        os.replace(partial, target)
    return written


def create(path: str, target: str) -> io.BufferedWriter:
    """Create a file that replaces the target, with its permissions and, if possible, its owner."""
    try:
        earlier = os.stat(target)
    except FileNotFoundError:
        return open(path, "xb")
    # Only its owner can open the file until it has its permissions.
    file = open(path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600))
    try:
        if hasattr(os, "fchown"):
            # Only the superuser can give a file away.
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), earlier.st_uid, earlier.st_gid)
        os.chmod(path, stat.S_IMODE(earlier.st_mode))
    except BaseException:
        file.close()
        os.unlink(path)
        raise
    return file
