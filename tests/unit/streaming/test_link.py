from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from criserver.streaming import link as links
from criserver.streaming.link import Link


class Echo:
    """A speaker that remembers."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.got = bytearray()
        self.flow: list[bool] = []
        self.reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def received(self, data: bytes) -> None:
        self.got += data

    def writable(self, on: bool) -> None:
        self.flow.append(on)

    def lost(self, reason: str) -> None:
        self.reason.set_result(reason)


@contextlib.asynccontextmanager
async def linked(idle: float = 60) -> AsyncIterator[tuple[Echo, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A speaker on a real connection, and the client's end of it."""
    made: asyncio.Future[Echo] = asyncio.get_running_loop().create_future()

    def speaker(link: Link) -> Echo:
        made.set_result(Echo(link))
        return made.result()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Link(speaker, lambda _: None, idle), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(20):
            yield await made, reader, writer
    finally:
        writer.transport.abort()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


async def test_back_pressure_from_a_slow_client() -> None:
    async with linked() as (echo, reader, _):
        size = 0
        while not echo.flow:
            echo.link.write([bytes(1 << 20)])
            size += 1 << 20
            await asyncio.sleep(0)
        assert echo.link.congested
        await reader.readexactly(size)
        await echo.link.drained()
        assert echo.flow == [False, True]


async def test_hold_stops_reading() -> None:
    async with linked() as (echo, _, writer):
        echo.link.hold(True)
        writer.write(b"later")
        await asyncio.sleep(0.05)
        assert not echo.got
        echo.link.hold(False)
        while echo.got != b"later":
            await asyncio.sleep(0.01)


async def test_finish_writes_all_and_waits_for_the_client() -> None:
    async with linked() as (echo, reader, writer):
        writer.write(b"unread")
        echo.link.write([b"x" * 3_000_000])
        echo.link.finish()
        echo.link.write([b"too late"])
        assert await reader.read() == b"x" * 3_000_000
        writer.write(b"dropped")
        assert not echo.reason.done()
        writer.close()
        assert await echo.reason
        assert b"dropped" not in echo.got


async def test_a_client_that_does_not_take_the_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_LINGER", 0.05)
    async with linked() as (echo, _, _writer):
        echo.link.write([bytes(64 << 20)])
        echo.link.finish()
        await echo.reason


async def test_idle() -> None:
    async with linked(idle=0.05) as (echo, _, _writer):
        await echo.reason


async def test_a_client_that_leaves_while_held_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_WATCH", 0.05)
    async with linked() as (echo, _, writer):
        echo.link.hold(True)
        writer.write(b"unread")
        await writer.drain()
        writer.close()
        await echo.reason
        assert not echo.got


async def test_another_speaker_takes_over_and_abort_tells_it() -> None:
    async with linked() as (echo, _, writer):
        other = Echo(echo.link)
        echo.link.hand_over(other)
        writer.write(b"for the other")
        while not other.got:
            await asyncio.sleep(0.01)
        echo.link.abort()
        assert await other.reason == "the client closed its connection"
        assert not echo.reason.done()
        echo.link.write([b"nobody"])
        echo.link.hold(True)
        echo.link.finish()
