"""Tables that embed texts on write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {
    "properties": {"slug": {"type": "string"}, "body": {"type": "string"}, "n": {"type": "integer"}},
    "key_field": "slug",
    "embedding_fields": ["body"],
    "embed": "on_write",
}


class Lengths:
    """The vector of a text is its length and 1. It fails for `poison`."""

    name = "lengths"
    dimensions = 2

    def __init__(self, spans: CapturedSpans | None = None) -> None:
        self.texts: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self._spans = spans

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        self.meanwhile()
        if self._spans is not None:
            with self._spans.tracer().start_as_current_span("model"):
                pass
        if "poison" in texts:
            raise LookupError("this text has no vector")
        return [[float(len(text)), 1.0] for text in texts]

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts


def opened(path: Path, embedder: Lengths) -> Database:
    db = Database(place(path), embedder=embedder)
    db.register_schema("articles", SCHEMA)
    return db


def writes(db: Database, text: str) -> list[Callable[[], object]]:
    """The writes of all kinds, which need the entity `old`."""

    def batch() -> None:
        with db.batch() as batch:
            batch.insert("articles", {"slug": "e", "body": text})

    return [
        lambda: db.insert("articles", {"slug": "a", "body": text}),
        lambda: db.insert_with_trace("articles", {"slug": "b", "body": text}),
        lambda: db.upsert("articles", {"slug": "c", "body": text}),
        lambda: db.insert_many("articles", [{"slug": "d", "body": text}]),
        batch,
        lambda: db.update("articles", key="old", changes={"body": text}),
        lambda: db.update_where("articles", "slug = 'old'", {"body": text + text if text != "poison" else text}),
    ]


def test_every_write_embeds_its_texts(tmp_path: Path) -> None:
    embedder = Lengths()
    with opened(tmp_path / "db", embedder) as db:
        db.insert("articles", {"slug": "old"})
        assert embedder.take() == []
        for write in writes(db, "text"):
            write()
        assert embedder.take() == ["text"] * 6 + ["texttext"]
        assert len(db.search("articles", "text")) == 6
        assert db.embedding_status("articles") == {"waiting": 0, "refused": []}


def test_a_write_fails_as_a_whole_with_the_exception_of_the_embedder(tmp_path: Path) -> None:
    with opened(tmp_path / "db", Lengths()) as db:
        db.insert("articles", {"slug": "old", "body": "text"})
        before = list(db.scan("articles"))
        for write in writes(db, "poison"):
            with pytest.raises(percolate_rocks.EmbeddingError, match="Nothing was written") as caught:
                write()
            assert caught.value.error_type == "LookupError"
            cause: BaseException | None = caught.value
            while cause is not None and not isinstance(cause, LookupError):
                cause = cause.__cause__
            assert cause is not None and cause.__traceback__ is not None
        with pytest.raises(percolate_rocks.EmbeddingError):
            db.insert_many("articles", [{"slug": "x", "body": "fine"}, {"slug": "y", "body": "poison"}])
        assert list(db.scan("articles")) == before


def test_the_embedder_may_use_the_database(tmp_path: Path) -> None:
    embedder = Lengths()
    with opened(tmp_path / "db", embedder) as db:
        db.insert("articles", {"slug": "a", "body": "text"})

        def meanwhile() -> None:
            embedder.meanwhile = lambda: None
            db.update("articles", key="a", changes={"n": 1})
            assert db.query("SELECT n FROM articles") == [{"n": 1}]

        embedder.meanwhile = meanwhile
        assert db.update("articles", key="a", changes={"body": "other"})["n"] == 1


@pytest.mark.timeout(60)
def test_threads_that_write_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    embedder = Lengths()
    with opened(tmp_path / "db", embedder) as db, ThreadPoolExecutor(4) as threads:
        # Each of the four calls is inside the embedder before any of them returns.
        together = threading.Barrier(4, timeout=30)
        embedder.meanwhile = together.wait
        inserts = [threads.submit(db.insert, "articles", {"slug": str(n), "body": f"text {n}"}) for n in range(4)]
        for insert in inserts:
            insert.result(timeout=30)
        embedder.meanwhile = lambda: None
        assert len(db.search("articles", "text 0")) == 4


async def test_awaited_writes_embed_without_blocking_the_loop(tmp_path: Path) -> None:
    embedder = Lengths()
    async with AsyncDatabase(opened(tmp_path / "db", embedder)) as db:
        loop = asyncio.get_running_loop()

        def in_loop() -> None:
            # The loop runs while the embedder waits for it.
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=30)

        embedder.meanwhile = in_loop
        await db.insert("articles", {"slug": "a", "body": "text"})
        async with db.batch() as batch:
            batch.insert("articles", {"slug": "b", "body": "text"})
        await db.update_where("articles", "slug = 'a'", {"body": "other"})
        embedder.meanwhile = lambda: None
        assert len(await db.search("articles", "text")) == 2


@dataclass
class Article:
    slug: str
    body: str


def test_a_typed_table_can_embed_on_write(tmp_path: Path) -> None:
    embedder, built = Lengths(), list[int]()
    with Database(place(tmp_path / "db"), embedder=embedder) as db:
        fields: dict[str, Any] = {"key_field": "slug", "embedding_fields": ["body"], "embed": "on_write"}
        articles = db.table("articles", Article, **fields)
        articles.insert(Article("a", "text"))
        assert db.schema("articles")["embed"] == "on_write"
        found = articles.search("text", on_progress=built.append)
        assert [article for article, _ in found] == [Article("a", "text")] and built == [1]


def test_the_embedder_runs_inside_the_span_of_the_write(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    with opened(tmp_path / "db", Lengths(percolate_spans)) as db:
        percolate_spans.clear()
        with percolate_spans.tracer().start_as_current_span("request"):
            db.insert("articles", {"slug": "a", "body": "canary"})
        tree = percolate_spans.tree()
    lines = [line for line in tree.splitlines() if "entities" not in line and "batch_write" not in line]
    assert lines == ["request", "  insert articles", "    embedding.generate batch", "      model"], tree
    assert "canary" not in "".join(span.to_json() for span in percolate_spans.finished())


@pytest.mark.parametrize("embed", ["on write", True, ["on_write"]])
def test_another_value_of_embed_is_refused(tmp_path: Path, embed: Any) -> None:
    with (
        Database(place(tmp_path / "db")) as db,
        pytest.raises(percolate_rocks.SchemaError, match="`embed`.*must be `\"queued\"` or `\"on_write\"`"),
    ):
        db.register_schema("articles", SCHEMA | {"embed": embed})
