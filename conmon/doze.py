"""The light half of a monitor: all that most containers ever need, in few functions that touch few objects.

A process forked from the zygote shares its memory until it writes to it, and Python writes to each object that it uses, for
its reference count. So a monitor runs as little Python as it can while its container writes whole lines and its clients
only wait for the exit. At anything else ``Doze.run`` returns, and ``monitor.Monitor`` takes over, for good.
"""

from __future__ import annotations

import _socket
import os
import select
import signal
import time

#: Bytes of one read: no line in it can be too long for one piece of the log (``crilog.PIECE``).
READ = 16 * 1024
_NEWLINE = 10


class Doze:
    """What a dozing monitor holds, for the monitor that it becomes."""

    def __init__(self) -> None:
        #: Connections that have been greeted and have said nothing.
        self.clients: list[int] = []
        #: A stream and what was read from it but is not in the log.
        self.stream, self.data = -1, b""
        #: Log text of which only so many bytes were written.
        self.text, self.written = b"", 0
        #: The wait status of the container's init.
        self.status = -1

    def run(self, pid: int, log: int, streams: dict[int, bytes], listener: _socket.socket, others: list[int], hello: bytes) -> None:
        """Log whole lines of *streams* (descriptors to tags such as ``b" stdout F "``) to *log* (-1: nowhere), greet clients
        of *listener* with *hello*; return at anything else, on *others* as well, and at the end of child *pid*."""
        wake, signalled = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        epoll = select.epoll()
        for fd in (wake, listener.fileno(), *streams):
            epoll.register(fd, select.EPOLLIN)
        for fd in others:
            epoll.register(fd, select.EPOLLPRI)
        # A child may have ended before the pipe was there.
        going = self._reap(pid)
        while going:
            fd, _ = epoll.poll(None, 1)[0]
            if fd in streams:
                going = self._log(fd, log, streams[fd])
            elif fd == wake:
                os.read(wake, 4096)
                going = self._reap(pid)
            else:
                going = fd not in self.clients and fd not in others and self._greet(listener, hello, epoll)
        epoll.close()
        signal.set_wakeup_fd(-1)
        os.close(wake)
        os.close(signalled)

    def _log(self, fd: int, log: int, tag: bytes) -> bool:
        data = os.read(fd, READ)
        if not data or data[-1] != _NEWLINE:
            self.stream, self.data = fd, data
            return False
        if log < 0:
            return True
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        stamp = b"%b.%09dZ%b" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), nanoseconds, tag)
        text = stamp + data.replace(b"\n", b"\n" + stamp)[: -len(stamp)]
        try:
            written = os.write(log, text)
        except OSError:
            written = 0
        if written == len(text):
            return True
        self.text, self.written = text, written
        return False

    def _reap(self, pid: int) -> bool:
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if child == pid:
                self.status = status
                return False
            if not child:
                return True

    def _greet(self, listener: _socket.socket, hello: bytes, epoll: select.epoll) -> bool:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - without a socket object
            os.write(fd, hello)
        except OSError:
            return True
        self.clients.append(fd)
        epoll.register(fd, select.EPOLLIN)
        return True
