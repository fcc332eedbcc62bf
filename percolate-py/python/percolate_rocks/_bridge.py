"""Finished Rust spans and Rust metrics as types of the application's OpenTelemetry SDK.

Private members of the SDK are used, because it has no public API for them: the provider's span
processors (to deliver finished spans) and span limits, its span class (for processors that work in
`on_start`), and the readers' collect callback (to add aggregated metrics). Tests run against the
oldest and the newest supported SDK.

Spans are delivered when they arrive, which may be after the Python span above them has ended. Two
kinds of processors need them before: those that are not the SDK's own exporting ones (they may
decide at the end of the local root), and among them those that work in `on_start` (they look up the
span above). The hook, the provider's first processor, then delivers when a Python span ends.

Processors that work in `on_start` receive the first span of a call into Rust when it starts, and the
spans below it when they are delivered. What they set on the first one is on all spans of the call.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    Event,
    ReadableSpan,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    _Span,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

from . import _percolate_rocks as _native
from ._callback import Surroundings, in_surroundings

logger = logging.getLogger("percolate_rocks")

#: The largest batch of the native module. A full batch means that more spans are waiting.
_BATCH = 512

#: The longest wait in seconds for Rust spans at the end of a Python span, and the time without such
#: waits after one that was too short.
_ORDER_TIMEOUT = 0.25
_ORDER_PAUSE = 5.0
#: The largest number of spans that wait for the Python span above them, and the longest time in
#: seconds.
_HELD = 4096
#: The largest number of names of attributes that are known to be set in `on_start`.
_NAMES = 128
_HELD_SECONDS = 10.0

_KINDS = (SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER)
_STATUS = (StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR)
_UNSET = Status(StatusCode.UNSET)


class SpanBridge:
    """Delivers finished Rust spans to a provider's span processors."""

    def __init__(self, provider: Any, *, reports: bool = False) -> None:
        processor = getattr(provider, "_active_span_processor", None)
        if processor is None:
            raise TypeError(
                "tracer_provider must be an opentelemetry.sdk.trace.TracerProvider, not "
                f"{type(provider).__module__}.{type(provider).__qualname__}: only the SDK's accepts finished spans"
            )
        self.provider = provider
        self._processor = processor
        self._scopes: dict[tuple[str, str | None, str | None], InstrumentationScope] = {}
        self._limits = _Limits(getattr(provider, "_span_limits", None))
        self._held = _Held()
        self._calls = _Calls()
        self._is_starting = False
        self._hook = _FlushFirst(self)
        self._local = threading.local()
        self._added: Callable[[Any], None] | None = None
        self._order_after = 0.0
        self._warned = False
        #: Whether the application's own spans are part of a report.
        self._reports = reports

    def deliver(self, batch: list[tuple[Any, ...]]) -> None:
        """Deliver a batch of spans. Called by the native module on its own thread."""
        self._local.busy = True
        try:
            if self._starting():
                self._deliver_whole(self._held.add(batch))
            else:
                resource = self.provider.resource
                for parts in batch:
                    self._end(self._readable(parts, resource))
        finally:
            self._local.busy = False
        if len(batch) >= _BATCH:
            # More spans are waiting: flush before the queue of a batch processor is full and drops
            # some.
            self.flush_processors(30.0)

    def before_end(self, span: Any) -> None:
        """Deliver the Rust spans below a Python span that ends, if a processor needs them now."""
        context, scope = span.context, span.instrumentation_scope
        if context is None or not context.trace_flags.sampled or (scope is not None and scope.name == "percolate"):
            return
        if getattr(self._local, "busy", False):
            return
        others = self._others()
        starting = self._starting()
        is_local_root = span.parent is None or span.parent.is_remote
        if not starting and not (is_local_root and any(type(p) not in _EXPORTING for p in others)):
            return
        if time.monotonic() >= self._order_after and not _native._force_flush(_ORDER_TIMEOUT):
            # A processor is slow: do not make every request wait for it.
            self._order_after = time.monotonic() + _ORDER_PAUSE
        if starting:
            self._deliver_whole(self._held.below(context.trace_id, context.span_id))

    def report(self, span: ReadableSpan) -> None:
        """Add a finished span of the application to the report, if there is one."""
        context, scope = span.context, span.instrumentation_scope
        if not self._reports or context is None or not context.trace_flags.sampled:
            return
        if (scope is not None and scope.name == "percolate") or span.start_time is None or span.end_time is None:
            return
        parent = span.parent
        parts = (
            span.name,
            (context.trace_id, context.span_id),
            None if parent is None else (parent.span_id, parent.is_remote),
            _KINDS.index(span.kind),
            (span.start_time, span.end_time),
            dict(span.attributes or {}),
            (_STATUS.index(span.status.status_code), span.status.description),
            [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events],
        )
        self._call(_native._report_span, parts)

    def _deliver_whole(self, spans: list[tuple[Any, ...]]) -> None:
        """Deliver spans to `on_start`, those above first, and then to `on_end`."""
        if not spans:
            return
        before, self._local.busy = getattr(self._local, "busy", False), True
        try:
            starting = self._starting()
            # The calls of the spans, those above first.
            calls: dict[int, _Call | None] = {}
            started = []
            for parts in sorted(spans, key=lambda parts: parts[4][0]):
                span_id, parent = parts[1][1], parts[2]
                first = self._calls.take(span_id)
                call = first or calls.get(parent[0] if parent is not None else 0)
                calls[span_id] = call
                started.append(self._started(parts, starting, call, is_first=first is not None))
            for span in sorted(started, key=lambda span: span.end_time):
                self._end(span._readable_span())
        finally:
            self._local.busy = before

    def start(self, parts: tuple[Any, ...]) -> dict[str, Any]:
        """Show the first span of a call to the processors that work in `on_start`.

        Return the attributes that they set. Called by the native module on the thread of the span, in a
        copy of the caller's context variables.
        """
        given = parts[5]
        before, self._local.busy = getattr(self._local, "busy", False), True
        try:
            starting = self._starting()
            span = self._span(self._readable(parts, self.provider.resource))
            parent_context = _context_of(span.parent)
            for processor in starting:
                self._call(processor.on_start, span, parent_context)
        finally:
            self._local.busy = before
        own = object()
        changed = {key: value for key, value in (span.attributes or {}).items() if given.get(key, own) != value}
        self._calls.add(_Call(span, parts, changed, starting, contextvars.copy_context()))
        return changed

    def _started(self, parts: tuple[Any, ...], starting: list[Any], call: _Call | None, *, is_first: bool) -> Any:
        found = self._readable(parts, self.provider.resource)
        span = self._span(found)
        if call is not None and is_first:
            call.give_to(span, found.end_time)
        # Without its call, such as in a background job, a span has what the call that caused it set,
        # and the context variables of that call are not known.
        kept = {} if call is not None else self._calls.set_before(found.attributes or {})
        for processor in starting:
            if call is None:
                self._call(processor.on_start, span, None)
            elif not is_first or processor not in call.seen_by:
                self._call(processor.on_start, span, None, variables=call.variables)
        span.set_attributes(kept)
        span._end_time = found.end_time
        return span

    def _span(self, found: ReadableSpan) -> Any:
        """Return a span of the SDK that has not ended."""
        span = _Span(
            name=found.name,
            context=found.context,
            parent=found.parent,
            resource=found.resource,
            attributes=found.attributes,
            links=found.links,
            kind=found.kind,
            instrumentation_scope=found.instrumentation_scope,
            limits=self._limits.given,
        )
        span._start_time, span._status = found.start_time, found.status
        if found.events:
            # A list that counts what it has dropped is kept.
            events = found._events
            span._events = events if isinstance(events, BoundedList) else BoundedList.from_seq(None, events)
        return span

    def _end(self, span: ReadableSpan) -> None:
        self._call(self._processor.on_end, span)

    def _call(
        self, function: Callable[..., object], *arguments: object, variables: contextvars.Context | None = None
    ) -> None:
        try:
            if variables is None:
                function(*arguments)
            else:
                variables.run(function, *arguments)
        except Exception:
            if not self._warned:
                self._warned = True
                logger.exception(
                    "a span processor failed in %s for a Rust span; further failures are not logged", function.__name__
                )

    def _others(self) -> list[Any]:
        """Return the provider's processors except the hook."""
        return [p for p in getattr(self._processor, "_span_processors", ()) if p is not self._hook]

    def _starting(self) -> list[Any]:
        """Return the provider's processors that work in `on_start`, and let calls notice whether there are any."""
        starting = [processor for processor in self._others() if _starts(processor)]
        if bool(starting) != self._is_starting and not self._hook.off:
            self._is_starting = bool(starting)
            _native._set_on_start(self.start if starting else None)
        return starting

    def flush_processors(self, timeout: float) -> bool:
        """Flush the provider's processors without flushing the native module again."""
        deadline = time.monotonic() + timeout
        self._deliver_whole(self._held.take())
        others = self._others()
        self._local.skip = True
        try:
            # One by one: a multi-processor may flush on other threads, where `is_flushing` is
            # false.
            flushed = True
            for processor in others or [self._processor]:
                left = max(0.0, deadline - time.monotonic())
                flushed = processor.force_flush(int(left * 1000)) is not False and flushed
            return flushed
        finally:
            self._local.skip = False

    def is_flushing(self) -> bool:
        """Whether this thread is inside `flush_processors`."""
        return getattr(self._local, "skip", False)

    def sampler(self) -> Any:
        """Return the provider's sampler in the form of the native module."""
        return _sampler(getattr(self.provider, "sampler", ALWAYS_ON))

    def attach(self) -> None:
        """Add the hook as the first processor, so that flush and shutdown include Rust spans."""
        processors = getattr(self._processor, "_span_processors", None)
        if isinstance(processors, tuple):
            self._processor._span_processors = (self._hook, *processors)
        elif isinstance(processors, list):
            processors.insert(0, self._hook)
        else:
            self.provider.add_span_processor(self._hook)
        self._starting()
        add = getattr(self._processor, "add_span_processor", None)
        if add is None:
            return

        def add_and_notice(span_processor: Any) -> None:
            add(span_processor)
            self._starting()

        self._added = add_and_notice
        # Without it, a processor that is added later is noticed at the end of the next Python span.
        with contextlib.suppress(AttributeError):
            self._processor.add_span_processor = add_and_notice

    def detach(self, *, is_forked: bool = False) -> None:
        """Deliver the spans that wait, and remove the hook, if the processor allows it.

        In a forked child, the spans belong to the parent.
        """
        self._hook.off = True
        _native._set_on_start(None)
        if getattr(self._processor, "__dict__", {}).get("add_span_processor") is self._added:
            del self._processor.add_span_processor
        if not is_forked:
            self._deliver_whole(self._held.take())
        processors = getattr(self._processor, "_span_processors", None)
        if isinstance(processors, tuple):
            self._processor._span_processors = tuple(p for p in processors if p is not self._hook)
        elif isinstance(processors, list) and self._hook in processors:
            processors.remove(self._hook)

    def _readable(self, parts: tuple[Any, ...], resource: Any) -> ReadableSpan:
        name, ids, parent, kind, (start, end), attributes, (code, description), links, events, scope = parts
        context = _span_context(ids)
        known = self._scopes.get(scope)
        if known is None:
            known = self._scopes[scope] = InstrumentationScope(*scope)
        return ReadableSpan(
            name=name,
            context=context,
            parent=None
            if parent is None
            else SpanContext(context.trace_id, parent[0], parent[1], context.trace_flags, context.trace_state),
            resource=resource,
            attributes=self._limits.of_span(attributes),
            events=self._limits.events(events) if events else (),
            links=self._limits.links(links) if links else (),
            kind=_KINDS[kind],
            status=_UNSET if code == 0 else Status(_STATUS[code], description),
            start_time=start,
            end_time=end,
            instrumentation_scope=known,
        )


