"""Vectors that are supplied with entities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

MINE = [1.0, 0.0, 0.0]


class Recorder:
    """Keeps the texts that it receives. Its vectors point to the last axis."""

    name = "recorder"
    dimensions = 3

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [[0.0, 0.0, 1.0] for _ in texts]

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts


@pytest.fixture
def embedder() -> Recorder:
    return Recorder()


@pytest.fixture
def db(tmp_path: Path, embedder: Recorder) -> Iterator[Database]:
    with Database(place(tmp_path / "db"), embedder=embedder) as db:
        db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body", "title"]})
        yield db


def mine(db: Database) -> list[str]:
    """The slugs of the entities with the supplied vector."""
    found = db.search_vector("articles", MINE, 100)
    return sorted(entity["slug"] for entity, distance in found if distance < 0.1)


def test_vectors_are_found_at_once_without_the_embedder(db: Database, embedder: Recorder) -> None:
    db.insert("articles", {"slug": "a", "body": "text"}, vectors={"body": MINE})
    db.upsert("articles", {"slug": "b", "body": "text"}, vectors={"body": tuple(MINE)})
    db.insert_many("articles", [{"slug": "c"}, {"slug": "d"}], vectors=[{"body": MINE}, None])
    db.update("articles", key="d", changes={"body": "text"}, vectors={"title": MINE, "body": MINE})
    with db.batch() as batch:
        batch.insert("articles", {"slug": "e"}, vectors={"body": MINE})
        batch.upsert("articles", {"slug": "f"}, vectors={"body": MINE})
        batch.update("articles", key="a", changes={"n": 1}, vectors={"title": MINE})
    assert mine(db) == ["a", "b", "c", "d", "e", "f"]
    assert db.generate_embeddings("articles") == {"embedded": 0, "waiting": 0, "refused": 0}
    assert embedder.take() == []


def test_arrays_of_numpy_are_vectors(db: Database) -> None:
    numpy = pytest.importorskip("numpy")
    for dtype in ("float32", "float64", "int64"):
        array = numpy.array(MINE, dtype=dtype)
        db.insert("articles", {"slug": dtype}, vectors={"body": array})
    assert mine(db) == ["float32", "float64", "int64"]


def test_a_vector_stays_while_its_text_stays(db: Database, embedder: Recorder) -> None:
    article = {"slug": "a", "body": "mine", "title": "theirs"}
    db.insert("articles", article, vectors={"body": MINE})
    db.generate_embeddings("articles")
    db.mark_for_embedding("articles")
    db.generate_embeddings("articles")
    db.upsert("articles", article)
    db.generate_embeddings("articles")
    assert embedder.take() == ["theirs", "theirs"]
    assert mine(db) == ["a"]
    db.update("articles", key="a", changes={"body": "changed"})
    assert mine(db) == []
    db.update("articles", key="a", changes={}, vectors={"body": MINE})
    assert mine(db) == ["a"]
    db.update("articles", key="a", changes={}, vectors={"body": None})
    assert mine(db) == []
    db.generate_embeddings("articles")
    assert embedder.take() == ["changed", "theirs"]


@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        ({"body": [1.0]}, percolate_rocks.EmbeddingError, "vector of 1 numbers for `body`.*3 dimensions"),
        ({"body": [1.0, float("nan"), 0.0]}, percolate_rocks.EmbeddingError, "no direction"),
        ({"body": [1e300, 0.0, 0.0]}, percolate_rocks.EmbeddingError, "no direction"),
        ({"body": [0, 0, 0]}, percolate_rocks.EmbeddingError, "no direction"),
        ({"slug": MINE}, percolate_rocks.NotEmbeddedError, "`slug`.*`body`, `title`"),
        ({"body": "text"}, TypeError, "vector of `body` must be a sequence of numbers"),
        ({"body": 1.0}, TypeError, "vector of `body` must be a sequence of numbers"),
        ({"body": [1.0, "a"]}, TypeError, "vector of `body` must be.* an element of type str"),
        ({"body": [[1.0]]}, TypeError, "vector of `body` must be.* an element of type list"),
        ({1: MINE}, TypeError, "from the names of fields, but a key is of type int"),
        ([MINE], TypeError, "must be a mapping"),
    ],
)
def test_a_vector_is_checked_before_anything_is_written(
    db: Database, vectors: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        db.insert("articles", {"slug": "a"}, vectors=vectors)
    with pytest.raises(error, match=message):
        db.upsert("articles", {"slug": "a"}, vectors=vectors)
    with pytest.raises(error, match=message):
        db.insert_many("articles", [{"slug": "a"}, {"slug": "b"}], vectors=[None, vectors])
    with pytest.raises(error, match=message):
        db.batch().insert("articles", {"slug": "a"}, vectors=vectors)
    assert db.count("articles") == 0


def test_each_entity_has_its_vectors(db: Database) -> None:
    with pytest.raises(ValueError, match="1 were given for 2 entities"):
        db.insert_many("articles", [{"slug": "a"}, {"slug": "b"}], vectors=[{"body": MINE}])
    assert db.count("articles") == 0


async def test_vectors_are_awaited(db: Database) -> None:
    async with AsyncDatabase(db) as awaited:
        await awaited.insert("articles", {"slug": "a"}, vectors={"body": MINE})
        await awaited.upsert("articles", {"slug": "b"}, vectors={"body": MINE})
        await awaited.insert_many("articles", [{"slug": "c"}], vectors=[{"body": MINE}])
        await awaited.insert("articles", {"slug": "d"})
        await awaited.update("articles", key="d", changes={}, vectors={"body": MINE})
        async with awaited.batch() as batch:
            batch.insert("articles", {"slug": "e"}, vectors={"body": MINE})
        found = await awaited.search_vector("articles", MINE)
    assert sorted(entity["slug"] for entity, _ in found) == ["a", "b", "c", "d", "e"]


def test_a_vector_is_in_no_span(db: Database, percolate_spans: CapturedSpans) -> None:
    percolate_spans.clear()
    db.insert("articles", {"slug": "a"}, vectors={"body": [7395182.5, 1.0, 1.0]})
    with pytest.raises(percolate_rocks.EmbeddingError) as caught:
        db.insert("articles", {"slug": "b"}, vectors={"body": [7395182.5]})
    assert len(percolate_spans.finished("insert articles")) == 2
    spans = "".join(span.to_json() for span in percolate_spans.finished())
    assert "7395182.5" not in spans + str(caught.value)


def test_a_vector_and_a_limit_of_a_search_are_checked(db: Database) -> None:
    for vector, message in [
        ("abc", "the vector must be a sequence of numbers, not str"),
        ([[1.0, 0.0, 0.0]], "the vector must be a sequence of numbers, but it has an element of type list"),
        (None, "the vector must be a sequence of numbers, not NoneType"),
        (1.5, "the vector must be a sequence of numbers, not float"),
    ]:
        with pytest.raises(TypeError, match=message):
            db.search_vector("articles", vector)  # type: ignore[arg-type]
    numpy = pytest.importorskip("numpy")
    assert db.search_vector("articles", numpy.ones(3)) == []
    for array in [numpy.ones((1, 3)), numpy.array(1.0)]:
        with pytest.raises(TypeError, match=f"the vector must be of one dimension, not an array of {array.ndim}"):
            db.search_vector("articles", array)
    for limit in [-1, 2**64]:
        with pytest.raises(ValueError, match=f"limit must be a number from 0 to .*, not {limit}"):
            db.search("articles", "a", limit)
        with pytest.raises(ValueError, match=f"limit must be a number from 0 to .*, not {limit}"):
            db.search_vector("articles", MINE, limit)
    with pytest.raises(ValueError, match="batch_size must be a number from 0 to .*, not -1"):
        db.import_jsonl("articles", [], batch_size=-1)
    with pytest.raises(ValueError, match="page_size must be a number from 0 to .*, not -1"):
        db.scan("articles", page_size=-1)
