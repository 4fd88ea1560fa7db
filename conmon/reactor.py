"""The event loop of zygote, monitors and exec sessions: descriptors, timers and children of one process.

One thread, one epoll. The reactor is the only caller of wait(2) in its process, so no exit status is taken by somebody
who does not know the pid. Knows nothing of what is watched.
"""

from __future__ import annotations

import os
import select
import signal
import time

from conmon import linux
from conmon.errors import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN, OUT, PRI = select.EPOLLIN, select.EPOLLOUT, select.EPOLLPRI


def block_signals() -> None:
    """Block SIGCHLD, so that it can be read from a descriptor, and ignore what would end the process. Once, in the
    zygote: its forks inherit it. A monitor ends with its container, and a host that shuts down ends the container.

    SIGTERM is blocked besides, for the zygote alone reads it; ignored as it is, it does nothing to those that do not.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM))
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)


class Timer:
    """A call that is due at *deadline* (monotonic seconds)."""

    def __init__(self, deadline: float, call: Callable[[], None]) -> None:
        self.deadline, self.call = deadline, call


class Reactor:
    """Runs callbacks until ``stop``. A callback's exception is reported on stderr and does not end the loop."""

    def __init__(self, on_child: Callable[[int, int], None]) -> None:
        """*on_child* is called with pid and wait status of every child that ended."""
        self._on_child = on_child
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._running = True
        self._signals = linux.signalfd_children()
        self.watch(self._signals, IN, self._children)

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call *call* with the epoll events of *fd* for as long as they last."""
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = call

    def forget(self, fd: int) -> None:
        """Watch *fd* no longer; call before closing it. Fine for a descriptor that is not watched."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call *call* once, after *seconds*."""
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget *timer*; fine for one that has fired."""
        if timer in self._timers:
            self._timers.remove(timer)

    def stop(self) -> None:
        """Leave ``run`` after the callback that calls this."""
        self._running = False

    def run(self) -> None:
        """Serve until ``stop``."""
        # Children may have ended before the descriptor was there.
        self._guard(self._reap)
        while self._running:
            self.turn(self._timeout())

    def turn(self, seconds: float | None) -> None:
        """One round of ``run`` that waits at most *seconds*, None for as long as it takes."""
        for fd, events in self._epoll.poll(seconds):
            call = self._watched.get(fd)  # an earlier callback of this round may have forgotten it
            if call is not None and self._running:
                self._guard(call, events)
        if self._timers and self._running:
            self._fire()

    def close(self) -> None:
        """Let go of the reactor's own descriptors."""
        self._epoll.close()
        os.close(self._signals)

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(timer.deadline for timer in self._timers) - time.monotonic())

    def _fire(self) -> None:
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer.deadline <= now]:
            if timer in self._timers:
                self._timers.remove(timer)
                self._guard(timer.call)

    def _children(self, _events: int) -> None:
        os.read(self._signals, 4096)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._on_child(pid, status)

    def _guard(self, call: Callable[..., None], *arguments: int) -> None:
        try:
            call(*arguments)
        except Exception:
            report()
