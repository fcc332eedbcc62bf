"""Search by meaning, with the offline embedder and with embedders in Python."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {"key_field": "slug", "embedding_fields": ["body"]}
BODIES = {"store": "an embedded store of keys and values", "client": "a client for HTTP requests"}


class Letters:
    """A minimal embedder, which counts letters."""

    name = "letters"
    dimensions = 26

    def __init__(self, spans: CapturedSpans | None = None) -> None:
        self.calls = 0
        self._spans = spans

    def embed(self, texts: list[str]) -> Iterator[list[float]]:
        self.calls += 1
        if self._spans is not None:
            with self._spans.tracer().start_as_current_span("model"):
                pass
        return iter([[float(text.lower().count(chr(97 + n))) for n in range(26)] for text in texts])


def filled(path: Path, embedder: object = None) -> Database:
    db = Database(place(path), embedder=embedder)  # type: ignore[arg-type]
    db.register_schema("articles", SCHEMA)
    db.insert_many("articles", [{"slug": slug, "body": body} for slug, body in BODIES.items()])
    return db


def test_search_finds_near_texts_offline(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as db:
        assert db.search("articles", "key value store") == []
        assert db.generate_embeddings("articles") == {"embedded": 2, "waiting": 0, "refused": 0}
        (entity, distance), *_ = db.search("articles", "key value store", 1)
        assert entity["slug"] == "store"
        assert 0 <= distance < 2
        found = db.search("articles", "key value store", where=lambda entity: entity["slug"] == "client")
        assert [entity["slug"] for entity, _ in found] == ["client"]
        assert db.mark_for_embedding("articles") == 2


class Fussy:
    """Has no vector for texts that contain `nan`, and fails for texts that contain `fail`."""

    name = "fussy"
    dimensions = 2

    def embed(self, texts: list[str]) -> list[list[float]]:
        if any("fail" in text for text in texts):
            raise ValueError("cannot embed")
        return [[float("nan") if "nan" in text else 1.0, 2.0] for text in texts]


def test_texts_without_a_vector_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    with Database(place(tmp_path / "db"), embedder=Fussy()) as db:
        db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body"]})
        texts = ["fine"] * 40 + ["nan", "fail"]
        ids = db.insert_many("articles", [{"slug": n, "body": text} for n, text in enumerate(texts)])
        assert db.generate_embeddings("articles") == {"embedded": 40, "waiting": 0, "refused": 2}
        status = db.embedding_status("articles")
        assert status["waiting"] == 0
        reasons = {entry["id"]: entry["reason"] for entry in status["refused"]}
        assert set(reasons) == set(ids[40:])
        assert {entry["field"] for entry in status["refused"]} == {"body"}
        assert "finite" in reasons[ids[40]] and "ValueError" in reasons[ids[41]]
        assert db.generate_embeddings("articles") == {"embedded": 0, "waiting": 0, "refused": 0}
        assert db.retry_refused_embeddings("articles") == 2
        assert db.embedding_status("articles") == {"waiting": 2, "refused": []}


def test_an_exception_in_where_is_raised(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as db:
        db.generate_embeddings("articles")
        with pytest.raises(KeyError, match="nothing"):
            db.search("articles", "x", where=lambda entity: entity["nothing"])
        with pytest.raises(TypeError, match="where must be a condition in SQL or a function, not int"):
            db.search("articles", "x", where=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="on_progress must be a function, not int"):
            db.rebuild_indexes(on_progress=5)  # type: ignore[arg-type]


def test_an_embedder_in_python_works_inside_the_rust_span(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    embedder = Letters(percolate_spans)
    with filled(tmp_path / "db", embedder) as db:
        percolate_spans.clear()
        with percolate_spans.tracer().start_as_current_span("request") as request:
            db.generate_embeddings("articles")
            (entity, distance), *_ = db.search("articles", BODIES["store"], 1)
    assert (entity["slug"], round(distance, 3), embedder.calls) == ("store", 0.0, 2)
    job = percolate_spans.one("embedding.generate articles")
    assert job.parent is not None
    assert job.parent.span_id == request.get_span_context().span_id
    names = {span.context.span_id: span.name for span in percolate_spans.finished()}
    parents = [names[span.parent.span_id] for span in percolate_spans.finished("model") if span.parent]
    assert parents == ["embedding.generate batch", "search articles"], percolate_spans.tree()


def test_an_exception_in_an_embedder_is_the_cause_and_on_the_span(
    tmp_path: Path, percolate_spans: CapturedSpans
) -> None:
    class Broken(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            raise TimeoutError("the model does not answer")

    with filled(tmp_path / "db", Broken()) as db, pytest.raises(percolate_rocks.EmbeddingError) as caught:
        db.search("articles", "x")
    causes = []
    cause: BaseException | None = caught.value
    while (cause := cause.__cause__ if cause else None) is not None:
        causes.append(cause)
    assert isinstance(causes[-1], TimeoutError)
    assert causes[-1].__traceback__ is not None
    (search,) = percolate_spans.finished("search articles")
    assert search.attributes is not None
    assert search.attributes["error.type"] == "TimeoutError"


@pytest.mark.parametrize("wrong", [object(), print])
def test_objects_that_are_not_embedders_are_refused(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(TypeError, match="an embedder needs `name`, `dimensions` and `embed"):
        Database(place(tmp_path / "db"), embedder=wrong)  # type: ignore[arg-type]


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    class Short(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            return iter([[1.0] for _ in texts])

    with filled(tmp_path / "db", Short()) as db, pytest.raises(percolate_rocks.EmbeddingError, match="dimensions"):
        db.search("articles", "x")


def test_a_submitted_task_starts_a_trace_with_a_link(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    with filled(tmp_path / "db") as db:
        with percolate_spans.tracer().start_as_current_span("request") as request:
            job = db.submit("generate_embeddings", "articles")
        assert job.wait(30) is True
        assert job.done
        assert db.search("articles", "store", 1) != []
    (span,) = percolate_spans.finished("embedding.generate articles")
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [request.get_span_context().span_id]
    assert span.context.trace_id != request.get_span_context().trace_id


def test_a_failed_job_raises_its_cause(tmp_path: Path) -> None:
    class Broken(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            raise TimeoutError("the model does not answer")

    with filled(tmp_path / "db", Broken()) as db:
        with pytest.raises(percolate_rocks.JobError, match="after 3 attempts") as caught:
            db.submit("generate_embeddings", "articles").wait()
        assert isinstance(caught.value.__cause__, percolate_rocks.PercolateError)
        with pytest.raises(TypeError, match="without a table"):
            db.submit("save_index")
        with pytest.raises(TypeError, match="without a column family"):
            db.submit("compact")
        with pytest.raises(TypeError, match="takes no second argument"):
            db.submit("flush_wal", "articles")
        with pytest.raises(ValueError, match="unknown task"):
            db.submit("compress")  # type: ignore[arg-type]
        with pytest.raises(percolate_rocks.JobError) as unknown:
            db.submit("save_index", "nothing").wait()
        assert isinstance(unknown.value.__cause__, percolate_rocks.UnknownTableError)
        assert unknown.value.__cause__.error_type == "UnknownTable"
        assert db.background_status()["failed"] == 2
        assert db.background_status()["retried"] == 4


@pytest.mark.rocksdb("SlateDB compacts by itself")
def test_every_task_can_be_submitted_and_awaited(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    with filled(tmp_path / "db") as db:
        assert db.background_status() == {
            "queued": 0, "running": 0, "succeeded": 0, "failed": 0, "retried": 0, "refused": 0
        }  # fmt: skip
        assert "entities" in db.column_families()
        with percolate_spans.tracer().start_as_current_span("request") as request:
            jobs = [
                db.submit("generate_embeddings", "articles"),
                db.submit("compact", "entities"),
                db.submit("flush_wal"),
            ]
            assert all(job.wait(30) for job in jobs)
            jobs += [db.submit("save_index", "articles")]
            assert jobs[-1].wait(30)
            jobs += [db.submit("load_index", target="articles")]
            assert jobs[-1].wait(30)
        assert [(job.task, job.target, job.status) for job in jobs] == [
            ("generate_embeddings", "articles", "succeeded"),
            ("compact", "entities", "succeeded"),
            ("flush_wal", None, "succeeded"),
            ("save_index", "articles", "succeeded"),
            ("load_index", "articles", "succeeded"),
        ]
        assert repr(jobs[1]) == "<Job compact entities: succeeded>"
        status = db.background_status()
        assert (status["succeeded"], status["failed"], status["queued"], status["running"]) == (5, 0, 0, 0)
        failing = db.submit("compact", "nothing")
        with pytest.raises(percolate_rocks.JobError):
            failing.wait(30)
        assert failing.status == "failed"
    (compaction,) = percolate_spans.finished("db.compact entities")
    assert [link.context.span_id for link in compaction.links] == [request.get_span_context().span_id]


def test_a_job_of_a_dropped_database_is_abandoned(tmp_path: Path) -> None:
    class Slow(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            time.sleep(1)
            return super().embed(texts)

    db = filled(tmp_path / "db", Slow())
    db.submit("generate_embeddings", "articles")
    jobs = [db.submit("flush_wal") for _ in range(50)]
    del db
    ended = 0
    for job in jobs:
        try:
            assert job.wait(20), "a job that was dropped never ends"
            ended += 1
        except percolate_rocks.JobError as error:
            assert "shut down before the job finished" in str(error)
            ended += 1
    assert ended == len(jobs)


async def test_a_job_is_awaited_without_a_thread(tmp_path: Path) -> None:
    class Slow(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            time.sleep(0.5)
            return super().embed(texts)

    async with AsyncDatabase(filled(tmp_path / "db", Slow()), threads=1) as db:
        job = await db.submit("generate_embeddings", "articles")
        assert (job.task, job.target, job.status, job.done) == ("generate_embeddings", "articles", "pending", False)
        waiting = asyncio.gather(*(job.wait() for _ in range(20)))
        assert await job.wait(timeout=0.01) is False
        assert await db.count("articles") == 2
        assert await waiting == [True] * 20
        assert await job is True
        assert repr(job) == "<AsyncJob generate_embeddings articles: succeeded>"
        with pytest.raises(percolate_rocks.JobError):
            await (await db.submit("compact", "nothing"))
        assert (await db.background_status())["succeeded"] == 1


def test_search_vector_searches_with_a_given_vector(tmp_path: Path) -> None:
    embedder = Letters()
    with filled(tmp_path / "db", embedder) as db:
        db.generate_embeddings("articles")
        (vector,) = embedder.embed([BODIES["client"]])
        (entity, distance), *_ = db.search_vector("articles", vector, 1)
        assert (entity["slug"], round(distance, 3)) == ("client", 0.0)
        assert db.search_vector("articles", vector, where=lambda entity: False) == []
        with pytest.raises(percolate_rocks.EmbeddingError, match="dimensions"):
            db.search_vector("articles", [1.0])
        for number in (0.0, float("nan"), float("inf")):
            with pytest.raises(percolate_rocks.EmbeddingError, match="no direction"):
                db.search_vector("articles", [number] * len(vector))
        db.register_schema("plain", {})
        with pytest.raises(percolate_rocks.NotEmbeddedError, match="embedding_fields"):
            db.search("plain", "rain")
        report = db.rebuild_vector_indexes()
        assert (report["entities"], report["failed"]) == (2, 0)
        assert len(db.search_vector("articles", vector)) == 2
