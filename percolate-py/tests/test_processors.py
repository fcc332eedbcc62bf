"""Span processors and providers other than the plain ones of the SDK: order, `on_start`, wrappers, limits, samplers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from test_telemetry import run

import percolate_rocks
from percolate_rocks import Database


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    yield provider
    percolate_rocks.shutdown()
    provider.shutdown()


class DecidesAtTheRoot(SpanProcessor):
    """Keeps a trace when its local root ends, as tail samplers do."""

    def __init__(self) -> None:
        self.open: dict[int, list[str]] = {}
        self.traces: list[list[str]] = []

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        spans = self.open.setdefault(span.context.trace_id, [])
        spans.append(span.name)
        if span.parent is None:
            self.traces.append(self.open.pop(span.context.trace_id))


def test_a_processor_that_decides_at_the_end_of_the_root_sees_the_rust_spans(
    db: Database, provider: TracerProvider
) -> None:
    decides = DecidesAtTheRoot()
    provider.add_span_processor(decides)
    for _ in range(50):
        with provider.get_tracer("app").start_as_current_span("request"):
            db.load_resource("r")
            with provider.get_tracer("app").start_as_current_span("inner"):
                db.load_resource("r")
    assert percolate_rocks.force_flush()
    assert len(decides.traces) == 50
    assert all(sorted(names) == ["get resources", "get resources", "inner", "request"] for names in decides.traces)
    assert all(names[-1] == "request" for names in decides.traces)
    assert decides.open == {}


class Transactions(SpanProcessor):
    """Builds trees in `on_start`, as the processor of Sentry does."""

    def __init__(self) -> None:
        self.open: dict[int, tuple[str, list[Any]]] = {}
        self.roots: list[tuple[str, list[Any]]] = []

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        node: tuple[str, list[Any]] = (span.name, [])
        assert span.context is not None
        assert span.is_recording()
        span.set_attribute("seen", True)
        parent = self.open.get(span.parent.span_id) if span.parent is not None else None
        (parent[1] if parent is not None else self.roots).append(node)
        self.open[span.context.span_id] = node

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        assert span.end_time is not None
        assert span.attributes is not None
        assert span.attributes["seen"] is True
        del self.open[span.context.span_id]


def test_a_processor_that_works_in_on_start_sees_the_rust_spans_below_their_parents(
    db: Database, provider: TracerProvider
) -> None:
    transactions, exporter = Transactions(), InMemorySpanExporter()
    provider.add_span_processor(transactions)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    db.insert("articles", {"slug": "a"})
    for _ in range(20):
        with provider.get_tracer("app").start_as_current_span("request"):
            with provider.get_tracer("app").start_as_current_span("inner"):
                db.lookup("articles", "a")
            db.load_resource("r")
    job = db.submit("flush_wal")
    assert job.wait(30)
    assert percolate_rocks.force_flush()
    lookup = ("lookup articles", [("get key_index", []), ("get entities", [])])
    request = ("request", [("inner", [lookup]), ("get resources", [])])
    requests = [root for root in transactions.roots if root[0] == "request"]
    assert requests == [request] * 20
    others = {root[0] for root in transactions.roots if root[0] != "request"}
    assert others == {"insert articles", "wal.flush wal"}
    assert transactions.open == {}
    assert len(exporter.get_finished_spans()) > 100


def test_a_span_with_events_and_an_error_reaches_every_processor_alike(db: Database, provider: TracerProvider) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def failing() -> Any:
        exporter.clear()
        with provider.get_tracer("app").start_as_current_span("request"):
            with pytest.raises(percolate_rocks.NotFoundError):
                db.update("articles", "01890000-0000-7000-8000-000000000000", {"year": 1})
        assert percolate_rocks.force_flush()
        spans = {span.name: span for span in exporter.get_finished_spans()}
        found = spans["update articles"]
        attributes = {key: value for key, value in dict(found.attributes or {}).items() if key != "seen"}
        return found.status.status_code, found.status.description, found.kind, attributes, len(found.events), found.links

    plain = failing()
    provider.add_span_processor(Transactions())
    assert failing() == plain


def test_the_span_limits_of_the_application_apply(db: Database) -> None:
    limits = SpanLimits(max_span_attributes=3, max_span_attribute_length=4, max_links=0)
    for extra in (None, Transactions()):
        provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
        exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        if extra is not None:
            provider.add_span_processor(extra)
        percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
        try:
            with provider.get_tracer("app").start_as_current_span("request"):
                db.load_resource("r")
                assert db.submit("flush_wal").wait(30)
            assert percolate_rocks.force_flush()
            spans = {span.name: span for span in exporter.get_finished_spans()}
            for name in ("get resources", "wal.flush wal"):
                attributes = spans[name].attributes
                assert attributes is not None
                assert len(attributes) == 3
                assert all(len(value) <= 4 for value in attributes.values() if isinstance(value, str))
                assert spans[name].dropped_attributes > 0
                assert len(spans[name].links) == 0
        finally:
            percolate_rocks.shutdown()
            provider.shutdown()


def test_a_wrapped_meter_provider_is_found(db: Database) -> None:
    class Proxy:
        """Has the SDK's provider in an attribute, as the one of logfire does."""

        def __init__(self, provider: object) -> None:
            self.provider = provider

    reader = InMemoryMetricReader()
    meters, tracers = MeterProvider([reader], shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=Proxy(tracers), meter_provider=Proxy(Proxy(meters)))
    try:
        db.load_resource("r")
        data = reader.get_metrics_data()
        assert data is not None
        names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
        assert "db.client.operation.duration" in names
        assert percolate_rocks.status()["metrics"]
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


