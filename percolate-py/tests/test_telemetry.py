"""The receiver of telemetry, metrics, the instrumentor, and the life cycle in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Counter as CounterInstrument
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    Sum,
)
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    SumAggregation,
    View,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from place import place

import percolate_rocks
from percolate_rocks import Database, _distribution


def run(script: str, *arguments: str | Path, **environment: str) -> str:
    """Run a script in a new process, with warnings as errors, and return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.replace("SDK is disabled.\n", "") == ""
    return done.stdout


def durations(data: MetricsData | None) -> tuple[Histogram, list[HistogramDataPoint]]:
    assert data is not None
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    (metric,) = [m for m in metrics if m.name == "db.client.operation.duration"]
    assert metric.unit == "s"
    assert isinstance(metric.data, Histogram)
    return metric.data, list(metric.data.data_points)


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_python_readers_collect_rust_histograms(db: Database, temporality: AggregationTemporality) -> None:
    reader = InMemoryMetricReader(preferred_temporality={HistogramInstrument: temporality})
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)
    meters.get_meter("app").create_counter("own").add(1)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
    try:
        counts = []
        for _ in range(2):
            db.load_resource("r")
            db.load_resource("r")
            data = reader.get_metrics_data()
            histogram, points = durations(data)
            assert histogram.aggregation_temporality is temporality
            gets = [p for p in points if p.attributes and p.attributes["db.operation.name"] == "get"]
            (point,) = gets
            assert point.attributes is not None
            assert point.attributes["db.collection.name"] == "resources"
            assert point.count == sum(point.bucket_counts)
            assert 0 < point.min <= point.max < 60
            counts.append(point.count)
            names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
            assert "own" in names
        assert counts == ([2, 4] if temporality is AggregationTemporality.CUMULATIVE else [2, 2])
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


def test_collections_that_a_delta_reader_does_not_take_are_counted(db: Database) -> None:
    often = InMemoryMetricReader()
    rarely = InMemoryMetricReader(preferred_temporality={HistogramInstrument: AggregationTemporality.DELTA})
    with collecting((), often, rarely):
        for _ in range(64):
            db.load_resource("r")
            often.get_metrics_data()
        assert percolate_rocks.status()["warnings"] == []
        for _ in range(3):
            often.get_metrics_data()
        (warning,) = percolate_rocks.status()["warnings"]
        assert warning.startswith("metrics: 3 collections were dropped "), warning
        # percolate's own histograms are aggregated for each reader.
        _, points = durations(rarely.get_metrics_data())
        assert sum(point.count for point in points) == 64


def test_a_shutdown_leaves_the_last_metrics_to_the_readers(db: Database) -> None:
    cumulative = InMemoryMetricReader()
    delta = InMemoryMetricReader(preferred_temporality={HistogramInstrument: AggregationTemporality.DELTA})
    meters = MeterProvider([cumulative, delta], shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)

    def call(times: int) -> None:
        for _ in range(times):
            db.load_resource("r")

    def counts(reader: InMemoryMetricReader) -> list[int]:
        data = reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data is not None else []
        return [p.count for m in found if m.name == "db.client.operation.duration" for p in m.data.data_points]

    try:
        percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
        call(3)
        assert counts(delta) == [3]
        call(2)
        percolate_rocks.shutdown()
        # These are not measured.
        call(4)
        assert (counts(cumulative), counts(delta)) == ([5], [2])
        assert (counts(cumulative), counts(delta)) == ([], [])
        # What was not collected before the next delivery is not in two series of a cumulative reader.
        percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
        call(10)
        percolate_rocks.shutdown()
        percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
        call(1)
        assert counts(cumulative) == [1]
        assert sorted(counts(delta)) == [1, 10]
        call(1)
        assert (counts(cumulative), counts(delta)) == ([2], [1])
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


