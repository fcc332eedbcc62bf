"""Pipes and devices at a path, which an import reads and an export writes.

Another process is waited for in slices: signal handlers run between them, and the call can end.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable

#: The seconds of a slice.
SLICE = 0.05


class Pipe:
    """An open pipe or device."""

    def __init__(
        self, path: str | os.PathLike[str], descriptor: int, is_target: bool, is_ended: Callable[[], bool]
    ) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_ended = is_ended
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT if is_target else select.POLLIN)

    def read(self, size: int) -> bytes | None:
        """Return up to `size` bytes, none at the end, and `None` if the call was requested to end."""
        while self._wait():
            try:
                return os.read(self._descriptor, size)
            except BlockingIOError:
                continue
            except OSError as error:
                error.filename = self._path
                raise
        return None

    def write(self, data: bytes) -> int | None:
        """Write a part of the bytes. Return its size, or `None` if the call was requested to end."""
        while self._wait():
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # A pipe that is nearly full accepts less than it is offered.
                data = data[: select.PIPE_BUF]
                time.sleep(SLICE / 10)
            except OSError as error:
                error.filename = self._path
                raise
        return None

    def _wait(self) -> bool:
        """Wait until the pipe is ready. Return `False` if the call was requested to end."""
        while not self._is_ended():
            if self._poll.poll(SLICE * 1000):
                return True
        return False

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)


def open_pipe(path: str | os.PathLike[str], is_target: bool, is_ended: Callable[[], bool]) -> Pipe | None:
    """Open a pipe or a device. Return `None` if the call was requested to end."""
    flags = (os.O_WRONLY if is_target else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC
    is_fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    while not is_ended():
        try:
            return Pipe(path, os.open(path, flags), is_target, is_ended)
        except OSError as error:
            # A pipe cannot be opened for writing before it has a reader.
            if error.errno != errno.ENXIO or not is_fifo:
                raise
        time.sleep(SLICE)
    return None
