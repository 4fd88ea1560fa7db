"""What a client holds: a container's monitor, an attached stream, a running exec. Made by ``client.Zygote`` or, for a
daemon that recovers, from a container's directory alone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from conmon import exitrecord, protocol
from conmon.connection import Connection, ConnectionLost
from conmon.errors import ConmonError
from conmon.protocol import Message
from conmon.records import ExitRecord, StateRecord, exit_record, read_exit, read_state
from conmon.requests import number


class MonitorLost(ConmonError):
    """A monitor is gone and no exit record exists: it was killed. Its container may still run; if its zygote lives,
    that writes the record (``monitor: lost``) when the container ends."""


class _Exit:
    """The listener of a Monitor's connection: the one future of its container's exit."""

    def __init__(self, directory: Path, exit_path: Path) -> None:
        self._directory, self._exit_path = directory, exit_path
        self.future: asyncio.Future[ExitRecord] | None = None

    def event(self, message: Message) -> None:
        """The container has ended."""
        if message.get("event") == "exit" and self.future and not self.future.done():
            self.future.set_result(exit_record(message))

    def data(self, kind: int, data: bytes) -> None:
        """Never called, since this connection does not attach."""

    def lost(self) -> None:
        """The connection's end; without an exit record the monitor was killed."""
        if self.future and not self.future.done():
            ended = read_exit(self._exit_path)
            if ended:
                self.future.set_result(ended)
            else:
                self.future.set_exception(_lost(self._directory))
                self.future.exception()  # seen: nobody may wait for it


def _lost(directory: Path) -> MonitorLost:
    return MonitorLost(f"the monitor of {directory} is gone and has left no exit record")


class Monitor:
    """One container's monitor, by its directory; the exit record on disk is the truth, and is told when it is there."""

    def __init__(self, directory: str | Path, exit_path: str | Path = "") -> None:
        """*exit_path* as in the ContainerSpec. Connects nowhere yet."""
        self._directory = Path(directory)
        self._exit_path = Path(exit_path) if exit_path else self._directory / "exit.json"
        self._connection: Connection | None = None
        self._exit = _Exit(self._directory, self._exit_path)

    async def connect(self) -> None:
        """Connect unless connected. Raises MonitorLost when neither monitor nor exit record is there."""
        if self._connection and not self._connection.closed:
            return
        try:
            self._connection = await Connection.open(self._directory, exitrecord.SOCKET, self._exit)
        except ConnectionLost:
            if not self._exit_path.exists():
                raise _lost(self._directory) from None

    async def state(self) -> tuple[StateRecord, ExitRecord | None]:
        """Who runs the container, and how it ended if it has. Raises MonitorLost.

        From the records on disk: a monitor that is asked would have to wake up for it (see ``doze``).
        """
        await self.connect()
        state, ended = read_state(self._directory), read_exit(self._exit_path)
        if state is None:
            raise MonitorLost(f"there is no state record in {self._directory}")
        return state, ended

    async def subscribe(self) -> asyncio.Future[ExitRecord]:
        """A future of the exit record; it gets MonitorLost when the monitor is killed before. Do not cancel: shared."""
        if self._exit.future is None or self._exit.future.done():
            future = self._exit.future = asyncio.get_running_loop().create_future()
            try:
                await self.connect()
            except BaseException:
                self._exit.future = None
                raise
            # Written before it is told: what was told before this connection was made is on disk by now.
            if not future.done() and (ended := read_exit(self._exit_path)):
                future.set_result(ended)
        return self._exit.future

    async def wait(self) -> ExitRecord:
        """The exit record, as soon as there is one. Raises MonitorLost."""
        return await asyncio.shield(await self.subscribe())

    async def reopen(self) -> None:
        """ReopenContainerLog: the new file is open when this returns. Raises ConmonError, also for a container that has
        ended."""
        await self._running("reopen")

    async def resize(self, columns: int, rows: int) -> None:
        """Resize the terminal; each side is clamped to 1…65535. Raises ConmonError when there is none."""
        await self._running("resize", {"columns": columns, "rows": rows})

    async def close_stdin(self) -> None:
        """End the container's stdin."""
        await self._running("close_stdin")

    async def ping(self) -> Message:
        """``pid``, ``major`` and ``minor`` of the monitor."""
        return await self._running("ping")

    async def attach(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> Attach:
        """A stream of the container's output from now on, on a connection of its own. Raises ConmonError."""
        stream = Attach()
        try:
            connection = await Connection.open(self._directory, exitrecord.SOCKET, stream)
        except ConnectionLost:
            raise ConmonError(f"the container in {self._directory} has ended or lost its monitor") from None
        try:
            reply, _ = await connection.request("attach", {"stdin": stdin, "stdout": stdout, "stderr": stderr})
        except BaseException:
            connection.close()
            raise
        stream.adopt(connection, bool(reply.get("terminal")))
        return stream

    def close(self) -> None:
        """Close the connection; the container does not notice."""
        connection, self._connection = self._connection, None
        if connection:
            if self._exit.future:
                self._exit.future.cancel()
            connection.close()

    async def _running(self, op: str, fields: Message | None = None) -> Message:
        try:
            await self.connect()
            if self._connection and not self._connection.closed:
                return (await self._connection.request(op, fields))[0]
        except ConnectionLost:
            if not self._exit_path.exists():
                raise _lost(self._directory) from None
        raise ConmonError(f"the container in {self._directory} has ended")


class Attach:
    """An attached stream. Output waits in bounded queues: a caller that does not read is dropped in the end."""

    #: Packets that wait here before the socket is left to fill.
    LIMIT = 64

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.terminal = False
        #: At the end: the container has ended. Else this client was dropped (too slow, by 8 MiB) or the monitor killed.
        self.complete = False

    def adopt(self, connection: Connection, terminal: bool) -> None:
        """Use a connection that the monitor has attached."""
        self._connection, self.terminal = connection, terminal

    async def read(self) -> tuple[int, bytes] | None:
        """The next output: protocol.STDOUT or STDERR and its bytes; None at the end."""
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)
        elif self._connection and self._queue.qsize() < self.LIMIT:
            self._connection.pause(False)
        return item

    async def write(self, data: bytes) -> None:
        """Feed the container's stdin; waits while the container does not read. Raises ConnectionLost."""
        assert self._connection
        for packet in protocol.stream_packets(protocol.STDIN, data):
            await self._connection.send(packet)

    async def write_eof(self) -> None:
        """No more stdin from here; output goes on. Ends the container's stdin if that is ``stdin_once``."""
        assert self._connection
        await self._connection.send(protocol.encode(protocol.STDIN_EOF))

    def close(self) -> None:
        """Detach."""
        if self._connection:
            self._connection.close()

    def event(self, message: Message) -> None:
        """For the connection: the exit."""
        self.complete = self.complete or message.get("event") == "exit"

    def data(self, kind: int, data: bytes) -> None:
        """For the connection: output."""
        self._queue.put_nowait((kind, data))
        if self._connection and self._queue.qsize() >= self.LIMIT:
            self._connection.pause(True)

    def lost(self) -> None:
        """For the connection: its end."""
        self._queue.put_nowait(None)


