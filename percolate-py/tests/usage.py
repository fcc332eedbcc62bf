"""What users write, checked by mypy --strict and never run: the stub is the contract."""

import asyncio
from pathlib import Path
from uuid import UUID

from typing_extensions import assert_type

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database, ExistsError, TraceContext


def synchronous(path: Path) -> None:
    with Database(path, tenant="t", namespace="n", read_only=False) as db:
        db.register_schema("articles", {"key_field": "slug"})
        id = assert_type(db.insert("articles", {"slug": "a"}), str)
        entity = db.get("articles", UUID(id))
        if entity is not None:
            print(entity["slug"])
        for entity in db.scan("articles", page=10):
            print(entity["id"])
        db.insert_with_trace("articles", {"slug": "b"}, TraceContext({"traceparent": "x"}))
        db.load_resource("r", trace_context={"traceparent": "x"})
        try:
            db.insert("articles", {"slug": "a"})
        except ExistsError as error:
            assert_type(error.error_type, str)
            assert_type(error.status_code, str | None)
    assert_type(percolate_rocks.force_flush(timeout=1.0), bool)
    assert_type(percolate_rocks.status()["spans_dropped"], int)
    percolate_rocks.configure("console")


async def asynchronous(path: str) -> None:
    async with await AsyncDatabase.open(path, tenant="t") as db:
        assert_type(await db.insert("articles", {"slug": "a"}), str)
        async for entity in db.scan("articles"):
            print(entity["id"])


asyncio.run(asynchronous("x"))