def test_metrics_are_exact_when_nothing_is_sampled(db: Database) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tracers = TracerProvider(sampler=TraceIdRatioBased(0.0), shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
    try:
        for _ in range(100):
            db.load_resource("r")
        _, points = durations(reader.get_metrics_data())
        assert sum(point.count for point in points) == 100
        assert percolate_rocks.force_flush()
        assert percolate_rocks.status()["spans_delivered"] == 0
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


try:
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter
except ImportError:
    HAS_EXEMPLARS = False
else:
    HAS_EXEMPLARS = True


def exemplars_of(data: MetricsData | None, name: str) -> list[Any]:
    """Return the exemplars of a histogram."""
    metric = metrics_of(data).get(name)
    points = metric.data.data_points if metric is not None else ()
    return [exemplar for point in points for exemplar in getattr(point, "exemplars", ())]


def assert_leads_to_a_span(exemplar: Any, spans: Sequence[ReadableSpan], operation: str) -> None:
    """Assert that an exemplar is a call of an operation whose span was exported."""
    (span,) = [s for s in spans if s.context is not None and s.context.span_id == exemplar.span_id]
    assert span.context is not None
    assert span.context.trace_id == exemplar.trace_id
    assert span.attributes is not None
    assert span.attributes["db.operation.name"] == operation
    assert span.start_time is not None
    assert span.end_time is not None
    assert exemplar.value == pytest.approx((span.end_time - span.start_time) / 1e9, abs=1e-6)
    assert span.start_time <= exemplar.time_unix_nano <= span.end_time + 1_000_000
    assert exemplar.filtered_attributes == {}


@pytest.mark.skipif(not HAS_EXEMPLARS, reason="this version of the SDK has no exemplars")
@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
@pytest.mark.parametrize("aggregation", [None, ExponentialBucketHistogramAggregation()])
def test_an_exemplar_leads_to_the_exported_span(
    db: Database, temporality: AggregationTemporality, aggregation: ExponentialBucketHistogramAggregation | None
) -> None:
    reader = InMemoryMetricReader(
        preferred_temporality={HistogramInstrument: temporality},
        preferred_aggregation={HistogramInstrument: aggregation} if aggregation is not None else None,
    )
    meters = MeterProvider([reader], shutdown_on_exit=False)
    exported = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exported))
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
    try:
        seen = []
        for _ in range(2):
            with tracers.get_tracer("app").start_as_current_span("request"):
                db.load_resource("r")
            assert percolate_rocks.force_flush()
            data = reader.get_metrics_data()
            metric = metrics_of(data)["db.client.operation.duration"].data
            assert isinstance(metric, Histogram if aggregation is None else ExponentialHistogram)
            assert metric.aggregation_temporality is temporality
            (point,) = metric.data_points
            exemplars = exemplars_of(data, "db.client.operation.duration")
            assert exemplars
            for exemplar in exemplars:
                assert_leads_to_a_span(exemplar, exported.get_finished_spans(), "get")
            rows = exemplars_of(data, "db.client.response.returned_rows")
            assert {e.span_id for e in rows} <= {s.context.span_id for s in exported.get_finished_spans() if s.context}
            assert [e.value for e in rows] == [0]
            assert isinstance(rows[0].value, int)
            seen.append((point.count, {e.span_id for e in exemplars}, point.start_time_unix_nano, point.time_unix_nano))
        (first, first_spans, first_start, first_end), (second, second_spans, second_start, second_end) = seen
        if temporality is AggregationTemporality.CUMULATIVE:
            assert (first, second) == (1, 2)
            assert first_start == second_start < first_end < second_end
        else:
            assert (first, second) == (1, 1)
            assert not first_spans & second_spans
            assert first_start < first_end == second_start < second_end
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


def test_readers_of_both_temporalities_each_collect_every_call(db: Database) -> None:
    delta = InMemoryMetricReader(preferred_temporality={HistogramInstrument: AggregationTemporality.DELTA})
    cumulative = InMemoryMetricReader()

    def counts(reader: InMemoryMetricReader) -> list[int]:
        metric = metrics_of(reader.get_metrics_data()).get("db.client.operation.duration")
        assert metric is None or isinstance(metric.data, Histogram)
        return [point.count for point in metric.data.data_points] if metric is not None else []

    with collecting((), delta, cumulative):
        db.load_resource("r")
        assert counts(delta) == [1]
        db.load_resource("r")
        assert (counts(cumulative), counts(delta), counts(delta), counts(cumulative)) == ([2], [1], [], [2])


