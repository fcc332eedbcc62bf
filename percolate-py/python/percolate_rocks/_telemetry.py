"""The receiver of Rust telemetry: found or configured, flushed, shut down, restarted after forks.

The hot path is native. This module runs when something is installed, and uses the OpenTelemetry SDK
only if the application has imported it or passes one of its providers.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from . import _percolate_rocks as _native

if TYPE_CHECKING:
    from ._bridge import MetricsBridge, SpanBridge

logger = logging.getLogger("percolate_rocks")

Exporter = Literal["otlp", "otlp_file", "chrome", "console"]
Export = Literal["python", "otlp", "otlp_file", "chrome", "console", "env", "off"]

#: The exporters in Rust, of which several can be used together.
_EXPORTERS = ("otlp", "otlp_file", "chrome", "console")

#: How many calls in a sampled span may look for a provider without success before calls stop
#: looking.
_MAX_LOOKS = 16


class Status(TypedDict):
    """The result of `status()`."""

    #: Whether telemetry is delivered.
    installed: bool
    #: The export passed to `configure`, several separated by commas, or `"none"`.
    export: str
    #: Whether metrics are delivered too.
    metrics: bool
    #: The number of spans delivered so far; with several exporters from Rust, by each of them.
    spans_delivered: int
    #: The number of spans lost, for any reason; with several exporters from Rust, by the one that lost
    #: the most.
    spans_dropped: int
    #: The number of spans that were recorded and are neither delivered nor lost yet.
    spans_waiting: int
    #: The number of batches (or, with an export from Rust, spans) that the receiver failed to
    #: process.
    failed_batches: int
    #: The number of calls since the last shutdown: they have no spans, and no metrics contain them. 0 while
    #: telemetry is installed. The other counts are those of the shutdown until it is installed again.
    calls_after_shutdown: int
    #: The last error of an exporter of spans from Rust (why the collector rejected them, or could not
    #: be reached), or of writing the report. After a shutdown, that of the shutdown.
    last_error: str | None
    #: The path of the report, if one is written.
    report: str | None
    #: Environment variables and metric Views that were ignored or changed, and collections of metrics that
    #: were dropped.
    warnings: list[str]
    #: The process id. A forked child has a status of its own.
    pid: int


class _State:
    """The installed delivery, and the one that a forked child has to reinstall."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.looks = 0
        #: Whether `configure` or `shutdown` was called or a provider was found: opening a database
        #: then changes nothing.
        self.decided = False
        self.spans: SpanBridge | None = None
        self.metrics: MetricsBridge | None = None
        self.rust: str | None = None
        self.reinstall: Callable[[], object] | None = None
        #: A global provider that was shut down: it receives nothing more.
        self.ended: Callable[[], object] | None = None
        #: The last `meter_provider` argument.
        self.meter_provider: Any = None
        #: The `report` argument, and the path of the report that is installed.
        self.report_argument: str | None = None
        self.report: str | None = None
        self.report_failed = False
        #: The path of a report that begins once a provider is set.
        self.awaited_report: str | None = None
        self.warned = False
        #: The number of lost spans that were reported.
        self.lost = 0
        #: The error of the last shutdown, until telemetry is installed again.
        self.last_error: str | None = None
        #: The numbers of delivered spans, lost spans and failed batches at the last shutdown, until
        #: telemetry is installed again.
        self.counts: tuple[int, int, int] | None = None


_state = _State()