#: Processors that only export: the time of a span's delivery does not matter to them.
_EXPORTING = (BatchSpanProcessor, SimpleSpanProcessor)


#: The implementations of `on_start` that do nothing.
_IDLE = tuple(kind.on_start for kind in (SpanProcessor, *_EXPORTING))


def _starts(processor: Any) -> bool:
    """Return whether a processor, or one inside a multi-processor, works in `on_start`."""
    if type(processor) in (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor):
        return any(_starts(inner) for inner in processor._span_processors)
    return getattr(type(processor), "on_start", SpanProcessor.on_start) not in _IDLE


def _context_of(parent: SpanContext | None) -> Context:
    """Return the current context with a Rust span's parent as its span."""
    current = get_current()
    span = get_current_span(current).get_span_context()
    if parent is None:
        return set_span_in_context(INVALID_SPAN, current) if span.is_valid else current
    return current if span.span_id == parent.span_id else set_span_in_context(NonRecordingSpan(parent), current)


class _Call:
    """The first span of a call into Rust, after `on_start`."""

    def __init__(
        self,
        span: Any,
        parts: tuple[Any, ...],
        changed: dict[str, Any],
        seen_by: list[Any],
        variables: contextvars.Context,
    ) -> None:
        self.span = span
        self.changed = changed
        self.seen_by = seen_by
        self.variables = variables
        self._name, self._links = parts[0], len(parts[7])

    def give_to(self, span: Any, end_time: int | None) -> None:
        """Set on the finished span what processors set at its start, and end the one that they have."""
        self.span._end_time = end_time
        span.set_attributes(self.changed)
        if self.span.name != self._name:
            span.update_name(self.span.name)
        for event in self.span.events:
            span._add_event(event)
        for link in list(self.span.links)[self._links :]:
            span.add_link(link.context, link.attributes)
        if span.status.status_code is StatusCode.UNSET:
            span._status = self.span.status


