"""The light half of a monitor: all that most containers ever need, in few functions that touch few objects.

A process forked from the zygote shares its memory until it writes to it, and Python writes to each object that it
uses, for its reference count. So a monitor leaves the container's creation to a fork of its own, finds the result in
``slots``, and runs as little Python as it can while the container writes lines and its clients only wait for the exit.
At anything else ``monitor.Monitor`` takes over, for good.

What runs here is a copy that ``pack`` has made, so it may name no class, function or module that this changes.
"""

from __future__ import annotations

import _socket
import os
import select
from time import monotonic, time_ns

from conmon import fork, linux, protocol, slots
from conmon.crilog import PARTIAL_AFTER, PIECE, QUIET_AFTER, stamp
from conmon.peer import accept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of one read: no line in it can be too long for one piece of the log (``crilog.PIECE``).
READ = 16 * 1024
#: Made once in the zygote.
HELLO = protocol.hello("monitor")
_STREAMS = {slots.STDOUT: b" stdout F ", slots.STDERR: b" stderr F "}
_PARTS = {slots.STDOUT: b" stdout P ", slots.STDERR: b" stderr P "}
_NEWLINE = b"\n"
#: Makes every text too large for pymalloc, which would have a page for each size of it (``heap``).
_PADDING = bytes(512)
#: wait(2) statuses of a creation that has filled the slots.
_READY_TO_DOZE = slots.READY_TO_DOZE << 8
_STATUSES = (slots.READY << 8, _READY_TO_DOZE)


def run(create: Callable[[], int], wake: Callable[[Doze], None]) -> None:
    """In a fork of the zygote: be a container's monitor. *create* is ``creation.run``, *wake* goes on after the doze;
    they are parameters so that ``warmup`` can rehearse this very function."""
    linux.set_name(b"conmon")
    linux.set_child_subreaper()
    child = linux.clone(linux.SHARE_FILES)
    if child == 0:
        fork.run(create)
    status = os.waitpid(child, 0)[1]
    if status not in _STATUSES:
        return  # the client has been told why, and nothing is left
    os.closerange(slots.END, fork.MAX_FDS)
    doze = Doze(int(os.read(slots.NOTE, 16)))
    if status == _READY_TO_DOZE:
        doze.run()
    wake(doze)


class Doze:
    """What a dozing monitor holds, for the monitor that it becomes."""

    __slots__ = (
        "clients",
        "data",
        "held",
        "packet",
        "patience",
        "pid",
        "since",
        "speaker",
        "split",
        "status",
        "stream",
        "text",
        "written",
    )

    def __init__(self, pid: int) -> None:
        #: The container's init, and its wait status once it has ended.
        self.pid, self.status = pid, -1
        #: Connections that have been greeted, and the packet of the one that has spoken.
        self.clients: list[int] = []
        self.speaker, self.packet = -1, b""
        #: A stream and what was read from it but is not in the log.
        self.stream, self.data = -1, b""
        #: Text of STDOUT and of STDERR that waits for its newline, and the monotonic times from which on it does.
        self.held = [b"", b""]
        self.since = [0.0, 0.0]
        #: Bit N: the last piece of stream N in the log was a part of a line.
        self.split = 0
        #: Log text of which only so many bytes were written.
        self.text, self.written = b"", 0
        #: Seconds to wait for something to happen.
        self.patience: float | None = None

    def run(self) -> None:
        """Log lines, greet clients, reap strays; return at anything else."""
        epoll = select.epoll.fromfd(slots.EPOLL)
        signals = linux.signalfd_children()
        epoll.register(signals, select.EPOLLIN)
        going = self._reap()  # the container may have ended before the descriptor was there
        while going:
            ready = epoll.poll(self.patience, 1)
            if not ready:
                going = self.quiet()
                continue
            fd = ready[0][0]
            if fd in _STREAMS:
                going = self._log(fd)
            elif fd == signals:
                os.read(signals, 4096)
                going = self._reap()
            elif fd == slots.LISTENER:
                self._greet(epoll)
            else:
                going = fd in self.clients and self._hear(fd)
        epoll.close()
        os.close(signals)

    def _log(self, fd: int) -> bool:
        data = os.read(fd, READ)
        end = data.rfind(_NEWLINE) + 1
        if not end or end != len(data) or self.patience == PARTIAL_AFTER:
            return self._log_part(fd, fd - slots.STDOUT, data, end)
        self.patience = QUIET_AFTER
        return self._write(fd, data)

    def _log_part(self, fd: int, at: int, data: bytes, end: int) -> bool:
        """As ``_log`` when parts of lines wait or come; *end* is behind the last newline."""
        first = data.find(_NEWLINE) if end else len(data)
        if not data or len(self.held[at]) + first > PIECE:
            self.stream, self.data = fd, data
            return False
        text = self.held[at] + data[:end] if end else b""
        if end or not self.held[at]:
            self.held[at], self.since[at] = b"", monotonic()
        self.held[at] += data[end:]
        if text and not self._write(fd, text):
            return False
        return self._flush(monotonic() - PARTIAL_AFTER)

    def _write(self, fd: int, data: bytes) -> bool:
        """Log whole lines."""
        prefix = stamp(time_ns(), _STREAMS[fd])
        self.split &= ~(1 << fd)
        text = (_PADDING + data).replace(_NEWLINE, _NEWLINE + prefix)
        return self._append(prefix, memoryview(text)[len(_PADDING) : -len(prefix)])

    def _flush(self, before: float) -> bool:
        """Log the text that has waited for its newline since *before*."""
        self.patience = QUIET_AFTER
        for at in (0, 1):
            if self.held[at] and self.since[at] > before:
                self.patience = PARTIAL_AFTER
            elif self.held[at]:
                text, self.held[at] = memoryview(_PADDING + self.held[at] + _NEWLINE), b""
                self.split |= 1 << slots.STDOUT + at
                if not self._append(stamp(time_ns(), _PARTS[slots.STDOUT + at]), text[len(_PADDING) :]):
                    return False
        return True

    def _append(self, prefix: bytes, text: memoryview) -> bool:
        try:
            written = os.writev(slots.LOG, (prefix, text))
        except OSError:
            written = 0
        if written == len(prefix) + len(text):
            return True
        self.text, self.written = prefix + bytes(text), written
        return False

    def quiet(self) -> bool:
        """Nothing happened for ``patience`` seconds."""
        if self.patience == PARTIAL_AFTER:
            return self._flush(monotonic())
        self.patience = None
        linux.malloc_trim()
        return True

    def _reap(self) -> bool:
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if child == self.pid:
                self.status = status
                return False
            if not child:
                return True

    def _greet(self, epoll: select.epoll) -> None:
        listener = _socket.socket(fileno=slots.LISTENER)
        try:
            fd = accept(listener)
            os.write(fd, HELLO)
        except OSError:
            return
        finally:
            listener.detach()
        self.clients.append(fd)
        epoll.register(fd, select.EPOLLIN)

    def _hear(self, fd: int) -> bool:
        """A client that leaves is nothing to wake up for."""
        try:
            packet = os.read(fd, protocol.MAX_PACKET + 1)
        except OSError:
            packet = b""
        if packet:
            self.speaker, self.packet = fd, packet
            return False
        self.clients.remove(fd)
        os.close(fd)
        return True
