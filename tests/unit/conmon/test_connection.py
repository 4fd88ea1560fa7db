"""The client's connection, against a server that is written down packet by packet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conmon import peer, protocol
from conmon.connection import Connection, ConnectionLost
from conmon.errors import ConmonError
from conmon.protocol import Message


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def event(self, message: Message) -> None:
        self.told.append(message)

    def data(self, kind: int, data: bytes) -> None:
        self.told.append((kind, data))

    def lost(self) -> None:
        self.told.append("lost")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Connection, socket.socket, Listener]]:
    """A greeted connection, the server's socket, and what the listener was told."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(str(tmp_path / "s"))
    listening.listen(1)
    listener = Listener()
    opening = asyncio.get_running_loop().create_task(Connection.open(tmp_path, "s", listener))
    await asyncio.sleep(0)
    server, _ = await asyncio.to_thread(listening.accept)
    server.send(protocol.hello("test"))
    connection = await opening
    yield connection, server, listener
    connection.close()
    server.close()
    listening.close()


def reply(server: socket.socket, **fields: object) -> None:
    """Send a REPLY."""
    server.send(protocol.encode_message(protocol.REPLY, fields))


async def asked(server: socket.socket) -> Message:
    """The next request."""
    kind, payload = protocol.decode(await asyncio.to_thread(server.recv, protocol.MAX_PACKET))
    assert kind == protocol.REQUEST
    return protocol.decode_message(payload)


async def test_replies_find_their_requests(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    one = asyncio.get_running_loop().create_task(connection.request("a"))
    two = asyncio.get_running_loop().create_task(connection.request("b", {"x": 1}))
    first, second = await asked(server), await asked(server)
    assert (first["op"], second["op"], second["x"]) == ("a", "b", 1)
    reply(server, seq=second["seq"], n=2)
    reply(server, seq=99, n=0)
    reply(server, seq=first["seq"], n=1)
    assert ((await one)[0]["n"], (await two)[0]["n"]) == (1, 2)


async def test_error_is_raised_in_the_other_sides_words(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    waiting = asyncio.get_running_loop().create_task(connection.request("a"))
    reply(server, seq=(await asked(server))["seq"], error="no such thing")
    with pytest.raises(ConmonError, match="no such thing"):
        await waiting


async def test_descriptors_are_the_callers_or_closed(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    waiting = asyncio.get_running_loop().create_task(connection.request("a"))
    packet = protocol.encode_message(protocol.REPLY, {"seq": (await asked(server))["seq"]})
    with open("/dev/null") as null:
        peer.send_fds(server.fileno(), packet, [null.fileno()])
        _, fds = await waiting
        before = len(os.listdir("/proc/self/fd"))
        peer.send_fds(server.fileno(), packet, [null.fileno()])  # an answer to nobody
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) == before
    os.close(fds[0])


async def test_events_and_data_go_to_the_listener(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, listener = pair
    server.send(protocol.encode_message(protocol.EVENT, {"event": "new"}))
    server.send(protocol.encode(protocol.STDOUT, b"x"))
    server.send(protocol.encode(200, b"from the future"))
    server.close()
    await connection.wait_closed()
    assert listener.told == [{"event": "new"}, (protocol.STDOUT, b"x"), "lost"]


async def test_end_fails_what_waits(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    waiting = asyncio.get_running_loop().create_task(connection.request("a"))
    await asked(server)
    server.close()
    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await connection.request("b")


async def test_send_waits_for_room(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    packet = protocol.encode(protocol.STDIN, bytes(60000))

    async def fill() -> None:
        for _ in range(20):
            await connection.send(packet)

    filling = asyncio.get_running_loop().create_task(fill())
    await asyncio.sleep(0.05)
    assert not filling.done()
    for _ in range(20):
        assert await asyncio.to_thread(server.recv, protocol.MAX_PACKET) == packet
    await filling


async def test_a_cancelled_request_does_not_disturb_the_next(pair: tuple[Connection, socket.socket, Listener]) -> None:
    connection, server, _ = pair
    gone = asyncio.get_running_loop().create_task(connection.request("a"))
    seq = (await asked(server))["seq"]
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    reply(server, seq=seq, late=True)
    following = asyncio.get_running_loop().create_task(connection.request("b"))
    reply(server, seq=(await asked(server))["seq"], n=2)
    assert (await following)[0]["n"] == 2


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost, match="nobody serves"):
        await Connection.open(tmp_path, "none", Listener())