class ExecSession:
    """A process that ``client.Zygote.exec`` started. Closing it kills the process and all below it."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.pid = 0
        #: Clock ticks since boot; with the pid it names one process.
        self.pid_start = 0
        #: The terminal's master, owned by this object until ``take_master``; -1 for none.
        self.master_fd = -1

    def adopt(self, connection: Connection, reply: Message, fds: list[int]) -> None:
        """Use the connection whose request was answered by *reply* and *fds*."""
        self._connection = connection
        self.pid, self.pid_start = number(reply, "pid", 0), number(reply, "pid_start", 0)
        self.master_fd = fds.pop(0) if fds else -1
        for fd in fds:
            os.close(fd)

    def take_master(self) -> int:
        """The master descriptor, the caller's from now on."""
        fd, self.master_fd = self.master_fd, -1
        return fd

    async def wait(self) -> int:
        """The exit code, 128 + signal for a killed process. Raises ConnectionLost when the session was killed."""
        return await asyncio.shield(self._exit)

    async def kill(self) -> None:
        """SIGKILL the process and all below it; ``wait`` then tells its exit. Fine when it has ended."""
        if self._connection and not self._exit.done():
            try:
                await self._connection.request("kill")
            except ConnectionLost:
                pass

    def close(self) -> None:
        """Give the session up: what still runs is hung up on (terminal) and killed."""
        if self.master_fd >= 0:
            os.close(self.take_master())
        if self._connection:
            self._connection.close()

    def event(self, message: Message) -> None:
        """For the connection: the exit."""
        if message.get("event") == "exit" and not self._exit.done():
            self._exit.set_result(number(message, "exit_code", 255))

    def data(self, kind: int, data: bytes) -> None:
        """For the connection: never called, since a session carries no stream."""

    def lost(self) -> None:
        """For the connection: its end."""
        if not self._exit.done():
            self._exit.set_exception(ConnectionLost("the exec session went away before the process had ended"))
            self._exit.exception()  # seen: nobody may wait for it
