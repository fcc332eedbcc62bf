"""Baggage: from Python into Rust, back into Python code that Rust calls, and out with Rust's HTTP requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_http import LocalServer
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from place import place

import percolate_rocks
from percolate_rocks import Database, HttpEmbeddings
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {"key_field": "slug", "embedding_fields": ["body"]}


@contextmanager
def carrying(**members: object) -> Iterator[None]:
    current = context.get_current()
    for name, value in members.items():
        current = baggage.set_baggage(name, value, current)
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)


class RecordsBaggage:
    """An embedder that records the baggage of its calls."""

    name = "sees"
    dimensions = 2

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []
        self.spans: list[int] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.seen.append(dict(baggage.get_all()))
        self.spans.append(trace.get_current_span().get_span_context().span_id)
        return [[1.0, 0.5] for _ in texts]


def filled(path: Path, embedder: percolate_rocks.Embedder) -> Database:
    db = Database(place(path), embedder=embedder)
    db.register_schema("articles", SCHEMA)
    db.insert("articles", {"slug": "a", "body": "text"})
    return db


def test_baggage_comes_along_to_other_threads_with_the_span(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    embedder = RecordsBaggage()
    with filled(tmp_path / "db", embedder) as db:
        with percolate_spans.tracer().start_as_current_span("request"), carrying(tenant="acme", plan="grün & gold"):
            db.generate_embeddings("articles")
        (batch,) = percolate_spans.finished("embedding.generate batch")
        assert embedder.spans == [batch.context.span_id]
        assert embedder.seen == [{"tenant": "acme", "plan": "grün & gold"}]


def test_baggage_needs_no_span_and_reaches_a_background_job(tmp_path: Path) -> None:
    embedder = RecordsBaggage()
    with filled(tmp_path / "db", embedder) as db:
        with carrying(tenant="acme"):
            job = db.submit("generate_embeddings", "articles")
        assert job.wait(30)
        assert embedder.seen == [{"tenant": "acme"}]
        db.search("articles", "text")
        assert embedder.seen[1:] == [{}]


def test_on_the_callers_own_thread_values_keep_their_type(tmp_path: Path) -> None:
    embedder = RecordsBaggage()
    with filled(tmp_path / "db", embedder) as db, carrying(retries=3):
        db.search("articles", "text")
    assert embedder.seen == [{"retries": 3}]


def test_an_explicit_parent_keeps_the_current_baggage_and_takes_none_from_headers(tmp_path: Path) -> None:
    embedder = RecordsBaggage()
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "from=caller"}
    with filled(tmp_path / "db", embedder) as db, carrying(tenant="acme"):
        db.generate_embeddings("articles", trace_context=headers)
    assert embedder.seen == [{"tenant": "acme"}]


def test_values_that_cannot_be_members_are_dropped(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    embedder = RecordsBaggage()
    with filled(tmp_path / "db", embedder) as db:
        with carrying(**{"not a name": 1, "huge": "x" * 9000, "good": "y"}):
            db.generate_embeddings("articles")
        assert embedder.seen == [{"good": "y"}]
        with carrying(broken=Broken()):
            assert db.count("articles") == 1


class Endpoint(LocalServer):
    """Answers like an embeddings endpoint."""

    def __init__(self) -> None:
        self.status = 200
        super().__init__(self.answer)
        self.url += "/v1/embeddings"

    def answer(self, _: str, body: bytes) -> tuple[int, bytes]:
        vectors = [{"index": n, "embedding": [1.0, float(n)]} for n, _ in enumerate(json.loads(body)["input"])]
        return self.status, json.dumps({"data": vectors}).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


def test_embeddings_over_http_are_part_of_the_trace(
    tmp_path: Path, endpoint: Endpoint, percolate_spans: CapturedSpans
) -> None:
    embedder = HttpEmbeddings(endpoint.url, "model-1", 2, api_key="the-key")
    assert (embedder.name, embedder.dimensions, "the-key" in repr(embedder)) == ("model-1", 2, False)
    assert embedder.embed(["one", "two"]) == [[1.0, 0.0], [1.0, 1.0]]
    with filled(tmp_path / "db", embedder) as db, percolate_spans.tracer().start_as_current_span("request") as request:
        db.generate_embeddings("articles")
        assert [entity["slug"] for entity, _ in db.search("articles", "text")] == ["a"]
    trace_id = f"{request.get_span_context().trace_id:032x}"
    for received, name in zip(endpoint.received[1:], ["embedding.generate batch", "search articles"], strict=True):
        parent = f"00-{trace_id}-{percolate_spans.one(name).context.span_id:016x}-"
        # Newer SDKs also set the random flag of Trace Context Level 2.
        assert received["traceparent"] in (parent + "01", parent + "03")
    assert endpoint.received[0]["authorization"] == "Bearer the-key"


def test_a_refusal_of_the_endpoint_is_an_embedding_error(endpoint: Endpoint) -> None:
    endpoint.status = 400
    with pytest.raises(percolate_rocks.EmbeddingError) as caught:
        HttpEmbeddings(endpoint.url, "model-1", 2).embed(["one"])
    assert caught.value.error_type == "400"
    for wrong in ("not a url", "localhost:8080"):
        with pytest.raises(percolate_rocks.EmbeddingError) as caught:
            HttpEmbeddings(wrong, "model-1", 2)
        assert caught.value.error_type == "configuration"
    with pytest.raises(ValueError, match="dimensions"):
        HttpEmbeddings(endpoint.url, "model-1", 0)
    with pytest.raises(ValueError, match="timeout"):
        HttpEmbeddings(endpoint.url, "model-1", 2, timeout=-1)


TRACE_CONTEXT = TraceContextTextMapPropagator()


@pytest.mark.parametrize(
    ("propagator", "send", "expected"),
    [
        (CompositePropagator([TRACE_CONTEXT, W3CBaggagePropagator()]), None, "tenant=acme%20ltd"),
        (CompositePropagator([TRACE_CONTEXT, W3CBaggagePropagator()]), False, None),
        (TRACE_CONTEXT, None, None),
        (TRACE_CONTEXT, True, "tenant=acme%20ltd"),
    ],
)
def test_baggage_is_sent_if_the_applications_propagator_sends_it(
    endpoint: Endpoint,
    propagator: TextMapPropagator,
    send: bool | None,
    expected: str | None,
) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagator)
    try:
        embedder = HttpEmbeddings(endpoint.url, "model-1", 2, send_baggage=send)
    finally:
        propagate.set_global_textmap(before)
    with carrying(tenant="acme ltd"):
        embedder.embed(["one"])
    assert endpoint.received[0].get("baggage") == expected