@pytest.mark.skipif(not HAS_EXEMPLARS, reason="this version of the SDK has no exemplars")
@pytest.mark.parametrize("why", ["unsampled", "always_off", "argument", "view"])
def test_calls_without_a_span_and_filters_leave_no_exemplar(
    db: Database, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "always_off":
        monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
    exemplar_filter = AlwaysOffExemplarFilter() if why == "argument" else None
    # A view that changes more than buckets: the Rust SDK aggregates, which has no exemplars.
    views = [View(instrument_name="job.duration", name="jobs")] if why == "view" else []
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], views=views, exemplar_filter=exemplar_filter, shutdown_on_exit=False)
    sampler = TraceIdRatioBased(0.0) if why == "unsampled" else None
    tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
    try:
        db.load_resource("r")
        data = reader.get_metrics_data()
        _, (point,) = durations(data)
        assert point.count == 1
        assert exemplars_of(data, "db.client.operation.duration") == []
        assert exemplars_of(data, "db.client.response.returned_rows") == []
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


@pytest.mark.skipif(not HAS_EXEMPLARS, reason="this version of the SDK has no exemplars")
def test_a_view_of_the_buckets_keeps_exemplars(db: Database) -> None:
    view = View(instrument_name=DURATION, aggregation=ExplicitBucketHistogramAggregation([0.5, 60.0]))
    with collecting([view]) as reader:
        db.load_resource("r")
        data = reader.get_metrics_data()
        _, (point,) = durations(data)
        assert (point.explicit_bounds, sum(point.bucket_counts)) == ([0.5, 60.0], 1)
        (exemplar,) = exemplars_of(data, DURATION)
        assert exemplar.span_id


def metrics_of(data: MetricsData | None) -> dict[str, Metric]:
    """Return all metrics by name."""
    assert data is not None
    return {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}


@contextmanager
def collecting(
    views: Sequence[View] = (), *readers: InMemoryMetricReader
) -> Iterator[InMemoryMetricReader]:
    """A reader of a private provider with these views, to which percolate delivers."""
    readers = readers or (InMemoryMetricReader(),)
    meters = MeterProvider(readers, views=views, shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)
    assert percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters)
    try:
        yield readers[0]
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


DURATION = "db.client.operation.duration"


def test_a_view_changes_buckets_name_and_attributes_of_histograms(db: Database) -> None:
    view = View(
        instrument_type=HistogramInstrument,
        instrument_name=DURATION,
        instrument_unit="s",
        name="rocksdb.duration",
        description="of mine",
        attribute_keys={"db.operation.name"},
        aggregation=ExplicitBucketHistogramAggregation([0.5, 1.0]),
    )
    with collecting([view]) as reader:
        db.load_resource("r")
        db.store_resource("r", b"x")
        db.load_resource("r")
        db.register_schema("more", {})
        found = metrics_of(reader.get_metrics_data())
    assert DURATION not in found
    metric = found["rocksdb.duration"]
    assert metric.description == "of mine"
    assert metric.unit == "s"
    points = {point.attributes["db.operation.name"]: point for point in metric.data.data_points if point.attributes}
    assert {tuple(point.attributes or ()) for point in metric.data.data_points} == {("db.operation.name",)}
    get = points["get"]
    assert isinstance(get, HistogramDataPoint)
    assert list(get.explicit_bounds) == [0.5, 1.0]
    assert (get.count, list(get.bucket_counts)) == (2, [2, 0, 0])


@pytest.mark.parametrize("pattern", ["db.client.*", "*", "db.client.operation.duratio?", "DB.client.operation.duration"])
def test_a_view_can_drop_what_its_pattern_matches(db: Database, pattern: str) -> None:
    with collecting([View(instrument_name=pattern, aggregation=DropAggregation())]) as reader:
        db.load_resource("r")
        data = reader.get_metrics_data()
    assert data is None or DURATION not in metrics_of(data)