def test_delivery_resumes_with_a_new_provider_after_a_shutdown(tmp_path: Path) -> None:
    script = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    import percolate_rocks
    from percolate_rocks import Database

    def new():
        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return provider, exporter

    def request(provider):
        with provider.get_tracer("app").start_as_current_span("request"):
            db.load_resource("r")

    first, exported = new()
    trace.set_tracer_provider(first)
    db = Database(sys.argv[1])
    request(first)
    first.shutdown()
    print(sorted(span.name for span in exported.get_finished_spans() if "scan" not in span.name))
    unrelated, _ = new()
    for _ in range(50):
        request(unrelated)
    print(percolate_rocks.status()["installed"])
    second, exported = new()
    trace._TRACER_PROVIDER = second
    request(second)
    request(second)
    percolate_rocks.force_flush()
    print(sorted(span.name for span in exported.get_finished_spans() if "scan" not in span.name))
    second.shutdown()
    percolate_rocks.shutdown()
    trace._TRACER_PROVIDER, exported = new()
    request(trace._TRACER_PROVIDER)
    percolate_rocks.force_flush()
    print(sorted(span.name for span in exported.get_finished_spans() if "scan" not in span.name))
    """
    lines = run(script, tmp_path / "db").splitlines()
    assert lines == [
        "['get resources', 'request']",
        "False",
        "['get resources', 'get resources', 'request', 'request']",
        "['request']",
    ]


def test_a_provider_that_accepts_no_finished_spans_is_warned_of_once(tmp_path: Path) -> None:
    script = """
    import logging, sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from percolate_rocks import Database

    class Other(trace.TracerProvider):
        def get_tracer(self, *args, **kwargs):
            return sdk.get_tracer("other")

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    sdk = TracerProvider()
    trace.set_tracer_provider(Other())
    db = Database(sys.argv[1])
    for _ in range(40):
        with trace.get_tracer("app").start_as_current_span("request"):
            db.load_resource("r")
    """
    printed = run(script, tmp_path / "db").splitlines()
    (warning,) = [line for line in printed if "Rust spans" in line]
    assert "the global tracer provider is a __main__.Other" in warning
    assert 'configure("otlp")' in warning


class Sampling(Sampler):
    """Records what it is called with, and adds to the span."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def should_sample(
        self,
        parent_context: context_api.Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        self.calls.append((name, parent, dict(attributes or {}), kind, baggage.get_all(parent_context), list(links or ())))
        wanted = not (attributes or {}).get("db.collection.name") == "resources"
        added = {"sampled.by": "test", "sampled.parts": ["a", "b"], "sampled.rate": 0.5}
        state = trace.TraceState([("test", "1")])
        return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP, {**(attributes or {}), **added}, state)

    def get_description(self) -> str:
        return "Sampling"


def test_a_custom_sampler_sees_the_span_and_its_additions_are_kept(db: Database) -> None:
    sampler, exporter = Sampling(), InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    db.insert("articles", {"slug": "a"})
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    try:
        with provider.get_tracer("app").start_as_current_span("request") as request:
            token = context_api.attach(baggage.set_baggage("user", "alice"))
            sampler.calls.clear()
            db.lookup("articles", "a")
            db.load_resource("r")
            context_api.detach(token)
            assert db.submit("flush_wal").wait(30)
        assert percolate_rocks.force_flush()
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()
    calls = {name: call for name, *call in sampler.calls}
    parent, attributes, kind, members, links = calls["lookup articles"]
    assert parent.span_id == request.get_span_context().span_id
    assert attributes["db.collection.name"] == "articles"
    assert attributes["db.operation.name"] == "lookup"
    assert (kind, members, links) == (trace.SpanKind.CLIENT, {"user": "alice"}, [])
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert calls["get key_index"][0].span_id == spans["lookup articles"].get_span_context().span_id
    assert "get resources" in calls
    assert "get resources" not in spans
    job = calls["wal.flush wal"]
    assert not job[0].is_valid
    assert [link.context.span_id for link in job[4]] == [request.get_span_context().span_id]
    for name in ("lookup articles", "get key_index", "wal.flush wal"):
        found = spans[name]
        assert found.attributes is not None
        assert found.attributes["sampled.by"] == "test"
        assert found.attributes["sampled.parts"] == ("a", "b")
        assert found.attributes["sampled.rate"] == 0.5
        assert found.get_span_context().trace_state == trace.TraceState([("test", "1")])


@pytest.mark.parametrize("overrides", [True, False])
def test_a_sampler_that_changes_the_decision_of_the_parent_is_called(db: Database, overrides: bool) -> None:
    sampler: Sampler = ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF)
    if overrides:

        class Never(ParentBased):
            def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
                return SamplingResult(Decision.DROP)

        sampler = Never(ALWAYS_ON)
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.sampler = sampler
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    try:
        with TracerProvider(shutdown_on_exit=False).get_tracer("app").start_as_current_span("request"):
            db.load_resource("r")
        assert percolate_rocks.force_flush()
        assert exporter.get_finished_spans() == ()
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_does_not_deliver_the_spans_of_its_parent_again(tmp_path: Path) -> None:
    script = """
    import os, sys, time
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    import percolate_rocks
    from percolate_rocks import Database

    parent = os.getpid()

    class Printing(SpanProcessor):
        def on_start(self, span, parent_context=None):
            pass

        def on_end(self, span):
            if span.name.startswith("get"):
                print(span.name, os.getpid() == parent, flush=True)

    provider = TracerProvider()
    provider.add_span_processor(Printing())
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    with provider.get_tracer("app").start_as_current_span("request"):
        db.load_resource("r")
        time.sleep(0.5)
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    """
    assert run(script, tmp_path / "db") == "get resources True\n"
