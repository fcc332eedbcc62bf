"""Search by meaning, with embeddings made offline and in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import percolate_rocks
from percolate_rocks import Database
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {"key_field": "slug", "embedding_fields": ["body"]}
BODIES = {"store": "an embedded store of keys and values", "client": "a client for HTTP requests"}


class Letters:
    """Counts letters: nobody could ask for less."""

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
    db = Database(path, embedder=embedder)  # type: ignore[arg-type]
    db.register_schema("articles", SCHEMA)
    db.insert_many("articles", [{"slug": slug, "body": body} for slug, body in BODIES.items()])
    return db


def test_what_is_near_in_meaning_is_found_offline(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as db:
        assert db.search("articles", "key value store") == []
        assert db.generate_embeddings("articles") == {"embedded": 2, "waiting": 0}
        (entity, distance), *_ = db.search("articles", "key value store", 1)
        assert entity["slug"] == "store"
        assert 0 <= distance < 2
        found = db.search("articles", "key value store", where=lambda entity: entity["slug"] == "client")
        assert [entity["slug"] for entity, _ in found] == ["client"]
        assert db.embed_anew("articles") == 2


def test_an_exception_in_where_is_raised(tmp_path: Path) -> None:
    with filled(tmp_path / "db") as db:
        db.generate_embeddings("articles")
        with pytest.raises(KeyError, match="nothing"):
            db.search("articles", "x", where=lambda entity: entity["nothing"])


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
def test_what_is_no_embedder_is_refused(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(TypeError, match="an embedder needs `name`, `dimensions` and `embed"):
        Database(tmp_path / "db", embedder=wrong)  # type: ignore[arg-type]


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    class Short(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            return iter([[1.0] for _ in texts])

    with filled(tmp_path / "db", Short()) as db, pytest.raises(percolate_rocks.EmbeddingError, match="dimensions"):
        db.search("articles", "x")


def test_a_task_handed_in_is_a_trace_of_its_own_with_a_link(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
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


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    class Broken(Letters):
        def embed(self, texts: list[str]) -> Iterator[list[float]]:
            raise TimeoutError("the model does not answer")

    with filled(tmp_path / "db", Broken()) as db:
        with pytest.raises(percolate_rocks.JobError, match="after 3 attempts") as caught:
            db.submit("generate_embeddings", "articles").wait()
        assert isinstance(caught.value.__cause__, percolate_rocks.PercolateError)
        with pytest.raises(TypeError, match="needs a table"):
            db.submit("save_index")
        with pytest.raises(ValueError, match="unknown task"):
            db.submit("compress")  # type: ignore[arg-type]
        db.submit("flush_wal")
