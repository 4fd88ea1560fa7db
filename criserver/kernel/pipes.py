"""Reading what a child process prints, in the event loop, bounded.

More than the limit is read and dropped, so that the child never blocks on a full pipe and memory stays flat
(CVE-2022-1708).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
import termios

_CHUNK = 65536


class Sink:
    """One pipe that a child writes: the reading end, and the first bytes of what came.

    `kept` holds at most `limit` bytes; `truncated` says that there were more.
    """

    def __init__(self, limit: int) -> None:
        """Nothing is open yet; whoever makes a Sink closes it."""
        self.kept = bytearray()
        self.truncated = False
        self._limit = limit
        self._fd = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Future[None] | None = None

    def open(self) -> int:
        """Make the pipe; returns the writing end, which the caller closes."""
        self._fd, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        return theirs

    def attach(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Begin to read, if not begun; the future is done at the end of the pipe, or at our own `close`."""
        if self._end is None:
            self._loop = loop
            self._end = loop.create_future()
            if self._fd < 0:
                self._end.set_result(None)
            else:
                loop.add_reader(self._fd, self._readable)
        return self._end

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        room = self._limit - len(self.kept)
        self.kept += data[:room]
        self.truncated = self.truncated or len(data) > room
        if not data:
            self.close()

    def close(self) -> None:
        """Stop reading and close our end. Idempotent."""
        if self._fd >= 0:
            if self._loop is not None:
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._end is not None and not self._end.done():
            self._end.set_result(None)


def stdio_pipe(*, writes: bool, size: int) -> tuple[int, int]:
    """A pipe of `size` bytes, if the kernel allows: our non-blocking end and the child's, which `writes` or reads."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    ours, theirs = (reader, writer) if writes else (writer, reader)
    os.set_blocking(ours, False)
    widen(ours, size)
    return ours, theirs


def widen(fd: int, size: int) -> None:
    """Let the pipe `fd` hold `size` bytes, if the kernel allows."""
    with contextlib.suppress(OSError):  # The user's share of pipe memory is used up (pipe(7)): it is smaller then.
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


def pending(fd: int) -> int:
    """How many bytes are in the pipe `fd` (FIONREAD)."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


async def read_all(fd: int, limit: int) -> bytes:
    """What comes out of the pipe `fd` until its end, but no more than one byte above `limit`. It stays open."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    kept = bytearray()
    while len(kept) <= limit:
        try:
            data = os.read(fd, min(_CHUNK, limit + 1 - len(kept)))
        except BlockingIOError:
            await _readable(loop, fd)
            continue
        if not data:
            break
        kept += data
    return bytes(kept)


async def _readable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    ready = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
