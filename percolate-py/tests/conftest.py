"""Fixtures of the wheel's tests. Tests set nothing global: providers are private, and delivery ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from place import ENGINE, place

from percolate_rocks import Database

SCHEMA = {"key_field": "slug", "indexed_fields": ["year"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests about RocksDB where tests run over another engine."""
    for item in items:
        mark = item.get_closest_marker("rocksdb")
        if mark is not None and ENGINE != "rocksdb":
            item.add_marker(pytest.mark.skip(reason=f"RocksDB only: {mark.args[0]}"))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(place(tmp_path / "db"), namespace="library") as database:
        database.register_schema("articles", SCHEMA)
        yield database
