"""`TraceContext` as a Python value. Its effect on spans is tested in test_propagation."""

from __future__ import annotations

import copy
import pickle

import pytest

from percolate_rocks import TraceContext

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_trace_headers_are_read_in_any_letter_case_and_others_are_dropped() -> None:
    context = TraceContext({"TraceParent": PARENT, "Tracestate": "a=1", "cookie": "secret"})
    assert context.headers == {"traceparent": PARENT, "tracestate": "a=1"}
    assert (context.traceparent, context.tracestate, context.is_valid, context.sampled) == (PARENT, "a=1", True, True)
    assert "secret" not in repr(context)


def test_asgi_headers_are_accepted() -> None:
    assert TraceContext([(b"traceparent", PARENT.encode())]).span_id == "b7ad6b7169203331"


@pytest.mark.parametrize("wrong", ["traceparent", 5, [1], [("a",)]])
def test_values_that_are_not_headers_are_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="mapping or a list of pairs"):
        TraceContext(wrong)  # type: ignore[arg-type]


def test_an_invalid_parent_does_not_raise_and_is_not_sent_on() -> None:
    context = TraceContext({"traceparent": "nonsense", "tracestate": "a=1"})
    assert not context.is_valid
    assert (context.trace_id, context.span_id, context.sampled) == (None, None, False)
    assert context.to_headers() == {}


def test_it_is_compared_hashed_and_copied_by_value() -> None:
    context = TraceContext({"traceparent": PARENT, "tracestate": "a=1"})
    assert context == TraceContext(context.headers)
    assert hash(context) == hash(TraceContext(context.headers))
    assert context != TraceContext()
    assert pickle.loads(pickle.dumps(context)) == context
    assert copy.deepcopy(context) == context
    assert eval(repr(context)) == context
