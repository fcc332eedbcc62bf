"""What the application's processors set in `on_start` is on the Rust spans of a call."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database, TraceContext, _telemetry

agent_uuid: ContextVar[str] = ContextVar("agent_uuid")
project_name: ContextVar[str] = ContextVar("project_name", default="none")

INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class AgentProcessor(SpanProcessor):
    """Sets attributes from context variables, as the processor of an agent service does."""

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        span.set_attribute("agent_uuid", agent_uuid.get())
        span.set_attribute("project_name", project_name.get())


class StrictExporter(InMemorySpanExporter):
    """Stands for a collector that drops spans without the two attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []

    def export(self, spans: Any) -> Any:
        whole = [span for span in spans if {"agent_uuid", "project_name"} <= set(span.attributes or {})]
        self.dropped += [span.name for span in spans if span not in whole]
        return super().export(whole)


@contextmanager
def delivering(
    *processors: SpanProcessor, exporter: InMemorySpanExporter | None = None, **options: Any
) -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    provider = TracerProvider(shutdown_on_exit=False, **options)
    exporter = InMemorySpanExporter() if exporter is None else exporter
    for processor in processors:
        provider.add_span_processor(processor)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    try:
        yield provider, exporter
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


@contextmanager
def carrying(**members: str) -> Iterator[None]:
    current = context_api.get_current()
    for name, value in members.items():
        current = baggage.set_baggage(name, value, current)
    token = context_api.attach(current)
    try:
        yield
    finally:
        context_api.detach(token)


def finished(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    assert percolate_rocks.force_flush()
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def value(span: ReadableSpan, key: str) -> Any:
    return (span.attributes or {}).get(key)


def is_below(span: ReadableSpan, parent: ReadableSpan) -> bool:
    assert span.context is not None
    assert parent.context is not None
    return (
        span.parent is not None
        and span.parent.span_id == parent.context.span_id
        and span.context.trace_id == parent.context.trace_id
    )


LOOKUP = ("lookup articles", "get key_index", "get entities")


def assert_lookup(spans: dict[str, list[ReadableSpan]], key: str, expected: str) -> None:
    """Assert that the three spans of one `lookup` have an attribute, and their parents."""
    of = {name: [span for span in spans[name] if value(span, key) == expected] for name in ("request", *LOOKUP)}
    assert {name: len(found) for name, found in of.items()} == dict.fromkeys(("request", *LOOKUP), 1)
    assert is_below(of["lookup articles"][0], of["request"][0])
    for inner in LOOKUP[1:]:
        assert is_below(of[inner][0], of["lookup articles"][0])


def request(provider: TracerProvider, db: Database) -> None:
    with provider.get_tracer("app").start_as_current_span("request"):
        db.lookup("articles", "a")


def test_the_baggage_processor_sets_members_on_all_rust_spans(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    with delivering(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)) as (provider, exporter):
        request(provider, db)
        with carrying(tenant="inner"):
            request(provider, db)
        with carrying(tenant="no span above"):
            db.lookup("articles", "a")
        spans = finished(exporter)
    assert_lookup(spans, "tenant", "inner")
    for name in LOOKUP:
        assert sorted(str(value(span, "tenant")) for span in spans[name]) == ["None", "inner", "no span above"]
        assert all(value(span, "db.system.name") == db.system for span in spans[name])


def test_the_baggage_processor_in_threads_and_tasks(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    with delivering(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)) as (provider, exporter):

        def in_thread(number: int) -> None:
            with carrying(tenant=f"thread {number}"):
                request(provider, db)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(in_thread, range(24)))

        async def in_task(database: AsyncDatabase, number: int) -> None:
            with carrying(tenant=f"task {number}"), provider.get_tracer("app").start_as_current_span("request"):
                await asyncio.sleep(0)
                await database.lookup("articles", "a")

        async def main() -> None:
            database = AsyncDatabase(db)
            await asyncio.gather(*(in_task(database, number) for number in range(24)))

        asyncio.run(main())
        spans = finished(exporter)
    for number in range(24):
        assert_lookup(spans, "tenant", f"thread {number}")
        assert_lookup(spans, "tenant", f"task {number}")


