"""The progress of a command on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any

from .._progress import Progress

#: The seconds between two lines. A command that is faster writes none.
INTERVAL = 5.0


class Lines:
    """Writes a line every few seconds."""

    def __init__(self) -> None:
        self._next = INTERVAL

    def __call__(self, progress: Progress) -> None:
        if progress.seconds < self._next:
            return
        self._next = progress.seconds + INTERVAL
        of = "" if progress.total is None else f" of {progress.total}"
        print(f"percolate: {progress.done}{of} entities after {progress.seconds:.0f} s", file=sys.stderr, flush=True)


def progress_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a call that shows its progress."""
    if options.quiet:
        return {}
    # The bar must not mix with output on the same terminal.
    is_mixed = getattr(options, "file", None) == "-" and options.command == "export" and sys.stdout.isatty()
    if sys.stderr.isatty() and not is_mixed and importlib.util.find_spec("tqdm") is not None:
        return {"progress": True}
    return {"on_progress": Lines()}
