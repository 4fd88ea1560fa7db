"""The one spawner: every program that the server runs is started here.

A child gets its own session and process group, a fixed small environment, default signals, no descriptor that was
not asked for, and an end: when the time is up or the caller goes away, its whole process group is killed and it is
waited for. What it prints is kept up to a limit; the rest is read and dropped, so that it never blocks on a pipe.

Spawning runs in threads of its own. Measured on a busy 2-core host with grpcio loaded: subprocess.Popen holds the
interpreter lock from vfork to execve, 6 ms (median; p95 13 ms) in which no event loop runs; posix_spawn through
ctypes releases it, and the loop's p99 lag stays what it is without any spawning.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from criserver.errors import DeadlineExceeded, FailedPrecondition
from criserver.kernel import libc
from criserver.kernel.offload import Pool
from criserver.kernel.pipes import Sink

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Mapping[str, str] = {"PATH": PATH, "LANG": "C.UTF-8"}

# Debian packages by program, for the error that says what is missing.
_PACKAGES = {"skopeo": "skopeo", "runc": "runc", "crun": "crun", "nft": "nftables", "systemctl": "systemd"}

# After the child's exit, what is still in the pipes is read for this long (seconds): a background process that
# keeps a pipe open must not hold the answer.
_DRAIN = 0.1
# How long a killed child may take to be gone (seconds) before the caller goes on; it is reaped whenever it ends.
_DYING = 5.0

_spawner = Pool("spawn", 2)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended. `returncode` is negative for a signal; `truncated` says that output was dropped."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool

    @property
    def failure(self) -> str:
        """One line for an error: the command as a shell takes it, how it ended, its last words."""
        how = f"killed by signal {-self.returncode}" if self.returncode < 0 else f"exit status {self.returncode}"
        words = (self.stderr.strip() or self.stdout.strip())[-2000:].decode("utf-8", "replace")
        return f"{shlex.join(self.argv)}: {how}: {words or 'no output'}"


class Overdue(DeadlineExceeded):
    """A program that did not end in time; `said` is what it has written to stderr."""

    def __init__(self, message: str, said: bytes) -> None:
        super().__init__(message)
        self.said = said


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    limit: int = 1 << 20,
    cwd: str | None = None,
    pass_fds: Sequence[int] = (),
    dying: float = _DYING,
    ended: Callable[[], None] | None = None,
    procs: Sequence[str] = (),
) -> Completed:
    """Run a program to its end; any exit status is a result, for the caller to judge.

    `stdin` is all of its input, `env` adds to ENVIRONMENT, `timeout` is in seconds, `limit` in bytes for each of
    stdout and stderr, `pass_fds` keep their numbers. `dying` is how long (seconds) a killed one is waited for: it may
    hang in the kernel; `ended` is called once it is gone, which may be after this call. `procs` are cgroup.procs files
    of the cgroups that it is put into.

    FailedPrecondition when the program is missing or cannot be executed, Overdue when the time was up.
    """
    child = _Child(argv, limit, ended)
    try:
        await _spawner(child.spawn, stdin, {**ENVIRONMENT, **(env or {})}, cwd, pass_fds, procs)
        async with asyncio.timeout(timeout):
            return await child.completed()
    except TimeoutError:
        words = f"{shlex.join(argv)} did not end within {timeout:g} s and was killed"
        raise Overdue(words, child.said) from None
    finally:
        await child.close(dying)


def find_program(name: str) -> str:
    """The path of a program by name or path; FailedPrecondition names it and, where known, its Debian package."""
    path = shutil.which(name, path=PATH)
    if path is None:
        package = _PACKAGES.get(os.path.basename(name))
        hint = f"install it (Debian package {package})" if package else "install it"
        where = name if "/" in name else f"{name} (looked in {PATH})"
        raise FailedPrecondition(f"program {where} is not there or not executable: {hint}")
    return path


class _Child:
    """One running program: its pidfd and the reading ends of its pipes, closed by `close` and nobody else."""

    def __init__(self, argv: Sequence[str], limit: int, ended: Callable[[], None] | None) -> None:
        self._argv, self._ended = tuple(argv), ended
        self._out = Sink(limit)
        self._err = Sink(limit)
        self._pid = 0
        self._pidfd = -1
        self._exited: asyncio.Future[int] | None = None

    def spawn(
        self, stdin: bytes, env: Mapping[str, str], cwd: str | None, pass_fds: Sequence[int], procs: Sequence[str]
    ) -> None:
        """Start the program (blocks; in a thread)."""
        path = find_program(self._argv[0])
        theirs: list[int] = []
        try:
            theirs.append(_input(stdin))
            theirs.append(self._out.open())
            theirs.append(self._err.open())
            descriptors = [*zip(theirs, range(3), strict=True), *((fd, fd) for fd in pass_fds)]
            self._pid = libc.posix_spawn((path, *self._argv[1:]), env, descriptors, cwd)
            self._pidfd = os.pidfd_open(self._pid)
            _enter(self._pid, procs)
        except OSError as error:
            if self._pid:  # No descriptor left for the pidfd: the child must not stay behind unknown.
                os.killpg(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
            raise FailedPrecondition(f"cannot run {shlex.join(self._argv)}: {error}") from error
        finally:
            for fd in theirs:
                os.close(fd)

    @property
    def said(self) -> bytes:
        """What it has written to stderr by now."""
        return bytes(self._err.kept)

    async def completed(self) -> Completed:
        """Wait for the exit, then for the ends of the pipes as long as _DRAIN allows."""
        loop = asyncio.get_running_loop()
        ends = [self._out.attach(loop), self._err.attach(loop)]
        returncode = await asyncio.shield(self._watch(loop))
        await asyncio.wait(ends, timeout=_DRAIN)
        truncated = self._out.truncated or self._err.truncated
        return Completed(self._argv, returncode, bytes(self._out.kept), bytes(self._err.kept), truncated)

    async def close(self, dying: float) -> None:
        """Kill the process group unless the child has ended, wait `dying` seconds for it, and close everything."""
        self._out.close()
        self._err.close()
        if self._pidfd < 0:
            if self._ended:
                self._ended()
            return
        exited = self._watch(asyncio.get_running_loop())
        if not exited.done():
            os.killpg(self._pid, signal.SIGKILL)  # Not yet reaped, so the number is still this group's.
            await asyncio.wait([exited], timeout=dying)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[int]:
        """The future of the exit status. It reaps whenever the exit comes, even if nobody waits any more."""
        if self._exited is None:
            self._exited = loop.create_future()
            loop.add_reader(self._pidfd, self._reap, loop, self._exited)
        return self._exited

    def _reap(self, loop: asyncio.AbstractEventLoop, exited: asyncio.Future[int]) -> None:
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, status = os.waitpid(self._pid, 0)
        exited.set_result(os.waitstatus_to_exitcode(status))
        if self._ended:
            self._ended()


def _enter(pid: int, procs: Sequence[str]) -> None:
    """Put a process into cgroups. That one of both is gone is no reason not to have run it."""
    for path in procs:
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write(str(pid))


def _input(data: bytes) -> int:
    """A descriptor that reads as `data`: null, or a memory file, which needs no one to feed it."""
    if not data:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
