"""Where tests open their databases: in a directory, or with `PERCOLATE_TEST_ENGINE=slatedb` in an object store of
files. Tests that are about RocksDB are marked with `rocksdb` and the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ENGINE = os.environ.get("PERCOLATE_TEST_ENGINE", "rocksdb")
if ENGINE not in ("rocksdb", "slatedb"):
    raise pytest.UsageError(f"PERCOLATE_TEST_ENGINE must be rocksdb or slatedb, not {ENGINE}")


def place(directory: Path) -> Path | str:
    """Return what `Database` opens in a directory."""
    return f"file://{directory}" if ENGINE == "slatedb" else directory
