"""Creating one container: stdio, ``runtime create``, and the undo of all of it when that fails or is given up.

Belongs to one monitor, before its container exists. Says how it went through *on_done*, exactly once: the pid, or the
error after everything is undone. It knows nothing of clients.
"""

from __future__ import annotations

import os
import signal

from conmon import files, process, runtime
from conmon.errors import ConmonError
from conmon.logfile import LogFile
from conmon.reactor import Reactor
from conmon.requests import ContainerRequest
from conmon.stdio import make_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that ``runtime delete --force`` may take in an undo.
UNDO_LIMIT = 10.0


class Creation:
    """``runtime create`` on its way. After success the monitor takes ``log``, ``stdin``, ``stdout``, ``stderr`` and
    ``master`` (descriptors, -1 for none)."""

    def __init__(
        self,
        reactor: Reactor,
        request: ContainerRequest,
        directory_fd: int,
        on_done: Callable[[int, str], None],
    ) -> None:
        self._reactor, self._request, self._on_done = reactor, request, on_done
        self.log: LogFile | None = None
        self.stdin = self.stdout = self.stderr = self.master = -1
        self._invocation = runtime.Invocation(reactor, request.directory, directory_fd, "create", request.terminal)
        self._deleting = 0
        self._error = ""

    def start(self) -> None:
        """Start the runtime. Raises ConmonError or OSError, and then nothing is left."""
        request = self._request
        theirs: list[int] = []
        try:
            if request.log_path:
                self.log = LogFile(request.log_path)
            theirs = self._stdio()
            argv = runtime.create_argv(request.runtime, request.bundle, request.create_flags, request.id)
            self._invocation.start(argv, "create", (theirs[0], theirs[1], theirs[2]), request.systemd_cgroup)
        except (ConmonError, OSError):
            self._clean()
            raise
        finally:
            for fd in theirs:
                os.close(fd)

    def child_ended(self, pid: int, status: int) -> bool:
        """The reactor's news of a child; true when it was this creation's."""
        if pid == self._invocation.pid:
            self._runtime_ended(status)
        elif pid == self._deleting:
            self._finish_undo()
        else:
            return False
        return True

    def abandon(self, why: str) -> None:
        """Nobody waits any more: stop the runtime and undo. ``on_done`` is told *why* in the end."""
        if not self._error:
            self._error = why
            if self._invocation.pid:
                process.kill_tree(os.getpid(), [])
            else:
                self._undo()

    def _stdio(self) -> list[int]:
        """Make our ends and return theirs, numbered above 2 since 0 to 2 are taken."""
        request = self._request
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if request.terminal:
            # The runtime's own stderr: its words when it cannot even open its log.
            self.stderr, stderr = make_pipe(-1, -1)
            return [null, os.dup(null), stderr]
        stdin = null
        if request.stdin:
            os.close(null)
            stdin, self.stdin = make_pipe(request.stdio_uid, request.stdio_gid)
        self.stdout, stdout = make_pipe(request.stdio_uid, request.stdio_gid)
        self.stderr, stderr = make_pipe(request.stdio_uid, request.stdio_gid)
        return [stdin, stdout, stderr]

    def _runtime_ended(self, status: int) -> None:
        said = b""
        if status:
            os.set_blocking(self.stderr, False)
            try:
                said = os.read(self.stderr, runtime.MAX_WORDS)
            except OSError:
                pass
        self._invocation.pid = 0
        try:
            pid = self._invocation.finish(status, said)
        except ConmonError as error:
            self._error = self._error or f"{self._request.runtime[0]} create: {error}"
            pid = 0
        self.master = self._invocation.master
        if self._error:
            self._undo()
            return
        if self._request.terminal:
            os.close(self.stderr)
            self.stderr = -1
        self._on_done(pid, "")

    def undo(self, why: str) -> None:
        """Take a created container away again; ``on_done`` is told *why* in the end."""
        self._error = why
        self._undo()

    def _undo(self) -> None:
        request = self._request
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            argv = [*request.runtime, *(["--systemd-cgroup"] if request.systemd_cgroup else [])]
            self._deleting = runtime.spawn([*argv, "delete", "--force", request.id], (null, null, null))
            self._reactor.call_later(UNDO_LIMIT, self._give_up)
        except ConmonError:
            self._finish_undo()
        finally:
            os.close(null)

    def _give_up(self) -> None:
        if self._deleting:
            process.send(self._deleting, signal.SIGKILL)

    def _finish_undo(self) -> None:
        self._deleting = 0
        process.kill_tree(os.getpid(), [])
        self._clean()
        self._on_done(0, self._error)

    def _clean(self) -> None:
        self._invocation.close()
        for fd in (self.stdin, self.stdout, self.stderr, self.master):
            if fd >= 0:
                os.close(fd)
        self.stdin = self.stdout = self.stderr = self.master = -1
        if self.log:
            if self.log.created and not os.stat(self.log.path).st_size:
                files.remove(self.log.path)
            self.log.close()
            self.log = None

