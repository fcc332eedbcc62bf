"""Memory, objects and references to arguments do not grow with the number of calls."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import percolate_rocks
from percolate_rocks import Database, TraceContext

CALLS = 100_000
STEP = 1_000
#: An allocator keeps some freed memory. A leak of one small object per call would exceed this.
GROWTH = 3 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its own memory from /proc")
@pytest.mark.parametrize("kind", ["in a span", "with headers", "failing"])
def test_a_hundred_thousand_calls_leave_nothing_behind(db: Database, kind: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
    id = db.insert("articles", {"slug": "a", "tags": ["x", "y"]})
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "tracestate": "a=1"}

    def in_a_span() -> None:
        db.get("articles", id)

    def with_headers() -> None:
        TraceContext(headers).to_headers()
        db.get("articles", id, trace_context=headers)

    def failing() -> None:
        try:
            db.get("nothing", id)
        except percolate_rocks.UnknownTableError:
            pass

    work: Callable[[], None] = {"in a span": in_a_span, "with headers": with_headers, "failing": failing}[kind]

    def many(calls: int) -> None:
        # Flush repeatedly, so that the queue of spans keeps its usual length.
        for _ in range(calls // STEP):
            with provider.get_tracer("test").start_as_current_span("request"):
                for _ in range(STEP):
                    work()
            assert percolate_rocks.force_flush()
        gc.collect()

    try:
        many(CALLS // 4)
        memory, objects, references = resident(), len(gc.get_objects()), sys.getrefcount(headers)
        many(CALLS)
        assert len(gc.get_objects()) - objects < 200
        assert sys.getrefcount(headers) == references
        assert resident() - memory < GROWTH
    finally:
        percolate_rocks.shutdown()
        provider.shutdown()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its own memory from /proc")
@pytest.mark.timeout(300)
def test_thousands_of_queries_leave_nothing_behind(db: Database) -> None:
    db.insert_many("articles", [{"slug": str(n), "year": n} for n in range(500)])

    def many(queries: int) -> None:
        for _ in range(queries):
            result = db.query_arrow("SELECT year, count(*) AS n FROM articles WHERE year > $1 GROUP BY year", [250])
            result.__arrow_c_stream__()
            assert len(result.to_dicts()) == 249
            with pytest.raises(percolate_rocks.QueryError):
                db.query("SELECT nothing FROM articles")
        gc.collect()

    many(500)
    memory, objects = resident(), len(gc.get_objects())
    many(1500)
    assert len(gc.get_objects()) - objects < 200
    # Leaking one result of 500 rows per query would be fifteen times this.
    assert resident() - memory < GROWTH


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts its threads in /proc")
def test_configuring_again_and_again_leaves_no_threads_behind(db: Database) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    provider = TracerProvider(shutdown_on_exit=False)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    before = threads()
    for _ in range(20):
        assert percolate_rocks.configure(tracer_provider=provider, meter_provider=meters)
        db.load_resource("r")
        assert percolate_rocks.shutdown()
    deadline = time.monotonic() + 10
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() <= before
    meters.shutdown()
    provider.shutdown()
