"""Fixtures of the wheel's tests. Tests set nothing global: providers are private, and delivery ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from percolate_rocks import Database

SCHEMA = {"key_field": "slug", "indexed_fields": ["year"]}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "db", namespace="library") as database:
        database.register_schema("articles", SCHEMA)
        yield database
