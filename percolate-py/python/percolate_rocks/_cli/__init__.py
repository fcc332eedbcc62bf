"""The command `percolate`. `main` maps every outcome to an exit code; the modules below print and raise.

| Exit code | Meaning |
|---|---|
| 0 | The command succeeded, or the reader of its output has ended. |
| 1 | The operation failed; one line on standard error has the reason. |
| 2 | The arguments are invalid. |
| 130 | Ctrl-C. |
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .._percolate_rocks import LockedError, PercolateError
from .._telemetry import configure, shutdown
from ._arguments import parser
from ._commands import WrongUsage

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

#: What messages recommend in Python, and the same for the command.
_IN_THE_COMMAND = (
    ("set `create_if_missing` to create it", "`percolate schema set` creates one"),
    (
        "close the other handle, or open this one read-only",
        "stop the process that has it open; commands that only read work meanwhile",
    ),
    ("Register its schema with `register_schema` first", "Register its schema with `percolate schema set` first"),
    ("pass a key with key=", "pass a key with --key"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the arguments of the process, or others. Return the exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as ended:  # argparse has printed the help or the mistake.
        return ended.code if isinstance(ended.code, int) else WRONG_USAGE
    try:
        code = _reported(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output again at its end. Tests replace it by objects without a descriptor.
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass
        return 0
    except WrongUsage as error:
        print(f"percolate: {error}; see `percolate {options.command} --help`", file=sys.stderr)
        return WRONG_USAGE
    except (PercolateError, OSError, ValueError) as error:
        print(f"percolate: cannot {options.attempt(options)}: {_reason(error)}", file=sys.stderr)
        return FAILED
    return code


def _reported(options: argparse.Namespace) -> int:
    """Run a command, and write the report of its spans if one is wanted."""
    if options.report is None:
        code: int = options.run(options)
        return code
    configure("off", report=options.report)
    try:
        code = options.run(options)
    finally:
        is_written = shutdown()
    # The reason why it was not written is on standard error already.
    return code if is_written else FAILED


def _reason(error: BaseException) -> str:
    """Return the message of an error and its causes, in one line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = f"{cause.filename}: {cause.strerror}" if isinstance(cause, OSError) and cause.filename else str(cause)
        text = " ".join((text or type(cause).__name__).split())
        if not any(text in part for part in parts):
            parts.append(text)
        # The cause of a lock is the message of RocksDB, which adds nothing.
        cause = None if isinstance(cause, LockedError) else cause.__cause__
    text = ": ".join(parts)
    for in_python, in_the_command in _IN_THE_COMMAND:
        text = text.replace(in_python, in_the_command)
    return text