@pytest.mark.parametrize(
    "other",
    [
        View(instrument_name="http.*", aggregation=DropAggregation()),
        View(instrument_name="db.client.operation.duration?", aggregation=DropAggregation()),
        View(meter_name="app", aggregation=DropAggregation()),
        View(meter_version="0", meter_name="percolate", aggregation=DropAggregation()),
        View(instrument_type=CounterInstrument, aggregation=DropAggregation()),
        View(instrument_unit="ms", aggregation=DropAggregation()),
    ],
)
def test_a_view_of_something_else_changes_nothing(db: Database, other: View) -> None:
    with collecting([other]) as reader:
        db.load_resource("r")
        _, (point,) = durations(reader.get_metrics_data())
    assert len(point.explicit_bounds) == 22


def test_two_views_of_one_instrument_are_two_streams(db: Database) -> None:
    views = [
        View(instrument_name=DURATION, name="calls", aggregation=SumAggregation(), attribute_keys=set()),
        View(instrument_name=DURATION),
    ]
    with collecting(views) as reader:
        db.load_resource("r")
        found = metrics_of(reader.get_metrics_data())
    assert isinstance(found["calls"].data, Sum)
    assert isinstance(found[DURATION].data, Histogram)


@pytest.mark.parametrize("way", ["view", "reader"])
@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_exponential_histograms_arrive_whole(db: Database, way: str, temporality: AggregationTemporality) -> None:
    aggregation = ExponentialBucketHistogramAggregation(max_size=80)
    reader = InMemoryMetricReader(
        preferred_temporality={HistogramInstrument: temporality},
        preferred_aggregation={HistogramInstrument: aggregation} if way == "reader" else None,
    )
    views = [View(instrument_name=DURATION, aggregation=aggregation)] if way == "view" else []
    with collecting(views, reader):
        for _ in range(10):
            db.load_resource("r")
        metric = metrics_of(reader.get_metrics_data())[DURATION]
    assert isinstance(metric.data, ExponentialHistogram)
    assert metric.data.aggregation_temporality is temporality
    (point,) = metric.data.data_points
    assert point.attributes is not None
    assert point.attributes["db.operation.name"] == "get"
    assert point.count == 10 == point.zero_count + sum(point.positive.bucket_counts)
    assert 0 < len(point.positive.bucket_counts) <= 80
    assert 0 < point.min <= point.max <= point.sum < 60
    base = 2 ** 2**-point.scale
    assert base**point.positive.offset < point.min <= base ** (point.positive.offset + 1) * 1.000001
    assert sum(point.negative.bucket_counts) == 0


def test_readers_that_prefer_different_histograms_get_explicit_buckets(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    exponential = InMemoryMetricReader(
        preferred_aggregation={HistogramInstrument: ExponentialBucketHistogramAggregation()}
    )
    with collecting([], exponential, InMemoryMetricReader()):
        db.load_resource("r")
        assert isinstance(metrics_of(exponential.get_metrics_data())[DURATION].data, Histogram)
    assert "prefer different histogram aggregations" in caplog.text


def test_a_view_that_cannot_be_applied_is_reported(db: Database) -> None:
    view = View(instrument_name=DURATION, aggregation=ExplicitBucketHistogramAggregation([2.0, 1.0]))
    with collecting([view]) as reader:
        db.load_resource("r")
        durations(reader.get_metrics_data())
        (warning,) = percolate_rocks.status()["warnings"]
    assert warning.startswith(f'the View of "{DURATION}" is not applied: ')


class OnlyGets(Sampler):
    def should_sample(self, parent_context, trace_id, name, *_, **__):  # type: ignore[no-untyped-def]
        return SamplingResult(Decision.RECORD_AND_SAMPLE if name == "get resources" else Decision.DROP)

    def get_description(self) -> str:
        return "OnlyGets"


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (ALWAYS_ON, {"get resources", "put resources"}),
        (ParentBased(ALWAYS_ON), {"get resources", "put resources"}),
        (ParentBased(TraceIdRatioBased(0.0)), set()),
        (OnlyGets(), {"get resources"}),
        (ParentBased(OnlyGets()), {"get resources"}),
    ],
)
def test_root_spans_are_sampled_by_the_providers_sampler(db: Database, sampler: Sampler, expected: set[str]) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    try:
        db.store_resource("r", b"x")
        db.load_resource("r")
        assert percolate_rocks.force_flush()
        assert {span.name for span in exporter.get_finished_spans()} == expected
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


