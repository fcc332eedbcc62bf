"""The progress of long calls: what `on_progress` receives, and the bar of `progress=True`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Progress(int):
    """The progress of a call; the argument of `on_progress`. It is an `int`: the number `done`.

    Examples:
        >>> import io
        >>> with Database(tmp_path / "progress") as db:
        ...     db.register_schema("articles", {"key_field": "slug"})
        ...     rows = ({"slug": str(n)} for n in range(2000))
        ...     report = db.import_jsonl("articles", rows, on_progress=lambda made: print(made.done, made.total))
        1000 None
        2000 None
        1000 2000
        2000 2000
    """

    #: The number of entities, entries, rows or vectors processed so far. It starts again for each part of
    #: a call: each index of a rebuild, and the writing after the check of an import.
    done: int
    #: The value of `done` at the end of the part, or `None` if it is not known.
    total: int | None
    #: The seconds since the start of the call.
    seconds: float

    def __new__(cls, done: int, total: int | None = None, seconds: float = 0.0) -> Progress:
        made = super().__new__(cls, done)
        made.done, made.total, made.seconds = done, total, seconds
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.done, self.total, self.seconds

    def __str__(self) -> str:
        return str(self.done)

    def __repr__(self) -> str:
        return f"Progress(done={self.done}, total={self.total}, seconds={self.seconds:.3f})"


class Bar:
    """A bar of tqdm on standard error that follows the progress of a call.

    Args:
        on_progress: A function that is called too.

    Raises:
        ImportError: tqdm is not installed.
        TypeError: `on_progress` is not callable.
    """

    def __init__(self, on_progress: Callable[[Progress], object] | None = None) -> None:
        if on_progress is not None and not callable(on_progress):
            raise TypeError(f"on_progress must be a function, not {type(on_progress).__name__}")
        try:
            tqdm = importlib.import_module("tqdm").tqdm
        except ImportError as error:
            raise ImportError("progress=True needs tqdm: pip install tqdm") from error
        self._on_progress = on_progress
        self._bar: Any = tqdm(unit=" entities", unit_scale=True, dynamic_ncols=True)

    def __call__(self, progress: Progress) -> None:
        bar = self._bar
        if progress.total != bar.total or progress.done < bar.n:
            # Another part of the call.
            bar.reset(progress.total)
        bar.update(progress.done - bar.n)
        if self._on_progress is not None:
            self._on_progress(progress)

    def close(self) -> None:
        """Show the last state and end the line."""
        self._bar.close()
