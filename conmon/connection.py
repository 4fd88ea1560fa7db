"""One asyncio connection to a zygote, monitor or session: requests matched with replies, events and stream data
passed on.

Uses add_reader and add_writer on a non-blocking socket only, so that it runs on uvloop as well as on asyncio's own
loops (transports do not carry SEQPACKET or descriptors). Knows packets, not what the requests mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any, Protocol

from conmon import protocol
from conmon.errors import ConmonError
from conmon.peer import receive_fds
from conmon.protocol import Message
from conmon.starter import connect

#: Seconds that the undo of a request may take: a creation's own limit and a little.
UNDO_LIMIT = 12.0


class ConnectionLost(ConmonError):
    """The other side went away before it answered: it was killed, or has ended."""


class Listener(Protocol):
    """What a connection tells its owner, each from the loop."""

    def event(self, message: Message) -> None:
        """An EVENT other than the hello."""

    def data(self, kind: int, data: bytes) -> None:
        """A STDOUT or STDERR packet."""

    def lost(self) -> None:
        """The connection, once greeted, has ended, on either side's wish; once, and the last call."""


class Connection:
    """Owns one socket. Create with ``open``; ``close`` when done."""

    def __init__(self, sock: socket.socket, listener: Listener) -> None:
        self._sock, self._listener = sock, listener
        self._loop = asyncio.get_running_loop()
        self._replies: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._seq = 0
        self._hello: asyncio.Future[Message] = self._loop.create_future()
        self._sending, self._ended = asyncio.Lock(), asyncio.Event()
        self._greeted, self._paused = False, False
        self.closed = False
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    async def open(cls, directory: str | Path, name: str, listener: Listener) -> Connection:
        """Connect to socket *name* in *directory* and wait for its hello. Raises ConnectionLost when nobody serves."""
        connection = cls(await _connect(directory, name), listener)
        try:
            await connection._hello
        except BaseException:
            connection.close()
            raise
        return connection

    async def request(
        self, op: str, fields: Message | None = None, fds: tuple[int, ...] = (), kind: int = protocol.REQUEST
    ) -> tuple[Message, list[int]]:
        """The reply to *op* and the descriptors that came with it, which are the caller's.

        Raises ConmonError with the other side's words, ConnectionLost when it goes away.
        """
        self._seq += 1
        seq = self._seq
        reply: asyncio.Future[tuple[Message, list[int]]] = self._loop.create_future()
        self._replies[seq] = reply
        try:
            await self.send(protocol.encode_message(kind, {**(fields or {}), "op": op, "seq": seq}), fds)
            message, received = await reply
        except BaseException:
            if reply.done() and not reply.cancelled() and not reply.exception():
                _close_all(reply.result()[1])
            raise
        finally:
            self._replies.pop(seq, None)
        if "error" in message:
            _close_all(received)
            raise ConmonError(str(message["error"]))
        return message, received

    def post(self, op: str) -> None:
        """Send *op* without waiting for its reply; for small requests on an idle connection. Never raises OSError."""
        with contextlib.suppress(OSError):
            self._sock.send(protocol.encode_message(protocol.REQUEST, {"op": op, "seq": 0}))

    async def send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send one packet, waiting for room. Raises ConnectionLost."""
        async with self._sending:
            while True:
                if self.closed:
                    raise ConnectionLost("the connection is closed")
                try:
                    socket.send_fds(self._sock, [packet], fds) if fds else self._sock.send(packet)
                    return
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    raise ConnectionLost(f"the other side went away: {error.strerror}") from None

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await self._ended.wait()

    async def abandon(self) -> None:
        """Say that this client has given up, and close when the other side has undone what it did (or has not in
        UNDO_LIMIT)."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(UNDO_LIMIT):
                await self.wait_closed()
        except TimeoutError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket; waiting requests get ConnectionLost. Fine to call twice."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._ended.set()
        lost = ConnectionLost("the other side went away before it answered")
        _fail(self._hello, lost)
        for reply in self._replies.values():
            _fail(reply, lost)
        if self._greeted:
            self._listener.lost()

    def pause(self, paused: bool) -> None:
        """Read no further packets, so that the other side's queue fills, or read on."""
        if paused != self._paused and not self.closed:
            self._paused = paused
            if paused:
                self._loop.remove_reader(self._sock.fileno())
            else:
                self._loop.add_reader(self._sock.fileno(), self._readable)

    async def _writable(self) -> None:
        ready = asyncio.Event()
        fd = self._sock.fileno()
        self._loop.add_writer(fd, ready.set)
        try:
            await ready.wait()
        finally:
            if not self.closed:
                self._loop.remove_writer(fd)

    def _readable(self) -> None:
        try:
            packet, fds = receive_fds(self._sock, protocol.MAX_PACKET + 1)
        except BlockingIOError:
            return
        except OSError:
            packet, fds = b"", []
        if not packet:
            self.close()
            return
        try:
            kind, payload = protocol.decode(packet)
            if kind in (protocol.REPLY, protocol.EVENT):
                fds = self._message(kind, protocol.decode_message(payload), fds)
            elif kind in (protocol.STDOUT, protocol.STDERR):
                self._listener.data(kind, payload)
        except protocol.ProtocolError:
            self.close()
        finally:
            _close_all(fds)

    def _message(self, kind: int, message: Message, fds: list[int]) -> list[int]:
        """Hand a message over; returns the descriptors that nobody took."""
        if kind == protocol.EVENT:
            if message.get("event") != "hello":
                self._listener.event(message)
            elif not self._hello.done():
                self._greeted = True
                self._hello.set_result(message)
            return fds
        seq = message.get("seq")
        # seq 0 is an answer to nobody in particular: a fork that failed before it knew whom it served.
        waiting = list(self._replies.values()) if seq == 0 and "error" in message else []
        if isinstance(seq, int) and seq in self._replies:
            waiting = [self._replies[seq]]
        for reply in waiting:
            if not reply.done():
                reply.set_result((message, fds))
                return []
        return fds


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen: nobody may wait for it any more


async def _connect(directory: str | Path, name: str) -> socket.socket:
    while True:
        try:
            return connect(directory, name)
        except BlockingIOError:
            await asyncio.sleep(0.005)  # its backlog is full
        except OSError as error:
            raise ConnectionLost(f"nobody serves {directory}/{name}: {error.strerror}") from None


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
