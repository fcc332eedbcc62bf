"""Rows as a table, lines of JSON, or CSV. Rows are written as they come; a table reads the first ones ahead to
measure its columns."""

from __future__ import annotations

import csv
import itertools
import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, TextIO

FORMATS = ["auto", "table", "jsonl", "csv"]

#: The number of rows that a table reads to find the widths of its columns.
_MEASURED = 1000
_GAP = "  "
_NARROWEST = 4

Row = Sequence[Any]


def chosen(kind: str) -> str:
    """Return the format that is meant: for `auto`, `table` on a terminal and `jsonl` elsewhere."""
    if kind != "auto":
        return kind
    return "table" if sys.stdout.isatty() else "jsonl"


def write_rows(kind: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows to standard output as `table`, `jsonl` or `csv`.

    Raises:
        ValueError: Two columns have the same name, and the format is `jsonl`.
    """
    stream = sys.stdout
    if kind == "table":
        width = shutil.get_terminal_size().columns if stream.isatty() else None
        _write_table(stream, columns, rows, width)
    elif kind == "csv":
        _use_utf8(stream)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value, "") for value in row] for row in rows)
    else:
        for at, name in enumerate(columns):
            if name in columns[:at]:
                raise ValueError(f"two columns are called {name}; rename one with AS, or use --format csv")
        write_objects(dict(zip(columns, row, strict=True)) for row in rows)


def write_objects(objects: Iterable[Any]) -> None:
    """Write each object as one line of JSON."""
    stream = sys.stdout
    _use_utf8(stream)
    write = stream.write
    for each in objects:
        write(json_of(each) + "\n")


def _use_utf8(stream: TextIO) -> None:
    """Write data as UTF-8 in every locale. Other objects in the place of standard output have no encoding."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", newline="\n")


def json_of(value: Any) -> str:
    """Return the JSON of a value. Numbers that JSON does not have are null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_finite(value))


def _plain(value: Any) -> Any:
    """Return the JSON form of a value that is not of a JSON type."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any, null: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_of(value) if isinstance(value, (dict, list)) else str(_plain(value))


def _write_table(stream: TextIO, columns: Sequence[str], rows: Iterable[Row], width: int | None) -> None:
    rows = iter(rows)
    first = list(itertools.islice(rows, _MEASURED))
    cells = [[_printable(_cell(value, "NULL")) for value in row] for row in first]
    names = [_printable(name) for name in columns]
    widths = [max(map(_width, each)) for each in zip(names, *cells, strict=True)]
    if width is not None:
        widths = _fitted(widths, width)
    to_the_right = [
        any(value is not None for value in values) and all(value is None or _is_number(value) for value in values)
        for values in (zip(*first, strict=True) if first else [()] * len(names))
    ]

    def write(row: Sequence[str]) -> None:
        aligned = (
            _aligned(text, wide, right, shorten=width is not None)
            for text, wide, right in zip(row, widths, to_the_right, strict=True)
        )
        stream.write(_GAP.join(aligned).rstrip() + "\n")

    write(names)
    write(["-" * wide for wide in widths])
    for row in cells:
        write(row)
    count = len(first)
    for count, values in enumerate(rows, start=count + 1):
        write([_printable(_cell(value, "NULL")) for value in values])
    stream.write(f"({count} row{'' if count == 1 else 's'})\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _printable(text: str) -> str:
    """Escape what moves the cursor or controls a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _fitted(widths: list[int], total: int) -> list[int]:
    """Return widths that fit into a line: the widest columns are made narrower, as equal as possible."""
    available = max(total - len(_GAP) * (len(widths) - 1), 0)
    if sum(widths) <= available:
        return widths
    limit, left = available, len(widths)
    for narrow in sorted(widths):
        if narrow * left > available:
            limit = available // left
            break
        available, left = available - narrow, left - 1
    limit = max(limit, _NARROWEST)
    return [min(wide, limit) for wide in widths]


def _aligned(text: str, wide: int, right: bool, *, shorten: bool) -> str:
    taken = _width(text)
    if taken > wide and shorten:
        text, taken = _shortened(text, wide - 1) + "…", wide
        taken = _width(text)
    space = " " * (wide - taken)
    return space + text if right else text + space


def _shortened(text: str, wide: int) -> str:
    if text.isascii():
        return text[:wide]
    taken = 0
    for at, char in enumerate(text):
        taken += _width(char)
        if taken > wide:
            return text[:at]
    return text
