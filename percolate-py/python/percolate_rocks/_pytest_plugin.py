"""The pytest fixture `percolate_spans`: the spans that percolate records during a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class CapturedSpans:
    """The finished spans of a test: percolate's, and those of `tracer()`."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider: Any = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def tracer(self, name: str = "test") -> Any:
        """Return a tracer whose spans are captured too."""
        return self.provider.get_tracer(name)

    def finished(self, name: str | None = None) -> list[ReadableSpan]:
        """Return all finished spans, or those with one name, in the order of their start."""
        self.provider.force_flush()
        spans = [span for span in self._exporter.get_finished_spans() if name is None or span.name == name]
        return sorted(spans, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """Return the only span with this name.

        Raises:
            AssertionError: There is no such span, or more than one.
        """
        spans = self.finished(name)
        if len(spans) != 1:
            raise AssertionError(f"expected one span {name!r}, found {len(spans)} of:\n{self.tree()}")
        return spans[0]

    def tree(self) -> str:
        """Return the names of the spans as text, with children indented below their parents."""
        spans = self.finished()
        known = {span.context.span_id for span in spans if span.context is not None}
        children: dict[int | None, list[ReadableSpan]] = {}
        for span in spans:
            parent = span.parent.span_id if span.parent is not None else None
            children.setdefault(parent if parent in known else None, []).append(span)

        def lines(parent: int | None, depth: int) -> Iterator[str]:
            for span in children.get(parent, ()):
                yield "  " * depth + span.name
                if span.context is not None:
                    yield from lines(span.context.span_id, depth + 1)

        return "\n".join(lines(None, 0))

    def clear(self) -> None:
        """Remove the spans captured so far."""
        self.provider.force_flush()
        self._exporter.clear()


@pytest.fixture
def percolate_spans() -> Iterator[CapturedSpans]:
    """Capture percolate's spans during one test.

    Nothing global is set. A delivery configured before is resumed after the test.
    """
    from . import _telemetry

    before = _telemetry._suspend()
    captured = CapturedSpans()
    _telemetry.configure("python", tracer_provider=captured.provider, meter_provider=False)
    try:
        yield captured
    finally:
        _telemetry.shutdown()
        captured.provider.shutdown()
        _telemetry._resume(before)
