"""Calls of Python functions from Rust, with the current Rust span and the caller's baggage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from opentelemetry import baggage, context, trace


class Surroundings(TypedDict):
    """The current Rust span (in the order of `SpanContext`) and baggage."""

    span: tuple[int, int, bool, int, list[tuple[str, str]]] | None
    baggage: list[tuple[str, str]]


def in_surroundings(current: context.Context, around: Surroundings) -> context.Context:
    """Return a context with the Rust span and baggage."""
    if around["span"] is not None:
        trace_id, span_id, is_remote, flags, state = around["span"]
        span_context = trace.SpanContext(
            trace_id, span_id, is_remote, trace.TraceFlags(flags), trace.TraceState(state) if state else None
        )
        current = trace.set_span_in_context(trace.NonRecordingSpan(span_context), current)
    # On the caller's own thread, its baggage is current already, with values of any type.
    if not baggage.get_all(current):
        for name, value in around["baggage"]:
            current = baggage.set_baggage(name, value, current)
    return current


def call_in_span(function: Callable[[Any], Any], argument: Any, around: Surroundings) -> Any:
    """Call a function with the Rust span and baggage as its current context."""
    token = context.attach(in_surroundings(context.get_current(), around))
    try:
        return function(argument)
    finally:
        context.detach(token)