def test_configuring_twice_changes_nothing_and_wrong_choices_are_refused() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    try:
        assert percolate_rocks.configure(tracer_provider=provider)
        assert percolate_rocks.configure(tracer_provider=provider)
        assert percolate_rocks.status()["installed"]
        assert percolate_rocks.shutdown()
        assert percolate_rocks.shutdown()
        with pytest.raises(ValueError, match="export must be"):
            percolate_rocks.configure("both")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"opentelemetry\.sdk\.trace\.TracerProvider"):
            percolate_rocks.configure(tracer_provider=object())
        with pytest.raises(ValueError, match="timeout"):
            percolate_rocks.force_flush(-1)
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


def test_a_provider_in_a_wrapper_is_found(db: Database) -> None:
    class Wrapper:
        provider = TracerProvider(shutdown_on_exit=False)

    try:
        assert percolate_rocks.configure(tracer_provider=Wrapper(), meter_provider=False)
        assert percolate_rocks.configure(tracer_provider=Wrapper(), meter_provider=False)
        db.load_resource("r")
        assert percolate_rocks.force_flush()
        assert percolate_rocks.status()["spans_delivered"] == 1
    finally:
        percolate_rocks.shutdown()
        Wrapper.provider.shutdown()


def test_the_instrumentor_switches_delivery_on_and_off() -> None:
    from percolate_rocks import PercolateInstrumentor

    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor = PercolateInstrumentor()
    try:
        instrumentor.instrument(tracer_provider=provider, meter_provider=False)
        assert percolate_rocks.status()["installed"]
        instrumentor.uninstrument()
        assert not percolate_rocks.status()["installed"]
    finally:
        provider.shutdown()


@pytest.mark.parametrize("export", ["python", "chrome"])
def test_the_status_keeps_the_counts_of_a_shutdown_and_counts_later_calls(tmp_path: Path, export: str) -> None:
    script = """
    import os, sys, threading, percolate_rocks
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)

    def configure():
        assert percolate_rocks.configure(sys.argv[2], tracer_provider=provider)

    def call(times):
        for _ in range(times):
            db.load_resource("r")

    def counts():
        found = percolate_rocks.status()
        names = ("installed", "spans_delivered", "spans_dropped", "spans_waiting", "calls_after_shutdown")
        return tuple(found[name] for name in names)

    db = percolate_rocks.Database(sys.argv[1])
    call(10)
    assert counts() == (False, 0, 0, 0, 0), counts()
    configure()
    call(10)
    assert percolate_rocks.force_flush()
    assert counts() == (True, 10, 0, 0, 0), counts()
    assert percolate_rocks.shutdown()
    assert counts() == (False, 10, 0, 0, 0), counts()
    call(100)
    other = threading.Thread(target=call, args=(20,))
    other.start()
    other.join()
    assert counts() == (False, 10, 0, 0, 120), counts()
    # Ending nothing changes nothing.
    assert percolate_rocks.shutdown()
    assert counts() == (False, 10, 0, 0, 120), counts()
    child = os.fork()
    if child == 0:
        os._exit(0 if counts() == (False, 0, 0, 0, 0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    # Another delivery has counts of its own.
    configure()
    assert counts() == (True, 0, 0, 0, 0), counts()
    call(5)
    assert percolate_rocks.shutdown()
    call(1)
    assert counts() == (False, 5, 0, 0, 1), counts()
    """
    run(script, place(tmp_path / "db"), export, PERCOLATE_FILE_FOLDER=str(tmp_path))


