"""The switch that `opentelemetry-instrument` and `opentelemetry-bootstrap` know."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from . import _telemetry


class PercolateInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Puts Rust spans and metrics into the application's own OpenTelemetry pipeline.

    `opentelemetry-instrument python app.py` calls it by its entry point; `PercolateInstrumentor().instrument()` does
    the same by hand. Keyword arguments of `instrument`: `tracer_provider` and `meter_provider`, each the global one by
    default; `meter_provider=False` leaves metrics out.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing but this package itself."""
        return ("percolate-rocks >= 0.1",)

    def _instrument(self, **kwargs: Any) -> None:
        _telemetry.configure(
            "python",
            tracer_provider=kwargs.get("tracer_provider"),
            meter_provider=kwargs.get("meter_provider"),
        )

    def _uninstrument(self, **kwargs: Any) -> None:
        _telemetry.shutdown()
