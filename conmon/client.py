"""The daemon's side: ask the zygote for containers, execs and pod inits, and speak with monitors. asyncio, uvloop too.

Everything is cancel-safe: a cancelled ``create_container``, ``exec`` or ``pod_init`` gives its connection up, and the
other side undoes what it did; ``create_container`` and ``exec`` end when it has. ``keep`` is what makes a created
container independent of the connection it was asked on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from conmon import protocol, zygote
from conmon.connection import Connection, ConnectionLost
from conmon.errors import ConmonError
from conmon.protocol import Message
from conmon.records import (
    ContainerSpec,
    ExecSpec,
    PodInitSpec,
    StateRecord,
    UserNamespaceSpec,
    state_record,
    to_message,
)
from conmon.remote import Attach, ExecSession, Monitor, MonitorLost
from conmon.requests import number
from conmon.starter import ensure_zygote

__all__ = [
    "Attach",
    "ConmonError",
    "ConnectionLost",
    "ContainerSpec",
    "ExecSession",
    "ExecSpec",
    "Monitor",
    "MonitorLost",
    "PodInitSpec",
    "StateRecord",
    "UserNamespaceSpec",
    "Zygote",
    "ensure_zygote",
]


class _Ignore:
    """A listener for connections that only carry requests."""

    def event(self, message: Message) -> None:
        pass

    def data(self, kind: int, data: bytes) -> None:
        pass

    def lost(self) -> None:
        pass


#: Opens the cgroups that a new zygote is to live in, as files that take a pid, for as long as it takes it to get there.
Home = Callable[[], AbstractAsyncContextManager[Sequence[str]]]


@asynccontextmanager
async def nowhere() -> AsyncIterator[Sequence[str]]:
    """The ``Home`` of a zygote that stays where its starter is."""
    yield ()


class Zygote:
    """The zygote of one directory, replaced when it has died."""

    def __init__(self, directory: str | Path, *, python: str = sys.executable, home: Home = nowhere) -> None:
        """As ``ensure_zygote``; nothing is started yet."""
        self._directory = Path(directory)
        self._python, self._home = python, home

    async def ensure(self) -> int:
        """The zygote's pid, started when there is none; off the loop, since a start takes a few dozen ms."""
        async with self._home() as procs:
            return await asyncio.to_thread(ensure_zygote, self._directory, python=self._python, cgroup_procs=procs)

    async def create_container(self, spec: ContainerSpec) -> tuple[StateRecord, Monitor]:
        """Create a container (runtime ``create``; starting it is the caller's) and connect to its monitor.

        Raises ConmonError with the runtime's own words; nothing is left then.
        """
        connection = await self._connect(_Ignore(), zygote.CONTAINERS)
        try:
            reply, _ = await connection.request("", to_message(spec), kind=protocol.CONTAINER)
            state = state_record(reply)
            # From the reply on nothing can be cancelled in between: no await before the container is ours.
            connection.post("keep")
        except asyncio.CancelledError:
            await connection.abandon()
            raise
        finally:
            connection.close()
        return state, Monitor(spec.directory, spec.exit_path)

    async def exec(self, spec: ExecSpec, stdio: tuple[int, int, int] | None = None) -> ExecSession:
        """Run one more process; *stdio* are its descriptors (None with a terminal), still the caller's to close.

        Raises ConmonError with the runtime's own words.
        """
        session = ExecSession()
        connection = await self._connect(session)
        try:
            reply, fds = await connection.request("exec", to_message(spec), stdio or ())
        except asyncio.CancelledError:
            await connection.abandon()
            raise
        except BaseException:
            connection.close()
            raise
        session.adopt(connection, reply, fds)
        return session

    async def pod_init(self, spec: PodInitSpec) -> tuple[int, int]:
        """Pid and start time of a new, hardened PID 1 of a new PID namespace. Raises ConmonError."""
        connection = await self._connect(_Ignore())
        try:
            reply, _ = await connection.request("podinit", to_message(spec))
            connection.post("keep")
            return number(reply, "pid", 0), number(reply, "pid_start", 0)
        finally:
            connection.close()

    async def user_namespace(self, spec: UserNamespaceSpec) -> tuple[list[int], list[str]]:
        """Descriptors, the caller's to close, of a new user namespace and of each of ``spec.kinds``; and the sysctls
        that only the host's root may write. Raises ConmonError."""
        connection = await self._connect(_Ignore())
        try:
            reply, fds = await connection.request("userns", to_message(spec))
            left = reply.get("left")
            return fds, [str(entry) for entry in left] if isinstance(left, list) else []
        finally:
            connection.close()

    async def ping(self) -> Message:
        """``pid``, ``major`` and ``minor`` of the zygote."""
        return await self._ask("ping")

    async def children(self) -> list[dict[str, object]]:
        """What is at work for containers, also for earlier zygotes of the directory: ``pid``, ``kind`` and ``id`` of
        each monitor and of each creation (or its undo) that is on its way."""
        children = (await self._ask("list")).get("children")
        return children if isinstance(children, list) else []

    async def quit(self) -> None:
        """End the zygote alone; monitors live on."""
        connection = await Connection.open(self._directory, zygote.SOCKET, _Ignore())
        try:
            connection.post("quit")
            await connection.wait_closed()
        finally:
            connection.close()

    async def _ask(self, op: str) -> Message:
        connection = await self._connect(_Ignore())
        try:
            return (await connection.request(op))[0]
        finally:
            connection.close()

    async def _connect(self, listener: ExecSession | _Ignore, name: str = zygote.SOCKET) -> Connection:
        """A connection that has said hello; a dead zygote is replaced once."""
        try:
            return await Connection.open(self._directory, name, listener)
        except ConnectionLost:
            await self.ensure()
            return await Connection.open(self._directory, name, listener)
