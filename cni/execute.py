"""Running one program to its end: the package's only place that starts processes.

`Exec` is the port, so that a daemon with a spawner of its own can pass that instead; `run` is the default. This module
knows nothing of CNI, only: fixed environment, input from bytes, bounded output, a deadline, and no process left when it
returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from .aio import to_the_end

OUTPUT_LIMIT = 1 << 20
"""Bytes kept of each output stream. More is read and dropped, so that the program does not block on a full pipe."""

LINGER = 1.0
"""Seconds that output is awaited after the program's exit: a child it left behind may hold the pipe open for ever."""


KILL_GRACE = 5.0
"""Seconds that the end is awaited after SIGKILL: one in uninterruptible sleep must not hang its caller."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended.

    `returncode` is its exit status, or a signal's number as a negative one; `truncated` tells that output was dropped,
    `timed_out` that the deadline passed and the program was killed.
    """

    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    timed_out: bool = False


class Exec(Protocol):
    """Runs a program: `argv[0]` is its absolute path, `env` its whole environment, `timeout` in seconds.

    At the deadline, and when the awaiting task is cancelled, the program's whole process group is killed and reaped
    before the call ends; a child that made a session of its own is out of reach. Raises OSError when the program cannot
    be started.
    """

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: bytes,
        timeout: float,
    ) -> Completed:
        """Run the program to its end and tell how it ended."""
        ...


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes,
    timeout: float,
) -> Completed:
    """Run a program in a session of its own, working directory "/". The default `Exec`; see there.

    Not `asyncio.create_subprocess_exec`: on Python 3.11 its wait() also waits for the end of output, which a daemon
    left behind never gives, and its reaping races with killing the group.
    """
    with _Output() as out, _Output() as err:
        child = _Child(argv, env, stdin, out.writer, err.writer)
        out.start()
        err.start()
        finished = False
        try:
            done, _ = await asyncio.wait({child.exited}, timeout=timeout)
            if done:
                await asyncio.wait({out.ended, err.ended}, timeout=LINGER)
            finished = bool(done)
        finally:
            if not finished:
                child.kill()
            await to_the_end(child.reap())
        return Completed(child.returncode, out.content, err.content, out.truncated or err.truncated, not finished)


class _Output:
    """The reading end of a pipe that the loop empties; keeps the first OUTPUT_LIMIT bytes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        self._kept = bytearray()
        self.truncated = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_writer()
        if not self.ended.done():
            self._loop.remove_reader(self._reader)
            self.ended.cancel()
        os.close(self._reader)

    def start(self) -> None:
        """Begin to read; the writing end is the child's alone from now on."""
        self._close_writer()
        self._loop.add_reader(self._reader, self._readable)

    @property
    def content(self) -> bytes:
        return bytes(self._kept)

    def _close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._reader)
            self.ended.set_result(None)
        room = OUTPUT_LIMIT - len(self._kept)
        self._kept += data[:room]
        self.truncated |= len(data) > room


class _Child:
    """The one owner of a started program: nobody else waits for it, so its pid stays its own until then."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], stdin: bytes, out: int, err: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = self._loop.create_future()
        source = _memory_file(stdin)
        try:
            self._process = subprocess.Popen(
                argv, env=env, cwd="/", stdin=source, stdout=out, stderr=err, start_new_session=True
            )
        finally:
            os.close(source)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self.kill()
            self._process.wait()
            raise
        self._loop.add_reader(self._pidfd, self._on_exit)

    @property
    def returncode(self) -> int:
        """Exit status, negative for a signal's number."""
        return -signal.SIGKILL if self._process.returncode is None else self._process.returncode

    def kill(self) -> None:
        """Kill the program's process group; only before `reap`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def reap(self) -> None:
        """Wait for the end and collect the exit status; what even SIGKILL cannot end is collected when it ends."""
        await asyncio.wait({self.exited}, timeout=KILL_GRACE)
        if self.exited.done():
            self._process.wait()
        else:
            self.exited.add_done_callback(lambda _: self._process.wait())

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exited.set_result(None)


def _memory_file(data: bytes) -> int:
    """Return a descriptor that reads `data`: unlike a pipe it needs nobody to feed it, and cannot break."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
