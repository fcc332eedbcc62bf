"""The instrumentor for `opentelemetry-instrument` and `opentelemetry-bootstrap`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from . import _distribution, _telemetry


class PercolateInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Delivers Rust spans and metrics to the application's OpenTelemetry pipeline.

    `opentelemetry-instrument python app.py` loads it by its entry point;
    `PercolateInstrumentor().instrument()` does the same in code. Keyword arguments of `instrument`
    are `tracer_provider` and `meter_provider`, each the global one by default;
    `meter_provider=False` disables metrics.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the instrumented package: this one."""
        name = _distribution.name()
        return () if name is None else (name,)

    def _instrument(self, **kwargs: Any) -> None:
        _telemetry.configure(
            "python",
            tracer_provider=kwargs.get("tracer_provider"),
            meter_provider=kwargs.get("meter_provider"),
        )

    def _uninstrument(self, **kwargs: Any) -> None:
        _telemetry.shutdown()