def configure(
    export: Export | Sequence[Exporter] = "python",
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    report: str | os.PathLike[str] | None = None,
) -> bool:
    """Configure where Rust telemetry goes.

    Without this call, Rust spans go to the application's `TracerProvider`, starting with the first
    call inside a sampled Python span. Calling it again with the same arguments changes nothing.

    Args:
        export: `"python"` delivers finished Rust spans to the span processors of the application's
            `TracerProvider`, and metrics to the readers of its `MeterProvider`. The others export
            directly from Rust: `"otlp"` to a collector, configured by the `OTEL_*` variables;
            `"otlp_file"` to `traces.jsonl` and `metrics.jsonl`, and `"chrome"` to `trace.json`, in the
            folder `PERCOLATE_FILE_FOLDER` or the current one; `"console"` prints a tree of spans and a
            table of metrics to standard error. A list, such as `["otlp", "chrome"]`, uses several of
            them. `"env"` uses those of the variables `OTEL_TRACES_EXPORTER` and
            `OTEL_METRICS_EXPORTER`, which the other choices ignore. `"off"` delivers nothing and does
            not look for a provider; with `report`, it writes the report only.
        tracer_provider: The SDK provider that receives spans; the global one by default.
        meter_provider: The SDK provider whose readers receive metrics; the global one by default,
            `False` for none.
        report: The path of an HTML page that is written at each `force_flush` and at `shutdown`, with
            traces, latencies over time, failures and losses; by default the environment variable
            `PERCOLATE_REPORT`. With `"python"` it begins with the delivery to a provider. It opens in a browser without a server. `{pid}` in the path is replaced
            with the id of the process.

    Returns:
        Whether telemetry is delivered now. `False` for `"python"` means that no SDK provider is set
        yet: the first call inside a sampled span looks for it.

    Raises:
        ValueError: `export` is not one of the choices, or not a list of exporters from Rust.
        TypeError: `tracer_provider` is not a provider of the OpenTelemetry SDK.
        RuntimeError: The exporter cannot be created, for example because the endpoint is not a URL.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.configure("off")
        False

        A trace for Perfetto, and the same spans as lines of JSON:

        >>> import os
        >>> os.environ["PERCOLATE_FILE_FOLDER"] = str(tmp_path)
        >>> percolate_rocks.configure(["otlp_file", "chrome"])
        True
        >>> percolate_rocks.shutdown()
        True
        >>> (tmp_path / "trace.json").exists()
        True
        >>> del os.environ["PERCOLATE_FILE_FOLDER"]

        A report without any other delivery:

        >>> percolate_rocks.configure("off", report=tmp_path / "report.html")
        True
        >>> percolate_rocks.shutdown()
        True
        >>> (tmp_path / "report.html").read_text()[:15]
        '<!doctype html>'
    """
    chosen = _export(export)
    with _state.lock:
        _state.decided = True
        _state.report_argument = None if report is None else os.fspath(report)
        _state.awaited_report = None
        path = _report_path()
        if chosen == "off" and report is None:
            shutdown()
            return False
        if chosen != "python":
            if _state.rust != chosen or _state.report != path:
                shutdown()
                _install_rust(chosen, path)
            return True
        if _state.rust is not None:
            shutdown()
        _state.looks = 0
        if _state.spans is not None:
            is_same = tracer_provider is None or _unwrapped(tracer_provider) is _state.spans.provider
            if is_same and _state.report == path:
                return True
            shutdown()
        if tracer_provider is None:
            provider = _global_tracer_provider()
        else:
            provider = _unwrapped(tracer_provider) or tracer_provider
        if provider is None:
            _state.decided = False
            _state.awaited_report = _state.report_argument
            _native._set_automatic(True)
            return False
        return _install(provider, meter_provider, path)


def _export(export: str | Sequence[str]) -> str:
    """Return the checked export as one string, exporters separated by commas."""
    if isinstance(export, str) and export in ("python", "env", "off", *_EXPORTERS):
        return export
    if isinstance(export, (list, tuple)) and export and all(one in _EXPORTERS for one in export):
        return ",".join(dict.fromkeys(export))
    raise ValueError(
        "export must be 'python', 'otlp', 'otlp_file', 'chrome', 'console', 'env' or 'off', "
        f"or a list of 'otlp', 'otlp_file', 'chrome' and 'console', not {export!r}"
    )


def force_flush(timeout: float = 30.0) -> bool:
    """Deliver all finished Rust spans, then flush the provider that received them.

    Args:
        timeout: The longest wait in seconds.

    Returns:
        Whether everything was delivered in time; `True` if nothing is installed.

    Raises:
        ValueError: `timeout` is negative or not a number.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.force_flush(timeout=5)
        True
    """
    started = time.monotonic()
    flushed: bool = _native._force_flush(timeout)
    if _state.rust is not None:
        found = _native._status()
        _report_losses(found["spans_dropped"], found["losses"])
    spans = _state.spans
    if spans is not None:
        left = max(0.0, started + timeout - time.monotonic())
        flushed = spans.flush_processors(left) and flushed
        left = max(0.0, started + timeout - time.monotonic())
        flushed = _write_report(left) and flushed
    return flushed