class _Calls:
    """Calls whose spans are not delivered yet, by the id of their first span."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._names: set[str] = set()

    def add(self, call: _Call) -> None:
        with self._lock:
            if len(self._calls) >= _HELD:
                del self._calls[next(iter(self._calls))]
            self._calls[call.span.context.span_id] = call
            if len(self._names) < _NAMES:
                self._names.update(call.changed)

    def take(self, span_id: int) -> _Call | None:
        with self._lock:
            return self._calls.pop(span_id, None)

    def set_before(self, attributes: Any) -> dict[str, Any]:
        """Return those attributes that processors have set at the start of calls."""
        with self._lock:
            return {name: attributes[name] for name in self._names if name in attributes}


class _Held:
    """Spans that wait for the Python span above them to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[tuple[float, tuple[Any, ...]]] = []

    def add(self, batch: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Add spans. Return those that need not wait: below a root in Rust, too old or too many."""
        now = time.monotonic()
        with self._lock:
            self._spans += [(now, parts) for parts in batch]
            if len(self._spans) > _HELD:
                return self._take()
            roots = {parts[1][1] for _, parts in self._spans if parts[2] is None or parts[2][1]}
            return self._take(roots, before=now - _HELD_SECONDS)

    def below(self, trace_id: int, span_id: int) -> list[tuple[Any, ...]]:
        """Remove and return the spans below a span."""
        with self._lock:
            return self._take({span_id}, trace_id=trace_id)

    def take(self) -> list[tuple[Any, ...]]:
        """Remove and return all spans."""
        with self._lock:
            return self._take()

    def _take(
        self, roots: set[int] | None = None, *, before: float = 0.0, trace_id: int | None = None
    ) -> list[tuple[Any, ...]]:
        if not self._spans:
            return []
        if roots is None:
            taken, self._spans = self._spans, []
            return [parts for _, parts in taken]
        found, size = set(roots), 0
        while size != len(found):
            size = len(found)
            found.update(parts[1][1] for _, parts in self._spans if parts[2] is not None and parts[2][0] in found)

        def is_taken(since: float, parts: tuple[Any, ...]) -> bool:
            is_of_trace = trace_id is None or parts[1][0] == trace_id
            return since < before or (is_of_trace and parts[1][1] in found)

        taken = [parts for since, parts in self._spans if is_taken(since, parts)]
        self._spans = [(since, parts) for since, parts in self._spans if not is_taken(since, parts)]
        return taken


class _Limits:
    """The application's `SpanLimits`, applied to Rust spans."""

    def __init__(self, limits: Any) -> None:
        self.given = SpanLimits() if limits is None else limits

    def of_span(self, attributes: dict[str, Any]) -> Any:
        limits = self.given
        return _bounded(attributes, limits.max_span_attributes, limits.max_span_attribute_length)

    def events(self, events: list[tuple[str, int, dict[str, Any]]]) -> Any:
        limits = self.given
        return _last(
            limits.max_events,
            [
                Event(name, _bounded(attributes, limits.max_event_attributes, limits.max_attribute_length), timestamp)
                for name, timestamp, attributes in events
            ],
        )

    def links(self, links: list[tuple[Any, dict[str, Any]]]) -> Any:
        limits = self.given
        return _last(
            limits.max_links,
            [
                Link(
                    _span_context(ids),
                    _bounded(attributes, limits.max_link_attributes, limits.max_attribute_length),
                )
                for ids, attributes in links
            ],
        )


def _bounded(attributes: dict[str, Any], count: int | None, length: int | None) -> Any:
    if length is None and (count is None or len(attributes) <= count):
        return attributes
    return BoundedAttributes(count, attributes, immutable=True, max_value_len=length)


def _last(count: int | None, items: list[Any]) -> Any:
    return items if count is None or len(items) <= count else BoundedList.from_seq(count, items)


class _FlushFirst(SpanProcessor):
    """The provider's first processor: delivers Rust spans before other processors see the end of a
    Python span, flush or shut down."""

    def __init__(self, bridge: SpanBridge) -> None:
        self._bridge = bridge
        self.off = False

    def on_end(self, span: ReadableSpan) -> None:
        if not self.off:
            self._bridge.before_end(span)
            self._bridge.report(span)

    def shutdown(self) -> None:
        if not self.off:
            from . import _telemetry

            _telemetry._provider_ended(self._bridge)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        if self.off or self._bridge.is_flushing():
            return True
        from . import _telemetry

        flushed = _native._force_flush(timeout_millis / 1000)
        return _telemetry._write_report(timeout_millis / 1000) and flushed


def _span_context(ids: tuple[int, int, bool, int, list[tuple[str, str]]]) -> SpanContext:
    trace_id, span_id, is_remote, flags, state = ids
    return SpanContext(trace_id, span_id, is_remote, TraceFlags(flags), TraceState(state) if state else None)


def _sampler(sampler: Any) -> Any:
    if sampler is ALWAYS_ON:
        return ("on", None)
    if sampler is ALWAYS_OFF:
        return ("off", None)
    if type(sampler) is TraceIdRatioBased:
        return ("ratio", sampler.rate)
    if isinstance(sampler, ParentBased) and _follows_the_parent(sampler):
        return ("parent", _sampler(getattr(sampler, "_root", ALWAYS_ON)))

    def decide(
        around: Surroundings | None,
        trace_id: int,
        name: str,
        kind: int,
        attributes: dict[str, Any],
        links: list[tuple[Any, dict[str, Any]]],
    ) -> tuple[bool, dict[str, Any], list[tuple[str, str]]]:
        parent = Context() if around is None else in_surroundings(Context(), around)
        linked = [Link(_span_context(ids), attributes) for ids, attributes in links]
        # `trace_state` is deprecated: samplers take it from the context.
        result = sampler.should_sample(parent, trace_id, name, _KINDS[kind], attributes, linked)
        own = object()
        returned = {
            key: value for key, value in dict(result.attributes or {}).items() if attributes.get(key, own) != value
        }
        is_recorded = result.decision == Decision.RECORD_AND_SAMPLE
        return is_recorded, returned, list((result.trace_state or {}).items())

    return decide


def _follows_the_parent(sampler: ParentBased) -> bool:
    """Return whether a sampler uses the decision of the parent, if there is one, as it is."""
    delegates = {"sampled": ALWAYS_ON, "not_sampled": ALWAYS_OFF}
    return type(sampler).should_sample is ParentBased.should_sample and all(
        getattr(sampler, f"_{where}_parent_{what}", delegate) is delegate
        for where in ("remote", "local")
        for what, delegate in delegates.items()
    )


class MetricsBridge:
    """Adds Rust metrics to the collections of a meter provider's readers."""

    def __init__(self, provider: Any, readers: list[Any]) -> None:
        self.provider = provider
        self._readers = readers
        self._before: list[Callable[..., Any]] = []

    @classmethod
    def to(cls, provider: Any) -> MetricsBridge | None:
        """Return the bridge to a provider (default: the global one), or `None` without readers."""
        if provider is None:
            from opentelemetry import metrics

            provider = metrics.get_meter_provider()
        # Distributions wrap the provider of the SDK.
        for _ in range(4):
            if hasattr(provider, "_sdk_config") or not hasattr(provider, "provider"):
                break
            provider = provider.provider
        readers = getattr(provider, "_metric_readers", None)
        if readers is None:
            readers = getattr(getattr(provider, "_sdk_config", None), "metric_readers", None)
        usable = [reader for reader in readers or () if getattr(reader, "_collect", None) is not None]
        return cls(provider, usable) if usable else None

    def settings(self) -> dict[str, Any]:
        """Return the settings of the readers and views in the form of the native module."""
        views = getattr(getattr(self.provider, "_sdk_config", None), "views", ())
        preferred = [_aggregation(_for_histograms(reader, "_instrument_class_aggregation")) for reader in self._readers]
        if any(each != preferred[0] for each in preferred):
            logger.warning(
                "the readers of the MeterProvider prefer different histogram aggregations: "
                "Rust metrics use explicit buckets"
            )
            preferred = [_aggregation(None)]
        return {
            "temporalities": [_temporality(reader) for reader in self._readers],
            "views": [_view(view) for view in views],
            "histograms": preferred[0],
            "exemplars": _has_exemplars(self.provider),
        }

    def attach(self) -> None:
        """Append Rust metrics to the collection of each reader."""
        for index, reader in enumerate(self._readers):
            before = reader._collect
            if _temporality(reader) == "cumulative":
                # The rest of an earlier delivery would be a second series of the same metrics.
                before = getattr(before, "_without_rest", before)
            self._before.append(before)
            reader._set_collect_callback(_collecting(before, index, self.provider))

    def detach(self, rests: Sequence[list[Any]] = ()) -> None:
        """Restore the collection of each reader. Its next one includes its metrics of `rests`."""
        for index, (reader, before) in enumerate(zip(self._readers, self._before)):
            if getattr(reader._collect, "_is_percolate", False):
                rest = rests[index] if index < len(rests) else []
                reader._set_collect_callback(_collecting_rest(before, rest, self.provider) if rest else before)
        self._before.clear()


def _collecting(before: Callable[..., Any], index: int, provider: Any) -> Callable[..., Any]:
    def collect(reader: Any, *args: Any, **kwargs: Any) -> Any:
        data = before(reader, *args, **kwargs)
        ours = _native._collect(index)
        return _with_ours(data, ours, provider) if ours else data

    collect._is_percolate = True  # type: ignore[attr-defined]
    return collect


def _collecting_rest(before: Callable[..., Any], rest: list[Any], provider: Any) -> Callable[..., Any]:
    """Return a callback that collects `rest` once. A forked child leaves it to its parent."""
    rests, pid = [rest], os.getpid()

    def collect(reader: Any, *args: Any, **kwargs: Any) -> Any:
        if reader._collect is collect:
            reader._set_collect_callback(before)
        data = before(reader, *args, **kwargs)
        taken = rests.pop() if rests and os.getpid() == pid else None
        return data if taken is None else _with_ours(data, taken, provider)

    collect._without_rest = before  # type: ignore[attr-defined]
    return collect


def _for_histograms(reader: Any, attribute: str) -> Any:
    """Return a reader's choice for histograms."""
    # The keys are classes of the SDK without a public name.
    choices = getattr(reader, attribute, {})
    return next((choice for kind, choice in choices.items() if kind.__name__.endswith("Histogram")), None)


def _has_exemplars(provider: Any) -> bool:
    """Return whether the provider's filter lets sampled measurements be exemplars."""
    chosen = getattr(getattr(provider, "_sdk_config", None), "exemplar_filter", None)
    return type(chosen).__name__ != "AlwaysOffExemplarFilter"


def _temporality(reader: Any) -> str:
    from opentelemetry.sdk.metrics.export import AggregationTemporality

    delta = _for_histograms(reader, "_instrument_class_temporality") is AggregationTemporality.DELTA
    return "delta" if delta else "cumulative"


def _view(view: Any) -> dict[str, Any]:
    """Return a View of the SDK in the form of the native module."""
    from opentelemetry.sdk import metrics

    kinds = {
        "counter": metrics.Counter,
        "up_down_counter": metrics.UpDownCounter,
        "histogram": metrics.Histogram,
        "observable_counter": metrics.ObservableCounter,
        "observable_up_down_counter": metrics.ObservableUpDownCounter,
        "observable_gauge": metrics.ObservableGauge,
    }
    instrument_type = getattr(view, "_instrument_type", None)
    pattern = getattr(view, "_instrument_name", None)
    attributes = getattr(view, "_attribute_keys", None)
    return {
        "kinds": [name for name, kind in kinds.items() if instrument_type is None or issubclass(kind, instrument_type)],
        "instrument": pattern.lower() if pattern is not None else None,
        "unit": getattr(view, "_instrument_unit", None),
        "meter": getattr(view, "_meter_name", None),
        "version": getattr(view, "_meter_version", None),
        "schema_url": getattr(view, "_meter_schema_url", None),
        "name": getattr(view, "_name", None),
        "description": getattr(view, "_description", None),
        "attributes": list(attributes) if attributes is not None else None,
        "limit": getattr(view, "_aggregation_cardinality_limit", None),
        "aggregation": _aggregation(getattr(view, "_aggregation", None)),
    }


def _aggregation(aggregation: Any) -> dict[str, Any]:
    """Return an aggregation of the SDK, or the default one, in the form of the native module."""
    from opentelemetry.sdk.metrics import view

    kinds = {
        view.DropAggregation: "drop",
        view.SumAggregation: "sum",
        view.LastValueAggregation: "last_value",
        view.ExplicitBucketHistogramAggregation: "explicit",
        view.ExponentialBucketHistogramAggregation: "exponential",
    }
    bounds = getattr(aggregation, "_boundaries", None)
    return {
        "kind": kinds.get(type(aggregation), "default"),
        "bounds": [float(bound) for bound in bounds] if bounds is not None else None,
        "max_size": getattr(aggregation, "_max_size", 160),
        "max_scale": getattr(aggregation, "_max_scale", 20),
        "record_min_max": getattr(aggregation, "_record_min_max", True),
    }


#: The settings of a meter provider without readers, for the metrics of a report.
NO_READERS = {
    "temporalities": [],
    "views": [],
    "histograms": {"kind": "default", "bounds": None, "max_size": 160, "max_scale": 20, "record_min_max": True},
    "exemplars": True,
}


def _with_ours(data: Any, ours: list[Any], provider: Any) -> Any:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

    by_scope: dict[tuple[str, str | None, str | None], list[Any]] = {}
    for scope, (name, description, unit), parts in ours:
        by_scope.setdefault(scope, []).append(_metric(name, description, unit, parts))
    scopes = [
        ScopeMetrics(scope=InstrumentationScope(*scope), metrics=metrics, schema_url=scope[2] or "")
        for scope, metrics in by_scope.items()
    ]
    if data is not None and data.resource_metrics:
        first, *others = data.resource_metrics
        merged = ResourceMetrics(
            resource=first.resource,
            scope_metrics=[*first.scope_metrics, *scopes],
            schema_url=first.schema_url,
        )
        return MetricsData(resource_metrics=[merged, *others])
    resource = provider._sdk_config.resource
    return MetricsData(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=scopes, schema_url=resource.schema_url)]
    )


