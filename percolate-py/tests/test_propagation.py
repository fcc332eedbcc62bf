"""Rust spans in the Python trace: parents, flags and trace state, delivered as spans of the SDK."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database, TraceContext

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"


class Seen:
    """A private provider to which percolate delivers."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("app")

    def rust(self, name: str | None = None) -> list[ReadableSpan]:
        assert self.provider.force_flush()
        spans = [s for s in self.exporter.get_finished_spans() if s.instrumentation_scope.name != "app"]
        return [s for s in spans if name is None or s.name == name]


@pytest.fixture
def seen(db: Database) -> Iterator[Seen]:
    seen = Seen()
    assert percolate_rocks.configure("python", tracer_provider=seen.provider, meter_provider=False)
    yield seen
    percolate_rocks.shutdown()
    seen.provider.shutdown()


def test_rust_spans_are_children_of_the_current_python_span(db: Database, seen: Seen) -> None:
    with seen.tracer.start_as_current_span("request") as request:
        db.store_resource("r", b"x")
    (span,) = seen.rust("put resources")
    assert span.context.trace_id == request.get_span_context().trace_id
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id
    assert span.parent.is_remote is False
    assert span.context.span_id != span.parent.span_id
    assert span.context.trace_flags.sampled


def test_delivered_spans_are_whole(db: Database, seen: Seen) -> None:
    with seen.tracer.start_as_current_span("request"):
        db.store_resource("r", b"x")
    (span,) = seen.rust("put resources")
    assert isinstance(span, ReadableSpan)
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.resource is seen.provider.resource
    assert span.attributes is not None
    assert span.attributes["db.system.name"] == db.system
    assert span.attributes["db.operation.name"] == "put"
    assert span.attributes["db.collection.name"] == "resources"
    assert span.attributes["db.namespace"] == "library"
    rows = span.attributes["db.response.affected_rows"]
    assert (rows, type(rows)) == (1, int)
    assert span.start_time is not None and span.end_time is not None
    assert span.start_time <= span.end_time
    assert span.instrumentation_scope is not None
    assert "percolate" in span.instrumentation_scope.name
    assert f'"db.system.name": "{db.system}"' in span.to_json()


def test_trace_state_is_kept_in_its_order(db: Database, seen: Seen) -> None:
    state = TraceState([("vendor", "1"), ("other@tenant", "x:y")])
    remote = SpanContext(0x7A, 0x51, True, TraceFlags(1), state)
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    try:
        db.load_resource("r")
    finally:
        otel_context.detach(token)
    (span,) = seen.rust()
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id, span.parent.is_remote) == (0x7A, 0x51, True)
    assert list(span.context.trace_state.items()) == [("vendor", "1"), ("other@tenant", "x:y")]


def test_an_unsampled_python_span_has_no_rust_spans(db: Database, seen: Seen) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with provider.get_tracer("app").start_as_current_span("request"):
        db.load_resource("r")
    db.load_resource("r", trace_context={"traceparent": UNSAMPLED})
    assert seen.rust() == []


def test_without_a_python_span_a_call_is_a_root(db: Database, seen: Seen) -> None:
    db.load_resource("r")
    (span,) = seen.rust()
    assert span.parent is None


def test_a_span_that_cannot_be_read_fails_no_call(db: Database, seen: Seen) -> None:
    class Odd(NonRecordingSpan):
        def get_span_context(self) -> SpanContext:
            raise RuntimeError("odd")

    span = Odd(SpanContext(1, 2, False))
    for context in (None, (2**200, 1, False, 1, {}, True), ("x", 1, False, 1, {}, True)):
        if context is None:
            del span._context
        else:
            span._context = context  # type: ignore[assignment]
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            db.load_resource("r")
        finally:
            otel_context.detach(token)
    assert [span.parent for span in seen.rust()] == [None, None, None]


def test_suppressed_instrumentation_suppresses_rust_spans(db: Database, seen: Seen) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        db.load_resource("r")
    assert seen.rust() == []


@pytest.mark.parametrize("make", [dict, TraceContext])
def test_an_explicit_context_takes_precedence_over_the_current_span(db: Database, seen: Seen, make: type) -> None:
    given = make({"traceparent": PARENT})
    with seen.tracer.start_as_current_span("request"):
        db.load_resource("r", trace_context=given)
    (span,) = seen.rust()
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == PARENT[3:35]
    assert f"{span.parent.span_id:016x}" == PARENT[36:52]
    assert span.parent.is_remote is True


def test_calls_with_a_positional_trace_context_carry_the_trace(db: Database, seen: Seen) -> None:
    from percolate_rocks import _percolate_rocks

    with seen.tracer.start_as_current_span("memory.store_resource") as request:
        carrier: dict[str, str] = {}
        inject(carrier)
        percolate_rocks.set_default_database(db)
        try:
            _percolate_rocks.store_resource_with_trace("tenant", "r", b"x", carrier)
        finally:
            percolate_rocks.set_default_database(None)
        db.insert_with_trace("articles", {"slug": "a"}, TraceContext(carrier))
    parents = {span.parent.span_id for span in seen.rust() if span.parent}
    assert request.get_span_context().span_id in parents
    assert {span.context.trace_id for span in seen.rust()} == {request.get_span_context().trace_id}