def _write_report(timeout: float) -> bool:
    """Write the report of spans and metrics that go to providers, if there is one."""
    if _state.report is None:
        return True
    problem = _native._write_report(timeout)
    _report_problem(problem)
    return problem is None


def _report_problem(problem: str | None) -> None:
    """Warn, once, of a report that cannot be written."""
    if problem is not None and not _state.report_failed:
        _state.report_failed = True
        logger.warning("percolate %s", problem)


def _report_path() -> str | None:
    """Return the path of the report: the argument, or the environment variable."""
    return _state.report_argument or os.environ.get("PERCOLATE_REPORT", "").strip() or None


def shutdown(timeout: float = 5.0) -> bool:
    """Deliver all finished Rust spans and end the delivery.

    The application's providers are not shut down. Metrics that a reader has not collected are part of
    its next collection. After this, nothing is delivered until `configure()` or
    `PercolateInstrumentor().instrument()` is called.

    Args:
        timeout: The longest wait in seconds.

    Returns:
        Whether everything was delivered in time.

    Raises:
        ValueError: `timeout` is negative or not a number.
    """
    with _state.lock:
        _state.decided = True
        spans, metrics = _state.spans, _state.metrics
        _state.spans = _state.metrics = _state.rust = _state.reinstall = _state.report = None
        awaited, _state.awaited_report = _state.awaited_report, None
    if awaited is not None:
        logger.warning(
            "percolate has not written %s: no TracerProvider of the OpenTelemetry SDK received a call; set one, or call "
            'configure("off", report=...) for a report without a provider',
            awaited,
        )
    is_installed = _native._status()["export"] != "none"
    flushed, lost, losses, error, problem, counts, rests = _native._shutdown(timeout)
    _report_losses(lost, losses)
    _report_problem(problem)
    if is_installed:
        _state.last_error, _state.counts = error or problem, counts
    _state.report_failed = False
    _state.lost = 0
    if metrics is not None:
        metrics.detach(rests)
    if spans is not None:
        spans.detach()
    return flushed and problem is None


def _report_losses(lost: int, losses: str | None) -> None:
    """Warn if an export from Rust has lost spans since the last warning. `losses` names the exporters."""
    if lost > _state.lost:
        _state.lost = lost
        logger.warning("percolate lost %d spans: %s", lost, losses)


def status() -> Status:
    """Return what is installed, and counters of its spans.

    Examples:
        >>> import percolate_rocks
        >>> percolate_rocks.status()["spans_waiting"]
        0
    """
    found = _native._status()
    is_installed = found["export"] != "none"
    delivered, dropped, failed = found["spans_delivered"], found["spans_dropped"], found["failed_batches"]
    if not is_installed and _state.counts is not None:
        delivered, dropped, failed = _state.counts
    return Status(
        installed=is_installed,
        export=_state.rust or found["export"],
        metrics=found["metrics"],
        spans_delivered=delivered,
        spans_dropped=dropped,
        spans_waiting=found["spans_waiting"],
        failed_batches=failed,
        calls_after_shutdown=found["calls_after_shutdown"],
        last_error=found["last_error"] or (None if is_installed else _state.last_error),
        report=found["report"],
        warnings=found["warnings"],
        pid=found["pid"],
    )


def _automatic() -> None:
    """Look for a provider. Called natively for a sampled parent, until switched off."""
    try:
        _look()
    except Exception:
        # Broken telemetry must not fail a call of the database.
        _native._set_automatic(False)
        logger.exception("cannot deliver Rust telemetry, and it stays off; call percolate_rocks.configure() to try again")


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
        if provider is not None and _state.ended is not None and _state.ended() is provider:
            return
        if provider is not None:
            _install(provider, False if _state.meter_provider is False else None, _report_path())
            return
        _state.looks += 1
        if _state.looks >= _MAX_LOOKS:
            _native._set_automatic(False)
            _warn_of_other_provider()


