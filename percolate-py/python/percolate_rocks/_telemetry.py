"""Who receives Rust telemetry: found or chosen once, flushed, shut down, and started anew after a fork.

The hot path is native; this module runs when something is installed, and knows the OpenTelemetry SDK only by looking
it up in what the application has imported or named.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from . import _percolate_rocks as _native

if TYPE_CHECKING:
    from ._bridge import MetricsBridge, SpanBridge

logger = logging.getLogger("percolate_rocks")

Export = Literal["python", "otlp", "console", "off"]

#: How often a sampled span may ask for a provider that is not there, before calls stop asking.
_MAX_LOOKS = 16


class Status(TypedDict):
    """What `status()` gives."""

    #: Whether telemetry is delivered to anybody.
    installed: bool
    #: What `configure` was told, or `"none"`.
    export: str
    #: Whether metrics are delivered too.
    metrics: bool
    #: Spans handed over so far.
    spans_delivered: int
    #: Spans lost, for whatever reason.
    spans_dropped: int
    #: Batches (or, exported from Rust, spans) that the receiver failed to take.
    failed_batches: int
    #: Variables and metric Views that were not used as they stand.
    warnings: list[str]
    #: The process this is about: after a fork, the child has its own.
    pid: int


class _State:
    """What is installed, and what a child process has to install again."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.looks = 0
        #: Somebody said `configure` or `shutdown`, or something was found: opening a database changes nothing then.
        self.decided = False
        self.spans: SpanBridge | None = None
        self.metrics: MetricsBridge | None = None
        self.rust: str | None = None
        self.reinstall: Callable[[], object] | None = None


_state = _State()


def configure(
    export: Export = "python",
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
) -> bool:
    """Chooses, once and in one line, who receives Rust telemetry.

    Without this call, and with nothing to configure, Rust spans go to the application's own `TracerProvider` from the
    first call made inside a sampled Python span on. Calling it again with the same choice changes nothing.

    Args:
        export: `"python"` delivers finished Rust spans to the span processors of the application's `TracerProvider`,
            and metrics to the readers of its `MeterProvider`. `"otlp"` exports both from Rust, as the `OTEL_*`
            variables say, past Python altogether. `"console"` prints a tree of spans and a table of metrics to
            standard error. `"off"` delivers nothing, and stops looking for somebody to deliver to.
        tracer_provider: The SDK provider to deliver to; the global one by default.
        meter_provider: The SDK provider whose readers get the metrics; the global one by default, `False` for none.

    Returns:
        Whether telemetry is delivered now. `False` for `"python"` means that no SDK provider is set yet: it will be
        found by the first call inside a sampled span.

    Raises:
        ValueError: `export` is not one of the choices.
        TypeError: `tracer_provider` is not one of the OpenTelemetry SDK.
        RuntimeError: The exporter cannot be made, for example of an endpoint that is no URL.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.configure("off")
        False
    """
    if export not in ("python", "otlp", "console", "off"):
        raise ValueError(f"export must be 'python', 'otlp', 'console' or 'off', not {export!r}")
    with _state.lock:
        _state.decided = True
        if export == "off":
            shutdown()
            return False
        if export != "python":
            if _state.rust != export:
                shutdown()
                _install_rust(export)
            return True
        if _state.rust is not None:
            shutdown()
        _state.looks = 0
        if _state.spans is not None:
            if tracer_provider is None or _unwrapped(tracer_provider) is _state.spans.provider:
                return True
            shutdown()
        if tracer_provider is None:
            provider = _global_tracer_provider()
        else:
            provider = _unwrapped(tracer_provider) or tracer_provider
        if provider is None:
            _state.decided = False
            _native._set_automatic(True)
            return False
        return _install(provider, meter_provider)


def force_flush(timeout: float = 30.0) -> bool:
    """Hands over all finished Rust spans, then flushes the provider that received them.

    Args:
        timeout: Seconds to wait at most.

    Returns:
        Whether everything was handed over in time; `True` when nothing is installed.

    Raises:
        ValueError: `timeout` is negative or not a number.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.force_flush(timeout=5)
        True
    """
    started = time.monotonic()
    flushed: bool = _native._force_flush(timeout)
    spans = _state.spans
    if spans is not None:
        left = max(0.0, started + timeout - time.monotonic())
        flushed = spans.flush_processors(left) and flushed
    return flushed


def shutdown(timeout: float = 5.0) -> bool:
    """Hands over what is finished and ends the delivery. The application's providers stay as they are.

    Nothing is delivered any more until `configure()` or `PercolateInstrumentor().instrument()` is called.

    Args:
        timeout: Seconds to wait at most.

    Returns:
        Whether everything was handed over in time.

    Raises:
        ValueError: `timeout` is negative or not a number.
    """
    with _state.lock:
        _state.decided = True
        spans, metrics = _state.spans, _state.metrics
        _state.spans = _state.metrics = _state.rust = _state.reinstall = None
    flushed: bool = _native._shutdown(timeout)
    if metrics is not None:
        metrics.detach()
    if spans is not None:
        spans.detach()
    return flushed


