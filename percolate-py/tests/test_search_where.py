"""Search among the entities that match a condition in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans


class Numbers:
    """The vector of a text is the two numbers in it."""

    name = "numbers"
    dimensions = 2

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[float(number) for number in text.split()] for text in texts]


SCHEMA = {
    "properties": {
        "n": {"type": "integer"},
        "name": {"type": "string"},
        "seen": {"type": "string", "format": "date-time"},
        "place": {"type": "string"},
    },
    "key_field": "n",
    "embedding_fields": ["place"],
}
POINTS = 200


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(place(tmp_path / "db"), embedder=Numbers()) as db:
        db.register_schema("points", SCHEMA)
        # In the order of the distance from "1 0".
        points: list[dict[str, Any]] = [{"n": n, "place": f"1 {n / 100}"} for n in range(POINTS)]
        points[7] |= {"name": "it's", "seen": datetime(2026, 1, 2, tzinfo=timezone.utc)}
        db.insert_many("points", points)
        db.insert("points", {"n": POINTS, "name": "has no vector"})
        db.generate_embeddings("points")
        yield db


def numbers(found: list[tuple[dict[str, Any], float]]) -> list[int]:
    assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    return [entity["n"] for entity, _ in found]


@pytest.mark.parametrize(
    ("where", "matches"), [("n < 0", 0), ("n = 42", 1), ("n > 192", 7), ("n % 2 = 0", 100), ("true", POINTS)]
)
def test_the_number_of_results_is_exact(db: Database, where: str, matches: int) -> None:
    for limit in (0, 1, 10, 1000):
        found = numbers(db.search("points", "1 0", limit, where=where))
        assert len(found) == min(limit, matches)
        vector = numbers(db.search_vector("points", [1, 0], limit, where=where))
        assert vector == found


def test_values_are_parameters(db: Database) -> None:
    assert numbers(db.search("points", "1 0", 2, where="n > $1", params=[41])) == [42, 43]
    assert numbers(db.search("points", "1 0", where="name = $1", params=["it's"])) == [7]
    seen = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert numbers(db.search_vector("points", [1, 0], where="seen > $1", params=[seen])) == [7]


def test_a_function_is_still_a_filter(db: Database) -> None:
    assert numbers(db.search("points", "1 0", 2, where=lambda entity: entity["n"] > 41)) == [42, 43]
    with pytest.raises(TypeError, match="pass the condition in where"):
        db.search("points", "1 0", where=lambda entity: True, params=[1])
    with pytest.raises(TypeError, match="pass the condition in where"):
        db.search_vector("points", [1, 0], params=[1])


def test_a_wrong_condition_raises_as_in_a_write(db: Database) -> None:
    for where, params in [("", None), ("n = = 1", None), ("nothing = 1", None), ("n = $1", None), ("n = 1", [1])]:
        with pytest.raises(percolate_rocks.QueryError) as searched:
            db.search("points", "1 0", where=where, params=params)
        with pytest.raises(percolate_rocks.QueryError) as written:
            db.delete_where("points", where, params)
        assert str(searched.value) == str(written.value)
        assert searched.value.error_type == written.value.error_type
    with pytest.raises(percolate_rocks.NotEmbeddedError):
        db.register_schema("plain", {})
        db.search("plain", "1 0", where="true")


async def test_conditions_are_awaited(db: Database) -> None:
    async with AsyncDatabase(db) as awaited:
        assert numbers(await awaited.search("points", "1 0", 2, where="n > $1", params=[41])) == [42, 43]
        assert numbers(await awaited.search_vector("points", [1, 0], 1, where="n = 3")) == [3]


def test_the_query_of_the_condition_is_a_child_without_data(db: Database, percolate_spans: CapturedSpans) -> None:
    percolate_spans.clear()
    db.search("points", "1 0", 1, where="n > 77123 OR name = $1", params=["canary"])
    search, query = percolate_spans.one("search points"), percolate_spans.one("SELECT points")
    assert query.parent is not None and search.context is not None and query.attributes is not None
    assert query.parent.span_id == search.context.span_id
    assert query.attributes["db.query.text"] == "SELECT _id FROM points WHERE (n > ? OR name = $1)"
    spans = "".join(span.to_json() for span in percolate_spans.finished())
    assert "canary" not in spans and "77123" not in spans