def _metric(name: str, description: str, unit: str, parts: tuple[Any, ...]) -> Any:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Buckets,
        ExponentialHistogram,
        ExponentialHistogramDataPoint,
        Gauge,
        Histogram,
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
        Sum,
    )

    kind, delta, (start, end), points, monotonic = parts
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    data: Any
    if kind == "histogram":
        data = Histogram(
            data_points=[
                HistogramDataPoint(
                    attributes=attributes,
                    start_time_unix_nano=start,
                    time_unix_nano=end,
                    count=count,
                    sum=total,
                    bucket_counts=buckets,
                    explicit_bounds=bounds,
                    min=smallest,
                    max=largest,
                    **_exemplars(exemplars),
                )
                for attributes, count, total, bounds, buckets, smallest, largest, exemplars in points
            ],
            aggregation_temporality=temporality,
        )
    elif kind == "exponential":
        data = ExponentialHistogram(
            data_points=[
                ExponentialHistogramDataPoint(
                    attributes=attributes,
                    start_time_unix_nano=start,
                    time_unix_nano=end,
                    count=count,
                    sum=total,
                    scale=scale,
                    zero_count=zeros,
                    positive=Buckets(*positive),
                    negative=Buckets(*negative),
                    flags=0,
                    min=smallest,
                    max=largest,
                    **_exemplars(exemplars),
                )
                for (
                    attributes,
                    count,
                    total,
                    (scale, zeros, positive, negative),
                    smallest,
                    largest,
                    exemplars,
                ) in points
            ],
            aggregation_temporality=temporality,
        )
    else:
        numbers = [NumberDataPoint(attributes, start, end, value) for attributes, value in points]
        data = Gauge(numbers) if kind == "gauge" else Sum(numbers, temporality, monotonic)
    return Metric(name=name, description=description, unit=unit, data=data)


def _exemplars(exemplars: list[tuple[float, int, int, int]]) -> dict[str, Any]:
    """Return the argument of a point for its exemplars, which old versions of the SDK do not have."""
    if not exemplars:
        return {}
    try:
        from opentelemetry.sdk.metrics import Exemplar
    except ImportError:
        return {}
    return {
        "exemplars": [Exemplar({}, value, time, span_id, trace_id) for value, time, span_id, trace_id in exemplars]
    }