def test_a_collector_that_requires_attributes_of_context_variables_receives_all_spans(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    exporter = StrictExporter()
    with delivering(AgentProcessor(), exporter=exporter) as (provider, _):

        def work(name: str) -> None:
            agent_uuid.set(name)
            project_name.set(f"project of {name}")
            request(provider, db)

        contextvars.copy_context().run(work, "main")
        threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def in_task(database: AsyncDatabase, name: str) -> None:
            agent_uuid.set(name)
            project_name.set(f"project of {name}")
            with provider.get_tracer("app").start_as_current_span("request"):
                await database.lookup("articles", "a")
                assert (await database.query("SELECT slug FROM articles")) is not None

        async def main() -> None:
            database = AsyncDatabase(db)
            await asyncio.gather(*(in_task(database, f"task {number}") for number in range(8)))

        asyncio.run(main())
        spans = finished(exporter)
    assert exporter.dropped == []
    for name in ("main", *(f"thread {n}" for n in range(8)), *(f"task {n}" for n in range(8))):
        assert_lookup(spans, "agent_uuid", name)
        assert_lookup(spans, "project_name", f"project of {name}")
    assert len([name for name in spans if "SELECT" in name or "query" in name]) > 0


def test_a_background_job_has_what_its_submitter_set(db: Database) -> None:
    exporter = StrictExporter()
    with delivering(AgentProcessor(), exporter=exporter) as (provider, _):

        def submit() -> None:
            agent_uuid.set("submitter")
            project_name.set("jobs")
            with provider.get_tracer("app").start_as_current_span("request"):
                assert db.submit("flush_wal").wait(30)

        contextvars.copy_context().run(submit)
        spans = finished(exporter)
    (job,) = spans["wal.flush wal"]
    assert value(job, "agent_uuid") == "submitter"
    assert value(job, "project_name") == "jobs"
    assert job.parent is None
    (above,) = spans["request"]
    assert above.context is not None
    assert [link.context.span_id for link in job.links] == [above.context.span_id]


class Recording(SpanProcessor):
    """Records what `on_start` is called with, and changes the span in every way."""

    def __init__(self, *, changes: bool = False) -> None:
        self.started: list[tuple[str, Span, context_api.Context | None]] = []
        self.threads: list[int] = []
        self.changes = changes

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        self.started.append((span.name, span, parent_context))
        self.threads.append(threading.get_ident())
        assert span.is_recording()
        if self.changes and span.name == "lookup articles":
            span.set_attributes({"app.many": [1, 2], "app.flag": True, "app.rate": 0.5, "db.namespace": "hidden"})
            span.add_event("started", {"by": "processor"})
            span.add_link(trace.SpanContext(7, 9, is_remote=True))
            span.record_exception(ValueError("shown"))
            span.set_status(trace.Status(trace.StatusCode.ERROR, "set at the start"))
            span.update_name("renamed")


def test_on_start_receives_the_first_rust_span_and_its_parent(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    recording = Recording()
    with delivering(recording) as (provider, exporter):
        with carrying(tenant="a"):
            request(provider, db)
            at_call = [name for name, _, _ in recording.started]
            db.lookup("articles", "a", trace_context={"traceparent": INCOMING})
        spans = finished(exporter)
    # The spans below it are started when they are delivered; each is started once.
    assert at_call[:2] == ["request", "lookup articles"]
    names = [name for name, _, _ in recording.started]
    assert sorted(names) == sorted(span.name for spans in spans.values() for span in spans)
    starts = [(span, parent) for name, span, parent in recording.started if name == "lookup articles"]
    own, other = starts
    assert own[0].kind is trace.SpanKind.CLIENT
    assert own[0].attributes is not None
    assert own[0].attributes["db.collection.name"] == "articles"
    assert own[0].resource == provider.resource
    assert own[0].instrumentation_scope is not None
    assert own[0].instrumentation_scope.name == "percolate"
    assert own[0].start_time is not None
    (first,) = (span for span in spans["lookup articles"] if is_below(span, spans["request"][0]))
    assert own[0].get_span_context().span_id == first.get_span_context().span_id
    assert own[0].parent == spans["request"][0].get_span_context()
    assert trace.get_current_span(own[1]).get_span_context() == own[0].parent
    assert baggage.get_all(own[1]) == {"tenant": "a"}
    remote = trace.get_current_span(other[1]).get_span_context()
    assert format(remote.span_id, "016x") == "b7ad6b7169203331"
    assert remote.is_remote
    assert other[0].parent == remote
    assert recording.threads[1] == threading.get_ident()


def test_what_on_start_changes_is_on_the_exported_span(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    with delivering(Recording(changes=True)) as (provider, exporter):
        request(provider, db)
        spans = finished(exporter)
    assert "lookup articles" not in spans
    (renamed,) = spans["renamed"]
    assert value(renamed, "app.many") == (1, 2)
    assert value(renamed, "db.namespace") == "hidden"
    assert [event.name for event in renamed.events] == ["started", "exception"]
    assert [link.context.span_id for link in renamed.links] == [9]
    assert renamed.status.status_code is trace.StatusCode.ERROR
    for name in LOOKUP[1:]:
        (inner,) = spans[name]
        assert is_below(inner, renamed)
        assert value(inner, "app.many") == (1, 2)
        assert value(inner, "app.flag") is True
        assert value(inner, "app.rate") == 0.5
        # Attributes of the conventions belong to the call.
        assert value(inner, "db.namespace") == "library"
        assert inner.events == ()


def test_metrics_have_no_attributes_of_processors(db: Database) -> None:
    provider, reader = TracerProvider(shutdown_on_exit=False), InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
    percolate_rocks.configure(tracer_provider=provider, meter_provider=meters)
    try:
        with carrying(tenant="a"):
            db.insert("articles", {"slug": "a"})
            request(provider, db)
        data = reader.get_metrics_data()
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        provider.shutdown()
    assert data is not None
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    assert any("db.operation.name" in (point.attributes or {}) for point in points)
    assert not any("tenant" in (point.attributes or {}) for point in points)


def test_calls_that_are_not_sampled_do_not_call_on_start(db: Database) -> None:
    recording = Recording()
    with delivering(recording, sampler=ALWAYS_OFF) as (provider, exporter):
        request(provider, db)
        db.load_resource("r")
        assert finished(exporter) == {}
    assert recording.started == []


class Idle(BatchSpanProcessor):
    """Inherits an `on_start` that does nothing."""


def test_processors_without_work_in_on_start_cost_nothing_and_later_ones_are_noticed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    native = percolate_rocks._percolate_rocks._set_on_start
    from percolate_rocks import _bridge

    def set_on_start(function: Any, /) -> None:
        calls.append(function is not None)
        native(function)

    monkeypatch.setattr(_bridge._native, "_set_on_start", set_on_start)
    batches: list[SpanProcessor] = [BatchSpanProcessor(InMemorySpanExporter()), Idle(InMemorySpanExporter())]
    for kind in (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor):
        several = kind()
        several.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        batches.append(several)
    with delivering(*batches) as (provider, exporter):
        request(provider, db)
        finished(exporter)
        assert calls == []
        recording = Recording()
        provider.add_span_processor(recording)
        assert calls == [True]
        db.load_resource("r")
        assert [name for name, _, _ in recording.started] == ["get resources"]
        spans = _telemetry._state.spans
        assert spans is not None
        assert "add_span_processor" in vars(spans._processor)
    assert calls == [True, False]
    assert "add_span_processor" not in vars(spans._processor)
    db.load_resource("r")
    assert [name for name, _, _ in recording.started] == ["get resources"]


class Failing(SpanProcessor):
    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        if span.name != "request":
            raise RuntimeError("no such tenant")


def test_an_exception_in_on_start_is_logged_once_and_does_not_reach_the_caller(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    db.insert("articles", {"slug": "a"})
    with delivering(Failing(), BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)) as (provider, exporter):
        with carrying(tenant="a"):
            request(provider, db)
            request(provider, db)
        spans = finished(exporter)
    for name in LOOKUP:
        assert [value(span, "tenant") for span in spans[name]] == ["a", "a"]
    messages = [record.getMessage() for record in caplog.records if "span processor failed" in record.getMessage()]
    assert len(messages) == 1
    assert "on_start" in messages[0]


class Calling(SpanProcessor):
    """Calls the database in `on_start`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        if span.name == "lookup articles":
            span.set_attribute("app.resources", len(self.db.load_resource("r") or b""))


class Interrupted(SpanProcessor, Sampler):
    """Is running when somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.interrupts = 0

    def interrupt(self) -> None:
        self.interrupts += 1
        if self.interrupts == 1:
            signal.raise_signal(signal.SIGINT)

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        self.interrupt()

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        self.interrupt()
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "Interrupted"


@pytest.mark.parametrize("form", ["processor", "sampler"])
def test_ctrl_c_while_code_of_the_application_decides_is_not_lost(db: Database, form: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    code = Interrupted()
    processors, options = ([code], {}) if form == "processor" else ([], {"sampler": code})
    try:
        with delivering(*processors, **options), pytest.raises(KeyboardInterrupt):
            db.count("articles")
            pytest.fail("the interrupt was lost")
        assert code.interrupts > 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_processor_that_calls_the_database_does_not_wait_for_itself(db: Database) -> None:
    db.insert("articles", {"slug": "a"})
    with delivering(Calling(db)) as (provider, exporter):
        request(provider, db)
        spans = finished(exporter)
    assert value(spans["lookup articles"][0], "app.resources") == 0
    assert len(spans["get resources"]) == 1


class Nested:
    """An embedder that calls the database, in context variables that its thread may not have."""

    name = "nested"
    dimensions = 2

    def __init__(self) -> None:
        self.db: Database | None = None

    def embed(self, texts: list[str]) -> list[list[float]]:
        assert self.db is not None
        self.db.load_resource("r")
        return [[1.0, 0.5] for _ in texts]


def test_calls_of_a_callback_have_the_attributes_of_the_call_around_it(tmp_path: Path) -> None:
    embedder = Nested()
    with Database(place(tmp_path / "db"), embedder=embedder) as db:
        embedder.db = db
        db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body"]})
        db.insert("articles", {"slug": "a", "body": "text"})
        with delivering(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)) as (provider, exporter):
            with carrying(tenant="a"), provider.get_tracer("app").start_as_current_span("request"):
                db.generate_embeddings("articles")
            db.load_resource("r")
            spans = finished(exporter)
    inner, outside = spans["get resources"]
    assert value(inner, "tenant") == "a"
    assert inner.parent is not None
    assert value(outside, "tenant") is None
    for name, found in spans.items():
        if name != "get resources":
            assert [value(span, "tenant") for span in found] == ["a"] * len(found), name


def test_the_pages_of_a_scan_are_one_call(db: Database) -> None:
    for number in range(5):
        db.insert("articles", {"slug": f"a{number}"})
    recording = Recording()
    with delivering(recording, BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)) as (provider, exporter):
        with carrying(tenant="a"), provider.get_tracer("app").start_as_current_span("request"):
            entities = db.scan("articles", page_size=2)
        assert len(list(entities)) == 5
        spans = finished(exporter)
    assert all(value(span, "tenant") == "a" for found in spans.values() for span in found)


def test_a_received_context_is_the_parent_for_processors_too(db: Database) -> None:
    recording = Recording()
    with delivering(recording) as (_, exporter):
        token = context_api.attach(TraceContext({"traceparent": INCOMING}).to_context())
        db.load_resource("r")
        context_api.detach(token)
        (span,) = finished(exporter)["get resources"]
    ((_, started, parent),) = recording.started
    assert started.parent == span.parent
    assert trace.get_current_span(parent).get_span_context() == started.parent