def _warn_of_other_provider() -> None:
    """Warn, once, of a global provider that cannot receive finished spans."""
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    if _state.warned or isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return
    _state.warned = True
    logger.warning(
        "Rust spans are not delivered: the global tracer provider is a %s.%s, and only the OpenTelemetry SDK's accepts "
        "finished spans; call percolate_rocks.configure() with an SDK provider, or configure(\"otlp\") to export them "
        "from Rust",
        type(provider).__module__,
        type(provider).__qualname__,
    )


def _provider_ended(spans: SpanBridge) -> None:
    """End the delivery to a provider that is shut down. If it was the global one, a new one is found."""
    with _state.lock:
        shutdown(timeout=5.0)
        if spans.provider is _global_tracer_provider():
            _state.ended = weakref.ref(spans.provider)
            _state.decided, _state.looks = False, 0
            _native._set_automatic(True)


def _opened() -> None:
    """Look for a provider that is already set. Called natively when a database is opened."""
    if _state.reinstall is not None or ("opentelemetry.sdk.trace" in sys.modules and not _state.decided):
        _state.looks = 0
        _automatic()


def _suspend() -> Callable[[], object] | None:
    """End the delivery and return a function for `_resume`."""
    with _state.lock:
        again = _again(_state.spans, _state.metrics, _state.rust, _state.report)
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
    spans: SpanBridge | None, metrics: MetricsBridge | None, rust: str | None, report: str | None
) -> Callable[[], object] | None:
    """Return a function that installs the same delivery again, or `None`."""
    if rust is not None:
        return functools.partial(_install_rust, rust, report)
    if spans is not None:
        meter_provider = metrics.provider if metrics is not None else False
        return functools.partial(_install, spans.provider, meter_provider, report)
    return None


def _install(tracer_provider: Any, meter_provider: Any, report: str | None) -> bool:
    from ._bridge import NO_READERS, MetricsBridge, SpanBridge

    if _is_sdk_disabled():
        _native._set_automatic(False)
        return False
    _state.last_error = _state.counts = None
    spans = SpanBridge(tracer_provider, reports=report is not None)
    metrics = None if meter_provider is False else MetricsBridge.to(meter_provider)
    settings = metrics.settings() if metrics is not None else None
    if report is None:
        _native._install_python(spans.deliver, spans.sampler(), settings)
    else:
        given = (report, dict(tracer_provider.resource.attributes))
        _native._install_python(spans.deliver, spans.sampler(), settings or NO_READERS, given)
    spans.attach()
    if metrics is not None:
        metrics.attach()
    _state.spans, _state.metrics, _state.decided = spans, metrics, True
    _state.awaited_report = None
    _state.meter_provider, _state.report = meter_provider, report
    return True


def _install_rust(export: str, report: str | None) -> None:
    _native._install_rust(export, report)
    _state.last_error = _state.counts = None
    _state.rust, _state.report = export, report


def _global_tracer_provider() -> Any:
    """Return the global tracer provider if it is one of the SDK, else `None`."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return _unwrapped(trace.get_tracer_provider())


def _unwrapped(provider: Any) -> Any:
    """Return the SDK's provider inside the wrappers of distributions; `None` if there is none."""
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
    # Threads that do not exist here may hold the locks.
    spans, metrics, rust, decided = _state.spans, _state.metrics, _state.rust, _state.decided
    argument, report = _state.report_argument, _state.report
    _state.__init__()  # type: ignore[misc]
    _state.decided, _state.report_argument = decided, argument
    if not _native._after_fork_in_child():
        return
    if spans is not None:
        spans.detach(is_forked=True)
    if metrics is not None:
        metrics.detach()
    _state.reinstall = _again(spans, metrics, rust, _of_child(report))
    _native._set_automatic(True, at_once=True)


def _of_child(report: str | None) -> str | None:
    """Return the path of a report for a forked child, which must not replace that of its parent."""
    if report is None or "{pid}" in report:
        return report
    start, end = os.path.splitext(report)
    return f"{start}.{{pid}}{end}"


def _at_exit() -> None:
    shutdown(timeout=5.0)


# Exit handlers run in the reverse order of their registration. Those of the SDK, registered when a
# provider is created, flush through the hook of `_bridge`. This one ends the delivering thread if
# no provider has.
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
