"""Streams of containers and pods (port `Streams`): execs through the zygote, attach through the monitor, TCP by setns.

An exec's pipes, or its terminal's master, come straight here: no other process touches its data.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

from conmon import protocol
from conmon.client import Attach, ConmonError, ConnectionLost, ExecSession, Monitor
from criserver.drivers.monitors import exits
from criserver.drivers.monitors.exec_place import Place, Places, Request
from criserver.errors import FailedPrecondition, RuntimeFailed, Unavailable
from criserver.kernel import sockets, terminal
from criserver.kernel.offload import Pool, offload
from criserver.kernel.pipes import stdio_pipe
from criserver.ports.streams import Stdio, Wanted

_PIPE_SIZE = 256 << 10  # bytes: fewer wake-ups than with the kernel's 64 KiB
# Seconds that a hangup has to take effect (conmon/session.py kills after half of that).
_HANGUP = 1.0
# How often what does not die is killed again, and seconds in between.
_ROUNDS = 20
_AGAIN = 0.1
_CONNECT_TIMEOUT = 30.0
_LOOPBACK = ("127.0.0.1", "::1")

# Threads that wait for throw-away threads; apart from `offload`, so that a burst of connections holds nothing else up.
_connecting = Pool("connect", 4)


class ContainerStreams:
    """Streams of the containers of one server."""

    def __init__(self, state: str, places: Places) -> None:
        """`state` is the server's state directory, `places` the monitors' own."""
        self._state, self._places = state, places

    async def exec(
        self, container_id: str, command: tuple[str, ...], process: str, wanted: Wanted
    ) -> tuple[ExecProcess, Stdio]:
        """Start the OCI process document `process` (JSON) under runtime prefix `command`, with the streams wanted.

        RuntimeFailed carries the runtime's words; nothing is left then.
        """
        bundle = self._bundle(container_id)
        cgroup = await offload(exits.container_cgroup, bundle)
        place = await self._places.choose(Request(container_id, f"{bundle}/monitor", cgroup, command, process))
        try:
            await place.make()
            session, stdio = await self._start(place, wanted)
        except BaseException as error:
            await place.kill()
            await place.remove()
            if isinstance(error, ConmonError):
                raise RuntimeFailed(f"exec in container {container_id}: {error}") from error
            raise
        return ExecProcess(place, session), stdio

    async def attach(self, container_id: str, wanted: Wanted) -> ContainerAttachment:
        """Attach to a running container. FailedPrecondition when it has ended or lost its monitor."""
        monitor = Monitor(f"{self._bundle(container_id)}/monitor")
        try:
            attached = await monitor.attach(stdin=wanted.stdin, stdout=wanted.stdout, stderr=wanted.stderr)
        except ConmonError as error:
            raise FailedPrecondition(f"cannot attach to container {container_id}: {error}") from error
        return ContainerAttachment(monitor, attached)

    async def connect(self, netns: str, port: int) -> int:
        """A connected TCP socket to `port` on loopback, IPv4 before IPv6, in the network namespace at path `netns`.

        "" is the node's own. Unavailable says what each address answered.
        """
        answers = []
        for address in _LOOPBACK:
            try:
                return await _connect(netns, address, port)
            except OSError as error:
                said = f"no answer within {_CONNECT_TIMEOUT:g} s" if isinstance(error, TimeoutError) else error.strerror
                answers.append(f"{address}: {said}")
        raise Unavailable(f"cannot connect to port {port}: {'; '.join(answers)}")

    async def _start(self, place: Place, wanted: Wanted) -> tuple[ExecSession, Stdio]:
        if wanted.tty:
            session = await self._places.zygote.exec(place.spec(terminal=True))
            return session, _of_terminal(session, wanted)
        ours, theirs = _pipes(wanted)
        try:
            return await self._places.zygote.exec(place.spec(), (theirs.stdin, theirs.stdout, theirs.stderr)), ours
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)

    def _bundle(self, container_id: str) -> str:
        return f"{self._state}/containers/{container_id}"


class ExecProcess:
    """A process that an exec started, with its place."""

    def __init__(self, place: Place, session: ExecSession) -> None:
        self._place, self._session = place, session
        self._ended = False

    async def wait(self) -> int:
        """Its exit code, 128+signal after a signal. Unavailable when its session was killed."""
        try:
            code = await self._session.wait()
        except ConnectionLost as error:
            raise Unavailable(f"exec in container {self._place.request.container_id}: {error}") from error
        self._ended = True
        return code

    def resize(self, columns: int, rows: int) -> None:
        """Give its terminal this size; without one, or after its end, nothing happens."""
        if self._session.master_fd >= 0:
            with contextlib.suppress(OSError):
                terminal.resize(self._session.master_fd, columns, rows)

    async def end(self) -> None:
        """Give it up: what still runs of it is hung up on, then killed, and nothing of it is left. Idempotent."""
        hangup = self._session.master_fd >= 0
        self._session.close()
        if not self._ended:
            if hangup:
                await asyncio.sleep(_HANGUP)
            await _killed(self._place)
        await self._place.remove()


class ContainerAttachment:
    """A client's connection to the streams of a container's own process."""

    def __init__(self, monitor: Monitor, attached: Attach) -> None:
        self._monitor, self._attached = monitor, attached

    async def read(self) -> tuple[bool, bytes] | None:
        """The next output: whether it is stderr, and its bytes; None at the end, or when this reader was too slow."""
        item = await self._attached.read()
        return None if item is None else (item[0] == protocol.STDERR, item[1])

    async def write(self, data: bytes) -> None:
        """Feed the container's stdin; waits while it does not read. Unavailable when the container is gone."""
        with _telling_loss():
            await self._attached.write(data)

    async def write_eof(self) -> None:
        """No more stdin from here: it ends if the container asked for stdin once. Unavailable as for `write`."""
        with _telling_loss():
            await self._attached.write_eof()

    async def resize(self, columns: int, rows: int) -> None:
        """Give the container's terminal this size; without one, or after its end, nothing happens."""
        with contextlib.suppress(ConmonError):
            await self._monitor.resize(columns, rows)

    def close(self) -> None:
        """Let go of the container."""
        self._attached.close()
        self._monitor.close()