def status() -> Status:
    """What is installed, and how much went through it.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.status()["spans_dropped"]
        0
    """
    found = _native._status()
    return Status(
        installed=found["export"] != "none",
        export=_state.rust or found["export"],
        metrics=found["metrics"],
        spans_delivered=found["spans_delivered"],
        spans_dropped=found["spans_dropped"],
        failed_batches=found["failed_batches"],
        warnings=found["warnings"],
        pid=found["pid"],
    )


def _automatic() -> None:
    """Called by the native module when a call has a sampled parent and nothing was decided yet."""
    try:
        _look()
    except Exception:
        # Whoever stores an article must not learn here that telemetry is broken.
        _native._set_automatic(False)
        logger.exception("Rust telemetry could not be delivered; nothing will be, until percolate_rocks.configure()")


def _look() -> None:
    with _state.lock:
        if _state.reinstall is not None:
            reinstall, _state.reinstall = _state.reinstall, None
            reinstall()
            return
        if _state.spans is not None or _state.rust is not None or _is_disabled():
            _native._set_automatic(False)
            return
        provider = _global_tracer_provider()
        if provider is not None:
            _install(provider, None)
            return
        _state.looks += 1
        if _state.looks >= _MAX_LOOKS:
            _native._set_automatic(False)


def _opened() -> None:
    """Called when a database was opened: looks for a provider that is there already."""
    if _state.reinstall is not None or ("opentelemetry.sdk.trace" in sys.modules and not _state.decided):
        _state.looks = 0
        _automatic()


def _suspend() -> Callable[[], object] | None:
    """Ends the delivery for a while; gives what starts it again."""
    with _state.lock:
        again = _again(_state.spans, _state.metrics, _state.rust)
        decided = _state.decided
        shutdown()
        _state.decided = decided
        return again


def _resume(again: Callable[[], object] | None) -> None:
    with _state.lock:
        if again is not None:
            again()
        elif not _state.decided:
            _native._set_automatic(True)


def _again(
    spans: SpanBridge | None, metrics: MetricsBridge | None, rust: str | None
) -> Callable[[], object] | None:
    """What installs the same as these once more."""
    if rust is not None:
        return functools.partial(_install_rust, rust)
    if spans is not None:
        return functools.partial(_install, spans.provider, metrics.provider if metrics is not None else False)
    return None


def _install(tracer_provider: Any, meter_provider: Any) -> bool:
    from ._bridge import MetricsBridge, SpanBridge

    if _is_sdk_disabled():
        _native._set_automatic(False)
        return False
    spans = SpanBridge(tracer_provider)
    metrics = None if meter_provider is False else MetricsBridge.to(meter_provider)
    _native._install_python(spans.deliver, spans.sampler(), metrics.settings() if metrics is not None else None)
    spans.attach()
    if metrics is not None:
        metrics.attach()
    _state.spans, _state.metrics, _state.decided = spans, metrics, True
    return True


def _install_rust(export: str) -> None:
    _native._install_rust(export)
    _state.rust = export


def _global_tracer_provider() -> Any:
    """The application's tracer provider if it is one of the SDK, else `None`."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return _unwrapped(trace.get_tracer_provider())


def _unwrapped(provider: Any) -> Any:
    """The provider of the SDK, which distributions put into wrappers of their own; `None` if there is none inside."""
    for _ in range(4):
        if hasattr(provider, "_active_span_processor"):
            return provider
        provider = getattr(provider, "provider", None)
    return None


def _is_disabled() -> bool:
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    return _is_sdk_disabled() or "percolate" in [name.strip() for name in disabled.split(",")]


def _is_sdk_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _after_fork_in_child() -> None:
    # Locks of the parent may be held by threads that do not exist here.
    spans, metrics, rust, decided = _state.spans, _state.metrics, _state.rust, _state.decided
    _state.__init__()  # type: ignore[misc]
    _state.decided = decided
    if not _native._after_fork_in_child():
        return
    if spans is not None:
        spans.detach()
    if metrics is not None:
        metrics.detach()
    _state.reinstall = _again(spans, metrics, rust)
    _native._set_automatic(True, at_once=True)


def _at_exit() -> None:
    shutdown(timeout=5.0)


# Exit handlers run in the reverse order of their registration; the SDK's own, registered when a provider is made,
# flush through our hook. This one ends the delivering thread when no provider did.
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
