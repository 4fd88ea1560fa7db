"""A container's output and input: the pipes or terminal, the log that output goes to, and the queue that feeds stdin.

Owns the monitor's ends. Output is read in large pieces, logged and shown to who looks on; nothing here waits, and a
slow log or reader never changes what the container sees but for the pipe's own back-pressure.
"""

from __future__ import annotations

import fcntl
import os
import time

from conmon import protocol
from conmon.crilog import PARTIAL_AFTER, QUIET_AFTER, Formatter
from conmon.linux import malloc_trim
from conmon.logfile import LogFile
from conmon.reactor import IN, OUT, Reactor, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Show = Callable[[int, bytes], None]

#: Bytes of one read. Short lines grow up to twentyfold in the log, so a larger read would only leave the CPU's cache.
READ = 64 * 1024
#: Pipe size asked of the kernel: lets a fast writer run on while the monitor writes the log.
PIPE_SIZE = 256 * 1024


def make_pipe(uid: int, gid: int) -> tuple[int, int]:
    """``(read, write)`` ends, close-on-exec; owned by *uid* and *gid* (-1: unchanged), so that the container can open
    them again through /proc/self/fd."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if (uid, gid) != (-1, -1):
        os.fchown(reader, uid, gid)
        os.fchown(writer, uid, gid)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except OSError:
        pass  # pipe-user-pages-soft is used up: a smaller pipe is slower, not wrong
    return reader, writer


class Output:
    """One output stream: from its descriptor to the log and to who looks on."""

    def __init__(self, reactor: Reactor, fd: int, kind: int, log: LogFile | None, show: Show) -> None:
        """*kind* is protocol.STDOUT or protocol.STDERR; *show* is called with it and what came. Takes *fd* over."""
        os.set_blocking(fd, False)
        self._reactor, self.fd, self._kind = reactor, fd, kind
        self._log, self._show = log, show
        self._formatter = Formatter("stdout" if kind == protocol.STDOUT else "stderr")
        self._quiet: Timer | None = None
        self._partial: Timer | None = None
        self._busy = False
        #: Nobody holds the other end any more, or ``close`` was called.
        self.ended = False
        reactor.watch(fd, IN, self._ready)

    def drain(self, deadline: float) -> None:
        """Read what is there now, until the stream ends, has nothing more, or *deadline* (monotonic) has passed."""
        while not self.ended and self._read() and time.monotonic() < deadline:
            pass

    def close(self) -> None:
        """End the stream: log what waits for its newline, close the descriptor."""
        if not self.ended:
            self.ended = True
            self._reactor.cancel(self._quiet)
            self._reactor.cancel(self._partial)
            self._reactor.forget(self.fd)
            os.close(self.fd)
            if self._log:
                self._log.write(self._formatter.finish(time.time_ns()))

    def _ready(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.fd, READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last slave of the pty was closed
        self.feed(data)
        return not self.ended

    def feed(self, data: bytes) -> None:
        """Log and show what was read; nothing means the end."""
        if not data:
            self.close()
            return
        self._busy = True
        if self._log:
            self._log.write(self._formatter.feed(data, time.time_ns()))
            if self._formatter.pending and self._partial is None:
                self._partial = self._reactor.call_later(PARTIAL_AFTER, self._look_at_partial)
        if self._quiet is None:
            self._quiet = self._reactor.call_later(QUIET_AFTER, self._look)
        self._show(self._kind, data)

    def resume(self, pending: bytes, waited: float, split: bool) -> None:
        """Go on where another reader of this stream stopped: *pending* has *waited* seconds for its newline, the last
        piece in the log was *split* off its line."""
        self._formatter.resume(pending, time.time_ns() - int(waited * 1e9), split)
        if pending:
            self._partial = self._reactor.call_later(0, self._look_at_partial)

    def _look_at_partial(self) -> None:
        """Log text that has waited long enough for its newline; look again later at a younger one."""
        self._partial = None
        if not self._log or not self._formatter.pending:
            return
        now = time.time_ns()
        left = PARTIAL_AFTER - (now - self._formatter.since) / 1e9
        if left <= 0 or left > PARTIAL_AFTER:  # the clock may be set meanwhile
            self._log.write(self._formatter.flush(now))
        else:
            self._partial = self._reactor.call_later(left, self._look_at_partial)

    def _look(self) -> None:
        """Act on quiet; after output since the last look, look again later."""
        self._quiet = None
        if self._busy:
            self._busy = False
            self._quiet = self._reactor.call_later(QUIET_AFTER, self._look)
        else:
            malloc_trim()


class Input:
    """The container's stdin: a queue in front of its pipe or terminal. Takes *fd* over."""

    #: Bytes that wait here before ``full`` asks the clients to wait.
    LIMIT = 64 * 1024

    def __init__(self, reactor: Reactor, fd: int, terminal: bool, on_room: Callable[[], None]) -> None:
        """*on_room* is called when a full queue has room again."""
        os.set_blocking(fd, False)
        self._reactor, self._fd, self._terminal, self._on_room = reactor, fd, terminal, on_room
        self._queue = b""
        self._ending = False
        self.closed = False

    @property
    def full(self) -> bool:
        """More than LIMIT bytes wait."""
        return len(self._queue) > self.LIMIT

    def write(self, data: bytes) -> None:
        """Pass *data* on to the container, now or when it reads; dropped when stdin is closed."""
        if not self.closed and not self._ending:
            self._queue += data
            self._ready(OUT)

    def end(self) -> None:
        """Close stdin once all that waits is delivered. On a terminal the end-of-file character (^D) is typed."""
        if not self.closed and not self._ending:
            if self._terminal:
                self.write(b"\x04")
            self._ending = True
            self._ready(OUT)

    def close(self) -> None:
        """Close the descriptor now."""
        if not self.closed:
            self.closed = True
            self._queue = b""
            self._reactor.forget(self._fd)
            os.close(self._fd)
            self._on_room()

    def _ready(self, _events: int) -> None:
        was_full = self.full
        try:
            while self._queue:
                self._queue = self._queue[os.write(self._fd, self._queue) :]
        except BlockingIOError:
            self._reactor.watch(self._fd, OUT, self._ready)
        except OSError:
            self.close()  # EPIPE: the container closed its stdin
            return
        else:
            self._reactor.forget(self._fd)
            if self._ending:
                self.close()
        if was_full and not self.full and not self.closed:
            self._on_room()