def test_a_wrong_trace_context_is_refused(db: Database) -> None:
    with pytest.raises(TypeError, match="trace_context must be a TraceContext, a mapping of headers or None, not int"):
        db.load_resource("r", trace_context=5)  # type: ignore[arg-type]


def test_current_returns_the_headers_of_the_current_span(seen: Seen) -> None:
    assert TraceContext.current() is None
    with seen.tracer.start_as_current_span("request"):
        carrier: dict[str, str] = {}
        inject(carrier)
        current = TraceContext.current()
        assert current is not None
        assert current.headers == carrier


def test_threads_and_executors_have_the_parent_of_their_own_context(db: Database, seen: Seen) -> None:
    import contextvars

    with seen.tracer.start_as_current_span("request") as request, ThreadPoolExecutor(2) as pool:
        pool.submit(contextvars.copy_context().run, db.load_resource, "inside").result()
        pool.submit(db.load_resource, "outside").result()
        thread = threading.Thread(target=db.load_resource, args=("outside",))
        thread.start()
        thread.join()
    parents = sorted(span.parent.span_id if span.parent else 0 for span in seen.rust())
    assert parents == [0, 0, request.get_span_context().span_id]


async def test_asyncio_tasks_keep_their_own_parents(tmp_path: Path, seen: Seen) -> None:
    async with await AsyncDatabase.open(place(tmp_path / "async")) as db:

        async def handle(name: str) -> tuple[int, str]:
            with seen.tracer.start_as_current_span(name) as span:
                await asyncio.sleep(0)
                await db.store_resource(name, b"x")
                return span.get_span_context().span_id, name

        handled = await asyncio.gather(*(handle(f"task {n}") for n in range(20)))
    parents = sorted(span.parent.span_id for span in seen.rust("put resources") if span.parent)
    assert parents == sorted(span_id for span_id, _ in handled)


def test_a_python_callable_runs_inside_the_rust_span(db: Database, seen: Seen) -> None:
    db.insert("articles", {"slug": "a"})

    def progress(done: int) -> None:
        with seen.tracer.start_as_current_span("called"):
            pass

    with seen.tracer.start_as_current_span("request") as request:
        db.rebuild_indexes("articles", on_progress=progress)
    (job,) = seen.rust("index.field.rebuild articles")
    assert job.parent is not None
    assert job.parent.span_id == request.get_span_context().span_id
    assert job.kind is SpanKind.INTERNAL
    called = [span for span in seen.exporter.get_finished_spans() if span.name == "called"]
    assert called
    assert {span.parent.span_id for span in called if span.parent} == {job.context.span_id}


def test_an_error_is_on_the_span(db: Database, seen: Seen) -> None:
    db.insert("articles", {"slug": "a"})
    with seen.tracer.start_as_current_span("request"), pytest.raises(percolate_rocks.ExistsError):
        db.insert("articles", {"slug": "a"})
    (failed,) = [span for span in seen.rust() if span.status.status_code is StatusCode.ERROR]
    assert failed.attributes is not None
    assert (failed.name, failed.attributes["error.type"]) == ("insert articles", "Exists")


def test_the_flush_of_the_provider_includes_rust_spans(db: Database, seen: Seen) -> None:
    for _ in range(2000):
        db.load_resource("r")
    assert len(seen.rust("get resources")) == 2000
    status = percolate_rocks.status()
    assert (status["installed"], status["spans_dropped"]) == (True, 0)
    assert status["spans_delivered"] >= 2000
    assert (status["spans_waiting"], status["last_error"]) == (0, None)


@pytest.mark.parametrize("multi", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
def test_a_batch_processor_loses_nothing_in_a_burst(db: Database, multi: type) -> None:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = InMemorySpanExporter()
    provider = TracerProvider(active_span_processor=multi(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    try:
        for _ in range(20_000):
            db.load_resource("r")
        assert percolate_rocks.force_flush()
        assert len(exporter.get_finished_spans()) == 20_000
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


def test_a_processor_that_fails_does_not_stop_the_others(
    db: Database, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("broken")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    seen.provider.add_span_processor(Broken())
    db.load_resource("r")
    db.load_resource("r")
    assert len(seen.rust()) == 2
    assert [record.message for record in caplog.records if "failed in on_end for a Rust span" in record.message] != []


def test_delivery_ends_with_the_provider(db: Database, seen: Seen) -> None:
    db.load_resource("r")
    seen.provider.shutdown()
    assert [span.name for span in seen.exporter.get_finished_spans()] == ["get resources"]
    assert percolate_rocks.status()["installed"] is False
    db.load_resource("r")
