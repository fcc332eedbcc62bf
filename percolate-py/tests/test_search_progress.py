"""The progress of searches that build a vector index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from place import place

from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

VECTORS = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database whose vector index is not in memory when it is opened."""
    with Database(place(tmp_path / "db")) as db:
        db.register_schema("articles", {"embedding_fields": ["body"], "embed": "on_write"})
        db.insert_many("articles", [{"body": f"word{n} of many"} for n in range(VECTORS)])
    return tmp_path / "db"


def test_the_first_search_reports_its_progress(path: Path) -> None:
    built: list[int] = []
    with Database(place(path)) as db:
        assert len(db.search("articles", "word7 of many", 1, on_progress=built.append)) == 1
        assert built == sorted(built) and max(built) == VECTORS and len(built) > 5
        built.clear()
        db.search("articles", "word7 of many", on_progress=built.append)
        assert built == []
    vector = [1.0] * 384
    with Database(place(path)) as db:
        db.search_vector("articles", vector, on_progress=built.append)
        assert max(built) == VECTORS


def test_an_exception_in_on_progress_ends_the_search(path: Path) -> None:
    def stop(done: int) -> None:
        raise LookupError("enough")

    with Database(place(path)) as db:
        with pytest.raises(LookupError, match="enough"):
            db.search("articles", "word7 of many", on_progress=stop)
        with pytest.raises(LookupError, match="enough"):
            db.search_vector("articles", [1.0] * 384, on_progress=stop)
        not_callable: Any = 5
        with pytest.raises(TypeError, match="on_progress must be a function, not int"):
            db.search("articles", "word7 of many", on_progress=not_callable)
        assert len(db.search("articles", "word7 of many", 3)) == 3


async def test_progress_is_reported_to_awaiting_code(path: Path) -> None:
    built: list[int] = []
    async with await AsyncDatabase.open(place(path)) as db:
        assert len(await db.search("articles", "word7 of many", 1, on_progress=built.append)) == 1
        assert max(built) == VECTORS
        await db.search_vector("articles", [1.0] * 384, on_progress=built.append)


def test_building_is_a_job_below_the_search(path: Path, percolate_spans: CapturedSpans) -> None:
    def report(done: int) -> None:
        with percolate_spans.tracer().start_as_current_span("report"):
            pass

    with Database(place(path)) as db:
        percolate_spans.clear()
        db.search("articles", "word7 of many", 1, on_progress=report)
        search, job = percolate_spans.one("search articles"), percolate_spans.one("index.build articles")
        assert job.parent is not None and search.context is not None and job.attributes is not None
        assert job.parent.span_id == search.context.span_id
        assert (job.attributes["job.status"], job.attributes["job.batch_size"]) == ("success", VECTORS)
        parents = {span.parent.span_id for span in percolate_spans.finished("report") if span.parent}
        assert job.context is not None and parents == {job.context.span_id}
