"""Typical code of users. mypy --strict checks it against the stub; it is never run."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from typing_extensions import assert_type

import percolate_rocks
from percolate_rocks import (
    AsyncDatabase,
    AsyncJob,
    AsyncTable,
    Database,
    ExistsError,
    HttpEmbeddings,
    Job,
    QueryResult,
    Table,
    TraceContext,
)


def synchronous(path: Path) -> None:
    with Database(path, tenant="t", namespace="n", read_only=False) as db:
        db.register_schema("articles", {"key_field": "slug"})
        id = assert_type(db.insert("articles", {"slug": "a"}), str)
        entity = db.get("articles", UUID(id))
        if entity is not None:
            print(entity["slug"])
        for entity in db.scan("articles", page_size=10):
            print(entity["_id"])
        db.insert_with_trace("articles", {"slug": "b"}, TraceContext({"traceparent": "x"}))
        db.load_resource("r", trace_context={"traceparent": "x"})
        try:
            db.insert("articles", {"slug": "a"})
        except ExistsError as error:
            assert_type(error.error_type, str)
            assert_type(error.status_code, str | None)
        for row in db.query("SELECT slug FROM articles WHERE seen < $1 AND year = $2", [date(2020, 1, 1), 1957]):
            assert_type(row, dict[str, Any])
        result = assert_type(db.query_arrow("SELECT * FROM articles", ("a", None)), QueryResult)
        print(result.column_names[0], len(result), result.to_dicts()[0]["slug"])
        job = assert_type(db.submit("compact", "entities"), Job)
        assert_type(job.status, Literal["pending", "succeeded", "failed"])
        assert_type(job.wait(timeout=1), bool)
        db.rebuild_vector_indexes(on_progress=print)
        with db.batch() as batch:
            assert_type(batch.insert("articles", {"slug": "a"}), str)
            batch.update("articles", id, {"n": 1}, if_unchanged_since=datetime.now())
        assert_type(db.update_where("articles", "n = $1", {"n": 2}, [1]), int)
        assert_type(db.delete_where("articles", "true"), int)
        assert_type(db.register_schema("articles", {}), dict[str, Any] | None)
        db.drop_table("articles")
    Database(path, embedder=HttpEmbeddings("http://localhost/", "model", 384), query_memory_limit=1 << 30).close()
    Database(path, cache_size=1 << 20, memory_table_limit=1 << 24).close(timeout=1.0)
    Database("s3://bucket/prefix", object_store_options={"aws_region": "x"}, object_store_retries=3).close()
    with Database("memory:///name", flush_interval=0.05) as stored:
        assert_type(stored.path, Path | str)
        assert_type(stored.system, Literal["rocksdb", "slatedb"])
    Database("file:///directory", read_only=True, refresh_every=1.5).close()
    assert_type(percolate_rocks.force_flush(timeout=1.0), bool)
    assert_type(percolate_rocks.status()["spans_dropped"], int)
    percolate_rocks.configure("console")


@dataclass
class Article:
    slug: str
    price: Decimal


def transfers(db: Database, path: Path) -> None:
    assert_type(db.import_jsonl("articles", path, on_error="skip", existing="replace"), dict[str, Any])
    with path.open() as text, path.open("wb") as data:
        db.import_jsonl("articles", text, on_progress=print)
        assert_type(db.export_jsonl("articles", data, vectors=True), int)
    db.import_jsonl("articles", [{"slug": "a"}, Article("b", Decimal(1)), '{"slug": "c"}', b"{}"], ignore_vectors=True)


def tables(db: Database) -> None:
    table = assert_type(db.table("articles", Article, key_field="slug", indexed_fields=["price"]), Table[Article])
    assert_type(table.insert(Article("a", Decimal(1))), str)
    assert_type(table.get(key="a"), Article | None)
    assert_type(table.where("price < $1", [2], order_by="price", limit=1), list[Article])
    assert_type(table.search("text", where=lambda article: article.price > 1), list[tuple[Article, float]])
    assert_type(table.search_vector([1.0], where="price > $1", params=["1"]), list[tuple[Article, float]])
    assert_type(table.search_vector(Array(), 1), list[tuple[Article, float]])
    assert_type(db.search_vector("articles", Array()), list[tuple[dict[str, Any], float]])
    assert_type(table.update_where("price = $1", {"price": Decimal(2)}, ["1"]), int)
    assert_type(table.delete_where("true"), int)
    for article in table.scan():
        assert_type(article, Article)


class Array:
    """Has the method of an array of numpy."""

    def tolist(self) -> Any:
        return [1.0]


async def asynchronous_tables(db: AsyncDatabase) -> None:
    table = assert_type(await db.table("articles", Article, key_field="slug"), AsyncTable[Article])
    assert_type(await table.get(key="a"), Article | None)
    assert_type(await table.insert_many([Article("a", Decimal(1))]), list[str])
    async for article in table.scan():
        assert_type(article, Article)


class Model:
    def model_dump(self, *, mode: str = "python", by_alias: bool | None = None, **more: Any) -> dict[str, Any]:
        return {}


def types_beyond_json(db: Database) -> None:
    db.insert_many("articles", [Article("a", Decimal(1)), Model(), {"seen": date(2020, 1, 1)}])
    db.find("articles", "seen", ge=date(2020, 1, 1), lt=None)
    db.get("articles", key=UUID(int=1))
    db.update("articles", changes={"n": 1}, key="a")
    db.insert("articles", 5)  # type: ignore[arg-type]
    db.find("articles", "n", object())  # type: ignore[arg-type]


async def asynchronous(path: str) -> None:
    await AsyncDatabase.open(path, tenants="t")  # type: ignore[call-arg]
    async with await AsyncDatabase.open(path, tenant="t") as db:
        assert_type(await db.find("articles", "n", ge=1, lt=None), list[dict[str, Any]])
        await db.find("articles", "n", more=1)  # type: ignore[call-arg]
        await db.find("articles", "n", 1, 2)  # type: ignore[call-arg]
        assert_type(await db.insert("articles", {"slug": "a"}), str)
        assert_type(await db.query("SELECT 1", [1]), list[dict[str, Any]])
        job = assert_type(await db.submit("flush_wal"), AsyncJob)
        assert_type(await job, bool)
        async for entity in db.scan("articles"):
            print(entity["_id"])
        async with db.batch() as batch:
            assert_type(batch.insert("articles", {"slug": "a"}), str)
        assert_type(await batch.commit(), int)
        assert_type(await db.delete_where("articles", "n = $1", [1]), int)


asyncio.run(asynchronous("x"))