@contextlib.contextmanager
def _telling_loss() -> Iterator[None]:
    try:
        yield
    except ConnectionLost as error:
        raise Unavailable(f"the container's stdin is gone: {error}") from error


def _pipes(wanted: Wanted) -> tuple[Stdio, Stdio]:
    """Our ends, and the process's, which has /dev/null for what nobody wants."""
    ours, theirs = [], []
    for there, writes in ((wanted.stdin, False), (wanted.stdout, True), (wanted.stderr, True)):
        mine, its = stdio_pipe(writes=writes, size=_PIPE_SIZE) if there else (-1, _null())
        ours.append(mine)
        theirs.append(its)
    return Stdio(*ours), Stdio(*theirs)


def _of_terminal(session: ExecSession, wanted: Wanted) -> Stdio:
    """One descriptor for each direction; the session keeps its own for sizes, and for hanging up by closing it."""
    os.set_blocking(session.master_fd, False)
    return Stdio(os.dup(session.master_fd) if wanted.stdin else -1, os.dup(session.master_fd))


def _null() -> int:
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)


def _close(stdio: Stdio) -> None:
    for fd in (stdio.stdin, stdio.stdout, stdio.stderr):
        if fd >= 0:
            os.close(fd)


async def _killed(place: Place) -> None:
    """Kill what is in the place until its cgroup is empty, since the runtime may still be on its way into it."""
    for _ in range(_ROUNDS):
        if not await place.kill():
            return
        await asyncio.sleep(_AGAIN)


async def _connect(netns: str, address: str, port: int) -> int:
    held: list[socket.socket] = []  # Not a result: a caller that is cancelled would never get it, nor close it.
    try:
        await _connecting(lambda: held.append(sockets.begin_connect(netns, address, port)))
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await sockets.connected(held[0])
        return held.pop().detach()
    finally:
        for abandoned in held:
            abandoned.close()
