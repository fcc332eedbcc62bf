"""Rust spans in Python's span processors: percolate compared with pyo3-tracing-opentelemetry 0.3.3.

    scripts/bench-wheel.sh rival

Prints what both do, each line tried, and then the CPU time of a span. Rounds alternate between the
two, so that other load affects both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

# Both make `tracing` spans. Those of percolate are not for the other's layer, which reads this variable.
os.environ["RUST_LOG"] = "info,percolate::db=off"

import rival
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from percolate_rocks._bridge import SpanBridge

ROUNDS, CALLS = 9, 1_000


class Discarding(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Tenant(SpanProcessor):
    def on_start(self, span: trace.Span, parent_context: context.Context | None = None) -> None:
        span.set_attribute("tenant", "a")


def install(*processors: SpanProcessor, **options: object) -> tuple[TracerProvider, SpanBridge]:
    provider = TracerProvider(resource=Resource({"service.name": "app"}), shutdown_on_exit=False, **options)
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    bridge = SpanBridge(provider)
    rival.install(bridge.deliver)
    return provider, bridge


def checks() -> None:
    """Print what both do."""
    exporter = InMemorySpanExporter()
    provider, bridge = install(Tenant(), SimpleSpanProcessor(exporter))
    rival._set_on_start(bridge.start)
    tracer = provider.get_tracer("app")

    def spans(name: str) -> list[ReadableSpan]:
        rival.flush()
        bridge.flush_processors(10)
        found = [span for span in exporter.get_finished_spans() if span.name == name]
        exporter.clear()
        return found

    both: list[tuple[str, Callable[[int], object]]] = [("percolate", rival.percolate), ("rival", rival.rival)]
    for name, call in both:
        with tracer.start_as_current_span("request") as request:
            call(1)
        (span,) = spans("get resources")
        parent = request.get_span_context()
        print(f"{name}: child of the Python span: {span.parent is not None and span.parent.span_id == parent.span_id}")
        print(f"{name}: the provider's resource: {span.resource is provider.resource}")
        print(f"{name}: attribute of on_start: {(span.attributes or {}).get('tenant')}")
        token = context.attach(
            trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(7, 9, True, trace.TraceFlags(1))))
        )
        call(1)
        context.detach(token)
        (span,) = spans("get resources")
        print(f"{name}: a remote parent is remote: {span.parent is not None and span.parent.is_remote}")

    for name, calls, outer in (
        ("percolate", rival.percolate_calls, "scan library"),
        ("rival", rival.rival_calls, "scan"),
    ):
        seen: list[tuple[int, object]] = []

        def called(_: object) -> None:
            with tracer.start_as_current_span("called") as inner:
                seen.append((inner.parent.span_id if inner.parent else 0, baggage.get_baggage("tenant")))

        with tracer.start_as_current_span("request"):
            calls(called)
        (span,) = spans(outer)
        assert span.context is not None
        print(f"{name}: a callback's spans are below the Rust span: {seen[0][0] == span.context.span_id}")

    with tracer.start_as_current_span("request") as request:
        rival.in_threads()
    below = [s.parent is not None and s.parent.span_id == request.get_span_context().span_id for s in spans("get resources")]
    print(f"percolate with carry, rival on a plain thread: child of the Python span: {sorted(below)}")

    read, write = os.pipe()
    pid = os.fork()
    rival.rival(1)
    (span,) = [span for span in exporter.get_finished_spans() if span.name == "get resources"]
    assert span.context is not None
    if pid == 0:
        os.write(write, str(span.context.span_id).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print(f"rival: parent and child of a fork have the same span id: {os.read(read, 100) == str(span.context.span_id).encode()}")


def unsampled() -> None:
    """Print whether the provider's sampler decides about traces that start in Rust."""
    exporter = InMemorySpanExporter()
    install(SimpleSpanProcessor(exporter), sampler=ParentBased(ALWAYS_OFF))
    rival.rival(1)
    print(f"rival: spans of a root that the provider's sampler drops: {len(exporter.get_finished_spans())}")


def attached() -> None:
    """Run threads whose spans end with the interpreter attached."""
    install(BatchSpanProcessor(Discarding()))

    def work() -> None:
        for _ in range(2_000):
            rival.rival_attached()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("rival: spans end with the interpreter attached: ended", flush=True)
    os._exit(0)


def on_start() -> None:
    """Print the CPU time of `on_start` for each call."""
    _, bridge = install(Tenant())
    seen: list[tuple[object, ...]] = []
    rival._set_on_start(lambda parts: seen.append(parts) or {})
    rival.percolate(1)
    rival._set_on_start(None)
    runs = []
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for _ in range(CALLS):
            bridge.start(seen[0])
        runs.append((time.process_time_ns() - started) / CALLS)
    print(f"percolate: {statistics.median(runs) / 1000:.1f} us CPU for on_start, once a call", flush=True)
    os._exit(0)


def cost() -> None:
    """Print the CPU time of the process for each span."""
    provider, bridge = install(BatchSpanProcessor(Discarding(), max_queue_size=1 << 16))
    tracer = provider.get_tracer("app")
    calls = {"plain": rival.plain, "percolate": rival.percolate, "rival": rival.rival}
    for spans in (1, 10):
        cpu: dict[str, list[float]] = {name: [] for name in calls}
        wall: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                with tracer.start_as_current_span("request"):
                    started, began = time.process_time_ns(), time.perf_counter_ns()
                    for _ in range(CALLS // spans):
                        call(spans)
                    wall[name].append((time.perf_counter_ns() - began) / CALLS)
                rival.flush()
                bridge.flush_processors(60)
                cpu[name].append((time.process_time_ns() - started) / CALLS)
        for name in ("percolate", "rival"):
            used = statistics.median(cpu[name]) - statistics.median(cpu["plain"])
            waited = statistics.median(wall[name]) - statistics.median(wall["plain"])
            print(f"{name}, {spans} spans a call: {used / 1000:.1f} us CPU, {waited / 1000:.1f} us for the caller")


def main() -> None:
    """Run each part in its own process, because both install something in the process."""
    for part in PARTS:
        try:
            subprocess.run([sys.executable, __file__, part], check=True, timeout=30 if part == "attached" else 600)
        except subprocess.TimeoutExpired:
            print(f"{part}: did not end")


PARTS: dict[str, Callable[[], None]] = {
    "checks": checks,
    "unsampled": unsampled,
    "attached": attached,
    "cost": cost,
    "on_start": on_start,
}

if __name__ == "__main__":
    PARTS[sys.argv[1]]() if len(sys.argv) > 1 else main()
