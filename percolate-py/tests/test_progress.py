"""The progress of long calls: what `on_progress` receives, and the bar of `progress=True`."""

from __future__ import annotations

import asyncio
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from place import place

from percolate_rocks import AsyncDatabase, Database, Progress
from percolate_rocks._progress import Bar

CALLS: dict[str, Callable[..., Any]] = {
    "import_jsonl": lambda db, **given: db.import_jsonl("texts", ({"body": f"word{n}"} for n in range(10)), **given),
    "insert_arrow": lambda db, **given: db.insert_arrow("texts", db.query_arrow("SELECT 'x' AS body"), **given),
    "export_jsonl": lambda db, **given: db.export_jsonl("texts", io.BytesIO(), **given),
    "rebuild_indexes": lambda db, **given: db.rebuild_indexes(**given),
    "rebuild_vector_indexes": lambda db, **given: db.rebuild_vector_indexes(**given),
    "verify_indexes": lambda db, **given: db.verify_indexes(**given),
    "generate_embeddings": lambda db, **given: db.generate_embeddings("texts", **given),
    "load_index": lambda db, **given: db.load_index("texts", **given),
    "search": lambda db, **given: db.search("texts", "word1", **given),
    "search_vector": lambda db, **given: db.search_vector("texts", [1.0] * 384, **given),
}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A database of 300 texts, of which 290 are embedded."""
    with Database(place(tmp_path / "db")) as db:
        db.register_schema("texts", {"properties": {"body": {"type": "string"}}, "embedding_fields": ["body"]})
        db.insert_many("texts", [{"body": f"word{n}"} for n in range(290)])
        db.generate_embeddings("texts")
        db.insert_many("texts", [{"body": f"word{n}"} for n in range(290, 300)])
    return tmp_path / "db"


@pytest.mark.parametrize("call", CALLS)
def test_every_long_call_reports_one_type_of_progress(call: str, texts: Path) -> None:
    told: list[Progress] = []
    with Database(place(texts)) as db:
        CALLS[call](db, on_progress=told.append)
    assert told
    assert {type(each) for each in told} == {Progress}
    assert all(each == each.done >= 0 for each in told)
    assert all(0 <= one.seconds <= next.seconds for one, next in zip(told, told[1:], strict=False))
    if call in ("import_jsonl", "insert_arrow"):
        count = told[-1].done
        assert [each.total for each in told] == [None, count]
    elif call == "generate_embeddings":
        assert [(each.done, each.total) for each in told] == [(10, 10)]
    else:
        assert {each.total for each in told} == {None}


@pytest.mark.parametrize("call", CALLS)
def test_every_long_call_shows_a_bar(call: str, texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[int] = []
    with Database(place(texts)) as db:
        CALLS[call](db, progress=True, on_progress=told.append)
        written = capfd.readouterr()
        # The line has ended when the call returns.
        assert written.out == ""
        assert "entities [00:0" in written.err and written.err.endswith("\n")
    assert told


@pytest.mark.parametrize("call", CALLS)
def test_a_failed_call_ends_the_line_of_its_bar(call: str, texts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(progress: Progress) -> None:
        raise LookupError("stop")

    with Database(place(texts)) as db:
        with pytest.raises(LookupError, match="stop"):
            CALLS[call](db, progress=True, on_progress=fail)
        assert capfd.readouterr().err.endswith("\n")


def test_a_bar_without_tqdm_is_an_error_that_names_it(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with Database(place(texts)) as db:
        for call in CALLS.values():
            with pytest.raises(ImportError, match="^progress=True needs tqdm: pip install tqdm$"):
                call(db, progress=True)
        assert db.count("texts") == 300


def test_a_function_that_cannot_be_called_is_refused_with_a_bar_too(texts: Path) -> None:
    with Database(place(texts)) as db, pytest.raises(TypeError, match="^on_progress must be a function, not int$"):
        db.rebuild_indexes(progress=True, on_progress=5)  # type: ignore[arg-type]


def test_a_bar_begins_again_with_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    for progress in [Progress(1000), Progress(2000), Progress(1000, 2000), Progress(2000, 2000)]:
        bar(progress)
    assert (bar._bar.n, bar._bar.total) == (2000, 2000)
    bar.close()
    assert "100%" in capsys.readouterr().err


def test_a_progress_is_the_number_done() -> None:
    progress = Progress(5, 10, 0.25)
    assert (progress, progress.done, progress.total, progress.seconds) == (5, 5, 10, 0.25)
    assert str(progress) == f"{progress}" == "5"
    assert repr(progress) == "Progress(done=5, total=10, seconds=0.250)"
    copy = pickle.loads(pickle.dumps(progress))
    assert (copy, copy.total, copy.seconds) == (5, 10, 0.25)


def test_on_progress_of_generate_embeddings_may_call_the_database_and_end_it(texts: Path) -> None:
    with Database(place(texts)) as db:
        counts: list[int] = []
        db.generate_embeddings("texts", on_progress=lambda made: counts.append(db.count("texts")))
        assert counts == [300]
        db.mark_for_embedding("texts")

        def stop(progress: Progress) -> None:
            raise LookupError("stop")

        with pytest.raises(LookupError, match="stop"):
            db.generate_embeddings("texts", on_progress=stop)
        # The first page of 256 is kept.
        assert db.embedding_status("texts")["waiting"] == 44


async def test_the_asynchronous_database_reports_progress(texts: Path) -> None:
    told: list[Progress] = []
    async with await AsyncDatabase.open(place(texts)) as db:
        await asyncio.wait_for(db.generate_embeddings("texts", on_progress=told.append), 60)
        await db.verify_indexes(on_progress=told.append)
    assert told[0] == 10 and len(told) > 1
