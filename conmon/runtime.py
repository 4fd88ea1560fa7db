"""One run of an OCI runtime (runc, crun): its argv, its own words when it fails, the pid and the terminal it hands
back.

Used for ``create`` by the monitor and for ``exec`` by the session. Never waits: the owner's reactor reports the child.
Files it needs live in the private directory under a prefix and are gone when ``finish`` returns.
"""

from __future__ import annotations

import _socket
import json
import os
import signal

from conmon import files
from conmon.errors import ConmonError
from conmon.peer import accept, listen, receive_fds
from conmon.reactor import IN, Reactor

#: All that a runtime sees of an environment; never NOTIFY_SOCKET, which would make runc wait for the container to use
#: it.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": "/run"}
#: Bytes of the runtime's own words that are passed on.
MAX_WORDS = 4096
#: sun_path without its NUL (unix(7)).
MAX_SOCKET_PATH = 107

_SIGNALS = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]


def create_argv(prefix: list[str], bundle: str, flags: list[str], container: str) -> list[str]:
    """``create`` up to, but without, what ``Invocation`` adds."""
    return [*prefix, "create", "--bundle", bundle, *flags, container]


def exec_argv(prefix: list[str], process: str, flags: list[str], container: str) -> list[str]:
    """``exec`` of a process.json."""
    return [*prefix, "exec", "--detach", "--process", process, *flags, container]


def with_options(argv: list[str], command: str, log: str, pid_file: str, console: str, systemd: bool) -> list[str]:
    """*argv* with the runtime's log before the sub-*command*, and pid file and console socket after it."""
    at = argv.index(command, 1)
    before = ["--log", log, "--log-format", "json", *(["--systemd-cgroup"] if systemd else [])]
    after = ["--pid-file", pid_file, *(["--console-socket", console] if console else [])]
    return [*argv[:at], *before, command, *after, *argv[at + 1 :]]


def words(log: bytes, stderr: bytes) -> str:
    """What the runtime said about its failure: the errors in its JSON log, else its standard error. Bounded."""
    said = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", "panic"):
            said.append(str(entry.get("msg", "")))
    text = "; ".join(said) or stderr.decode(errors="replace").strip()
    return text[:MAX_WORDS] or "no message"


def spawn(argv: list[str], stdio: tuple[int, int, int]) -> int:
    """Start *argv* with the fixed environment, default signals and *stdio* as 0 to 2. Raises ConmonError."""
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            ENVIRONMENT,
            # Numbers above 2 only (the callers see to it), so no dup2 overwrites one that is still needed.
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)],
            setsigmask=(),
            setsigdef=_SIGNALS,
        )
    except OSError as error:
        raise ConmonError(f"cannot start runtime {argv[0]}: {error.strerror}") from None


class Invocation:
    """A runtime command with ``--log``, ``--pid-file`` and, for a terminal, ``--console-socket``."""

    def __init__(self, reactor: Reactor, directory: str, directory_fd: int, prefix: str, terminal: bool) -> None:
        self._reactor = reactor
        self._base = f"{directory}/{prefix}"
        self._log, self._pid_file = f"{self._base}.log", f"{self._base}.pid"
        # Where runc writes it first, and leaves it when it is killed before it renames it.
        self._half_pid_file = f"{directory}/.{prefix}.pid"
        self._console_path, self.master = "", -1
        self._console: _socket.socket | None = None
        if terminal:
            self._console = listen(directory_fd, f"{prefix}.tty", _socket.SOCK_STREAM)
            self._console_path = f"{self._base}.tty"
            reactor.watch(self._console.fileno(), IN, self._accept)
        self._directory_fd = directory_fd
        self.pid = 0

    def start(self, argv: list[str], command: str, stdio: tuple[int, int, int], systemd: bool) -> None:
        """Spawn *argv*; its pid is then in ``pid``. Raises ConmonError."""
        console = self._console_path
        if len(console.encode()) > MAX_SOCKET_PATH:
            console = f"/proc/{os.getpid()}/fd/{self._directory_fd}/{os.path.basename(console)}"
        self.pid = spawn(with_options(argv, command, self._log, self._pid_file, console, systemd), stdio)

    def finish(self, status: int, stderr: bytes = b"") -> int:
        """After the runtime ended with wait *status*: the pid of the process it started; all temporary files go.

        Raises ConmonError with the runtime's own words, or naming what it did not deliver.
        """
        try:
            if self._console and self.master < 0:
                self._accept(0)
            if status:
                how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
                raise ConmonError(f"{words(self._said(), stderr)} ({how})")
            if self._console and self.master < 0:
                raise ConmonError("the runtime sent no terminal over its console socket")
            return int(files.read_bounded(self._pid_file, 32))
        except (OSError, ValueError) as error:
            raise ConmonError(f"the runtime wrote no usable pid file: {error}") from None
        finally:
            self.close()

    def close(self) -> None:
        """Remove the temporary files and the console socket; the master descriptor stays with whoever took it."""
        if self._console:
            self._reactor.forget(self._console.fileno())
            self._console.close()
            self._console = None
            files.remove(self._console_path)
        files.remove(self._log)
        files.remove(self._pid_file)
        files.remove(self._half_pid_file)

    def _said(self) -> bytes:
        try:
            return files.read_bounded(self._log)
        except OSError:
            return b""

    def _accept(self, _events: int) -> None:
        assert self._console is not None
        try:
            number = accept(self._console)
        except BlockingIOError:
            return
        connection = _socket.socket(fileno=number)
        try:
            connection.settimeout(1.0)
            fds = receive_fds(connection, 4096)[1]
        finally:
            connection.close()
        if self.master < 0 and fds:
            self.master = fds.pop(0)
        for fd in fds:
            os.close(fd)
