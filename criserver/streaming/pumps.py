"""Bytes between a descriptor (a pipe, a terminal's master, a socket) and a session, by readiness and without copies.

A `Source` reads until it is paused; a `Feeder` writes what it is fed and counts what waits. Both own their descriptor.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from criserver.streaming.wire.machine import Buffer

_CHUNK: Final = 64 << 10
_HIGH: Final = 1 << 20
"""What may wait for slow readers of one client's data before nothing more is read from that client."""
_OVERHEAD: Final = 256
"""Bytes that a piece costs beside its own: a flood of tiny pieces must count, too."""


class Source:
    """Reads a descriptor. `done` gets the reason at its end: "" for a plain one."""

    def __init__(self, fd: int, take: Callable[[bytes], None], room: Callable[[], int] | None = None) -> None:
        """`take` gets what is read, from the loop; it may pause this. `room`: the most bytes that it may be given; who
        says 0 pauses this."""
        self._fd, self._take = fd, take
        self._room = room or (lambda: _CHUNK)
        self._loop = asyncio.get_running_loop()
        self._paused = True
        self.done: asyncio.Future[str] = self._loop.create_future()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused and self._fd >= 0:
            self._loop.remove_reader(self._fd)
        self._paused = True

    def resume(self) -> None:
        """Begin to read, or go on."""
        if self._paused and self._fd >= 0:
            self._loop.add_reader(self._fd, self._readable)
        self._paused = False

    def rest(self, limit: int) -> None:
        """Read what is there at this moment, about `limit` bytes of it, paused or not."""
        while self._fd >= 0 and limit > 0 and (size := self._readable()):
            limit -= size

    def close(self, reason: str = "") -> None:
        """Stop reading and close the descriptor. Idempotent."""
        if self._fd >= 0:
            self.pause()
            os.close(self._fd)
            self._fd = -1
        if not self.done.done():
            self.done.set_result(reason)

    def _readable(self) -> int:
        try:
            size = min(_CHUNK, self._room())
            if not size:
                return 0
            data = os.read(self._fd, size)
        except BlockingIOError:
            return 0
        except OSError as error:  # EIO: the last process with this terminal has gone (pty(7)).
            self.close("" if error.errno == errno.EIO else os.strerror(error.errno or 0))
            return 0
        if data:
            self._take(data)
        else:
            self.close()
        return len(data)


class Pressure:
    """What waits in all feeders of one client, and whether it must send less."""

    def __init__(self, hold: Callable[[bool], None], high: int = _HIGH) -> None:
        """`hold` is told when nothing more should come, and when it may again."""
        self._hold, self._high = hold, high
        self._waiting = 0
        self._holding = False

    def add(self, size: int) -> None:
        """So much more waits, or less."""
        self._waiting += size
        if not self._holding and self._waiting > self._high:
            self._holding = True
            self._hold(True)
        elif self._holding and self._waiting <= self._high // 2:
            self._holding = False
            self._hold(False)


def close_input(_fd: int) -> bool:
    """A pipe ends by being closed."""
    return True


def keep_input(_fd: int) -> bool:
    """A terminal has no end of input."""
    return False


def shut_input(fd: int) -> bool:
    """The end of one direction of a connection."""
    connection = socket.socket(fileno=os.dup(fd))
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:  # Reset meanwhile: its reader tells.
        return True
    finally:
        connection.close()
    return True


class Feeder:
    """Writes to a descriptor that may be opened later than it is fed. `done` is set when it takes no more."""

    def __init__(
        self, pressure: Pressure, at_end: Callable[[int], bool], taken: Callable[[int], None] = lambda size: None
    ) -> None:
        """`at_end` does what says "no more" on the descriptor, and returns whether that closes it; `taken` is told
        how many bytes the reader has taken."""
        self._pressure, self._at_end, self._taken = pressure, at_end, taken
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._waiting: deque[Buffer] = deque()
        self._ending = False
        self.done: asyncio.Future[None] = self._loop.create_future()

    def open(self, fd: int) -> None:
        """Write to this descriptor, first what came until now; -1 drops everything."""
        self._fd = fd
        if fd < 0:
            self.close()
        elif self._waiting:
            self._loop.add_writer(fd, self._writable)
        elif self._ending:
            self._end()

    def feed(self, data: Buffer) -> None:
        """Write this, or keep it until the reader is ready for it."""
        if self.done.done() or self._ending:
            return
        if self._fd >= 0 and not self._waiting:
            sent = self._write(data)
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            self._loop.add_writer(self._fd, self._writable)
        self._waiting.append(data)
        self._pressure.add(len(data) + _OVERHEAD)

    def end(self) -> None:
        """Nothing more comes; say so when everything is written."""
        self._ending = True
        if self._fd >= 0 and not self._waiting:
            self._end()

    def close(self) -> None:
        """Drop what waits and close the descriptor. Idempotent."""
        if not self.done.done():
            self.done.set_result(None)
        if self._fd >= 0:
            if self._waiting:
                self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
        while self._waiting:
            self._pressure.add(-len(self._waiting.popleft()) - _OVERHEAD)

    def _end(self) -> None:
        if self._at_end(self._fd):
            self.close()

    def _write(self, data: Buffer) -> int:
        """Bytes taken: all, when the reader is gone. That is no error: whoever waits for its end learns of it there."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return len(data)
        self._taken(sent)
        return sent

    def _writable(self) -> None:
        while self._waiting:
            data = self._waiting[0]
            sent = self._write(data)
            if self._fd < 0:
                return
            if sent < len(data):
                self._waiting[0] = memoryview(data)[sent:]
                self._pressure.add(-sent)
                return
            self._waiting.popleft()
            self._pressure.add(-sent - _OVERHEAD)
        self._loop.remove_writer(self._fd)
        if self._ending:
            self._end()
