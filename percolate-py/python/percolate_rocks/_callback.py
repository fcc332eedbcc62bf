"""Python functions that Rust calls: their spans become children of the Rust span."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import context, trace


def call_in_span(
    function: Callable[[Any], Any],
    argument: Any,
    ids: tuple[int, int, int, bool, list[tuple[str, str]]],
) -> Any:
    """Calls a function with a Rust span as the current one."""
    trace_id, span_id, flags, is_remote, state = ids
    span_context = trace.SpanContext(
        trace_id, span_id, is_remote, trace.TraceFlags(flags), trace.TraceState(state) if state else None
    )
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span_context)))
    try:
        return function(argument)
    finally:
        context.detach(token)