APP = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from percolate_rocks import Database

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")))
"""


def test_without_configuration_spans_are_exported_at_exit(tmp_path: Path) -> None:
    script = APP + """
    db = Database(sys.argv[1])
    trace.set_tracer_provider(provider)
    with trace.get_tracer("app").start_as_current_span("request"):
        db.store_resource("r", b"x")
    """
    assert "put resources" in run(script, place(tmp_path / "db"))


def test_a_provider_that_is_there_at_opening_is_found(tmp_path: Path) -> None:
    script = APP + """
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    db.store_resource("r", b"x")
    """
    assert "put resources" in run(script, place(tmp_path / "db"))


@pytest.mark.parametrize(
    "environment", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis, percolate"}]
)
def test_the_environment_can_switch_it_off(tmp_path: Path, environment: dict[str, str]) -> None:
    script = APP + """
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    with trace.get_tracer("app").start_as_current_span("request"):
        db.store_resource("r", b"x")
    """
    assert "resources" not in run(script, place(tmp_path / "db"), **environment)


def test_broken_telemetry_fails_no_call(tmp_path: Path) -> None:
    script = APP + """
    import logging, percolate_rocks
    logging.disable()
    import percolate_rocks._bridge as bridge
    bridge.SpanBridge.sampler = None
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    db.store_resource("r", b"x")
    assert percolate_rocks.status()["installed"] is False
    """
    run(script, place(tmp_path / "db"))


def test_opentelemetry_instrument_switches_it_on(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        "import sys, percolate_rocks\n"
        "assert percolate_rocks.status()['installed']\n"
        "percolate_rocks.Database(sys.argv[1]).store_resource('r', b'x')\n"
    )
    tool = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [tool, "--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none"]
        + [sys.executable, script, tmp_path / "db"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert '"name": "put resources"' in done.stdout


def test_without_opentelemetry_everything_works(tmp_path: Path) -> None:
    script = """
    import sys
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "opentelemetry":
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Absent())
    import percolate_rocks
    with percolate_rocks.Database(sys.argv[1]) as db:
        db.store_resource("r", b"x")
        assert db.load_resource("r", trace_context={"traceparent": "x"}) == b"x"
        db.register_schema("t", {})
        db.rebuild_indexes(on_progress=print)
    assert percolate_rocks.TraceContext.current() is None
    assert percolate_rocks.configure() is False
    try:
        percolate_rocks.PercolateInstrumentor
    except ImportError as error:
        print(error)
    """
    assert f"pip install '{_distribution.name()}[opentelemetry]'" in run(script, place(tmp_path / "db"))


def test_a_database_left_open_at_exit_does_not_deadlock(tmp_path: Path) -> None:
    script = APP + """
    import threading, time
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    def work():
        while True:
            db.load_resource("r")
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.2)
    """
    run(script, place(tmp_path / "db"))


def test_a_forked_child_raises_instead_of_hanging_and_the_parent_goes_on(tmp_path: Path) -> None:
    script = APP + """
    import os, percolate_rocks
    trace.set_tracer_provider(provider)
    db = Database(sys.argv[1])
    db.store_resource("parent", b"x")
    child = os.fork()
    if child == 0:
        try:
            db.load_resource("r")
        except percolate_rocks.ForkedError as error:
            print("refused:", "belongs to the parent" in str(error))
        try:
            Database(sys.argv[2])
        except percolate_rocks.ForkedError as error:
            print("refused:", "threads of a database" in str(error))
        del db
        sys.stdout.flush()
        sys.exit(0)
    _, code = os.waitpid(child, 0)
    assert code == 0, code
    db.store_resource("parent", b"y")
    db.close()
    """
    printed = run(script, place(tmp_path / "db"), tmp_path / "own")
    assert printed.count("refused: True") == 2
    assert printed.count("put resources") == 2


def test_prefork_workers_have_databases_and_telemetry_of_their_own(tmp_path: Path) -> None:
    script = APP + """
    import os, percolate_rocks
    trace.set_tracer_provider(provider)
    assert percolate_rocks.configure()
    for worker in range(3):
        if os.fork() == 0:
            with Database(f"{sys.argv[1]}-{worker}") as db:
                with trace.get_tracer("app").start_as_current_span("request"):
                    db.store_resource("r", b"x")
                db.flush()
            assert percolate_rocks.status()["installed"]
            sys.exit(0)
    for _ in range(3):
        assert os.wait()[1] == 0
    """
    printed = run(script, place(tmp_path / "db"))
    assert printed.count("put resources") == 3


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_work_on_databases_of_their_own(tmp_path: Path, method: str) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing, sys
        from percolate_rocks import Database

        def work(path):
            with Database(path) as db:
                db.store_resource("r", b"x")
                db.flush()
                return db.load_resource("r")

        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
                with Database(sys.argv[1]) as db:
                    print(pool.map(work, [f"{sys.argv[1]}-{n}" for n in range(4)]))
        """)
    )
    done = subprocess.run([sys.executable, script, tmp_path / "db", method], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("b'x'") == 4


@pytest.mark.parametrize("first", ["", "import percolate_rocks"])
def test_a_sub_interpreter_is_refused_by_the_import(first: str) -> None:
    # CPython 3.12.1 crashes if a sub-interpreter is the first to import asyncio.
    script = """
    import asyncio, sys
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    exec(sys.argv[1])
    code = "try:\\n import percolate_rocks\\nexcept ImportError as e:\\n print('refused', e)"
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, code)
    interpreters.destroy(interpreter)
    """
    assert "refused" in run(script, first)


INTERRUPTED = APP + """
    import os, signal, threading, time
    import percolate_rocks
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    # A program in the background of a shell ignores the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)

    def after(seconds):
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
        return time.monotonic()

    def status_of(name):
        percolate_rocks.force_flush()
        return [span.attributes.get("job.status") for span in spans.get_finished_spans() if span.name == name]
"""


def test_ctrl_c_ends_a_rebuild(tmp_path: Path) -> None:
    script = INTERRUPTED + """
    db = Database(sys.argv[1])
    db.register_schema("t", {})
    db.insert_many("t", [{} for _ in range(600)])
    progress = []
    def slow(done):
        progress.append(done.done)
        time.sleep(3)
    started = after(0.3)
    try:
        db.rebuild_indexes(on_progress=slow)
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - started < 2)
    time.sleep(4)
    print("progress", progress, status_of("index.rebuild all"))
    """
    printed = run(script, place(tmp_path / "db"))
    assert "interrupted True" in printed
    assert "progress [512] ['cancelled']" in printed


def test_ctrl_c_ends_embedding_and_does_not_raise_an_embedding_error(tmp_path: Path) -> None:
    script = INTERRUPTED + """
    import socket
    from percolate_rocks import HttpEmbeddings
    silent = socket.create_server(("127.0.0.1", 0))
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    db = Database(sys.argv[1], embedder=HttpEmbeddings(endpoint, "model", 2))
    db.register_schema("t", {"embedding_fields": ["body"]})
    db.insert("t", {"body": "x"})
    started = after(0.3)
    try:
        db.generate_embeddings("t")
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - started < 3)
    time.sleep(0.3)
    print("status", status_of("embedding.generate t"))
    started = after(0.3)
    try:
        db.search("t", "x")
    except KeyboardInterrupt:
        print("search interrupted", time.monotonic() - started < 3)

    class Slow:
        name, dimensions = "slow", 2
        def embed(self, texts):
            time.sleep(10)
    db.close()
    db = Database(sys.argv[1], embedder=Slow())
    started = after(0.3)
    try:
        db.search("t", "x")
    except KeyboardInterrupt:
        print("python interrupted", time.monotonic() - started < 3)
    """
    printed = run(script, place(tmp_path / "db"))
    assert printed.splitlines() == [
        "interrupted True",
        "status ['cancelled']",
        "search interrupted True",
        "python interrupted True",
    ]
