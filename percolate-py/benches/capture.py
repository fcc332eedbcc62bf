"""The cost of making a call a child of the current Python span, compared with doing it by hand.

    scripts/bench-wheel.sh

Each line is the median of many runs, minus the cost of calling an empty native function.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from percolate_rocks import TraceContext, configure
from percolate_rocks._percolate_rocks import _capture, _set_automatic

RUNS, CALLS = 60, 5_000


def nanoseconds(work: Callable[[], object]) -> float:
    """Return the median time of one call."""
    runs = []
    for _ in range(RUNS):
        started = time.perf_counter_ns()
        for _ in range(CALLS):
            work()
        runs.append((time.perf_counter_ns() - started) / CALLS)
    return statistics.median(runs)


def by_hand() -> None:
    """Pass the trace context as an application without automatic capture would."""
    carrier: dict[str, str] = {}
    inject(carrier)
    _capture(TraceContext(carrier))


def main() -> None:
    """Print the results as a table."""
    configure("off")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("bench")
    nothing = nanoseconds(lambda: _set_automatic(False))
    rows = [("no span", nanoseconds(lambda: _capture()), nanoseconds(by_hand))]
    with tracer.start_as_current_span("request"):
        rows.append(("in a span", nanoseconds(lambda: _capture()), nanoseconds(by_hand)))
    with unsampled.start_as_current_span("request"):
        rows.append(("in an unsampled span", nanoseconds(lambda: _capture()), nanoseconds(by_hand)))
    print(f"{'':24}{'read':>12}{'inject and parse by hand':>28}")
    for name, ours, hand in rows:
        print(f"{name:24}{ours - nothing:>9.0f} ns{hand - nothing:>25.0f} ns")


if __name__ == "__main__":
    main()
