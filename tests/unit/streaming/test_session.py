from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from criserver.streaming.session import ClientGone, Session
from criserver.streaming.wire.machine import NEED_DATA, Answer, RemoteProtocolError


class FakeLink:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.finished = False

    def write(self, buffers: list[bytes]) -> None:
        self.written += buffers

    def finish(self) -> None:
        self.finished = True


class Words:
    """A machine: each byte is an event; "?" is answered, "!" is an error."""

    def __init__(self) -> None:
        self.waiting = deque("h")

    def receive_data(self, data: bytes) -> None:
        self.waiting.extend(data.decode())

    def next_event(self) -> Any:
        if not self.waiting:
            return NEED_DATA
        word = self.waiting.popleft()
        if word == "!":
            raise RemoteProtocolError("shouting", b"farewell")
        return Answer(b"answer") if word == "?" else word


class Heard(Session[str]):
    def __init__(self, link: FakeLink) -> None:
        super().__init__(link, Words())  # type: ignore[arg-type]
        self.heard = ""

    def on(self, event: str) -> None:
        self.heard += event


@pytest.fixture
async def session() -> Heard:
    return Heard(FakeLink())


async def test_events_and_answers(session: Heard) -> None:
    session.begin(b"")
    assert session.heard == "h"
    session.begin(b"a?b")
    assert session.heard == "hab"
    assert session._link.written == [b"answer"]  # type: ignore[attr-defined]


async def test_a_broken_protocol_ends_it(session: Heard) -> None:
    session.received(b"a!b")
    session.received(b"c")
    assert session.heard == "ha"
    assert session._link.written == [b"farewell"]  # type: ignore[attr-defined]
    assert session._link.finished  # type: ignore[attr-defined]
    with pytest.raises(ClientGone, match="shouting"):
        await session.unless_gone(asyncio.sleep(10))


async def test_work_is_cancelled_when_the_client_goes(session: Heard) -> None:
    undone = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            undone.set()

    waiting = asyncio.get_running_loop().create_task(session.unless_gone(work()))
    await asyncio.sleep(0)
    session.lost("left")
    session.lost("again")
    with pytest.raises(ClientGone, match="left"):
        await waiting
    assert undone.is_set()


async def test_work_that_gets_done(session: Heard) -> None:
    async def work() -> int:
        return 7

    async def failing() -> None:
        raise ValueError("x")

    assert await session.unless_gone(work()) == 7
    with pytest.raises(ValueError, match="x"):
        await session.unless_gone(failing())
