from __future__ import annotations

import asyncio

import pytest

from criserver.lifecycle.running.streams import Forward, StreamRequest
from criserver.streaming import handshake
from criserver.streaming.handshake import Handshake, token_of
from criserver.streaming.wire.http1 import RequestReceived
from criserver.streaming.wire.machine import Buffer
from criserver.streaming.wire.upgrade import Refusal, Transport, Upgrade


class FakeLink:
    """Remembers what is done to it."""

    def __init__(self) -> None:
        self.written = b""
        self.finished = self.aborted = False

    def write(self, buffers: list[Buffer]) -> None:
        self.written += b"".join(buffers)

    def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        self.aborted = True


def refuse(_: RequestReceived) -> Refusal:
    return Refusal(404, "no\n")


def never(*_: object) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/exec/abc", ("exec", "abc")),
        ("/portforward/abc?port=80", ("portforward", "abc")),
        ("/exec/", ("exec", "")),
        ("/exec/a/b", ("", "")),
        ("exec/abc", ("", "")),
        ("*", ("", "")),
    ],
)
def test_targets(target: str, expected: tuple[str, str]) -> None:
    assert token_of(target) == expected


async def test_refusal_byte_by_byte() -> None:
    link = FakeLink()
    speaker = Handshake(link, refuse, never)  # type: ignore[arg-type]
    for byte in b"GET /exec/x HTTP/1.1\r\nHost: x\r\n\r\n":
        assert not link.finished
        speaker.received(bytes([byte]))
    assert link.written.startswith(b"HTTP/1.1 404 ")
    assert link.finished


async def test_what_is_no_http() -> None:
    link = FakeLink()
    speaker = Handshake(link, never, never)  # type: ignore[arg-type]
    speaker.received(b"\x16\x03\x01 garbage\r\n\r\n")
    assert link.written.startswith(b"HTTP/1.1 400 ")
    assert link.finished
    speaker.lost("gone")


async def test_upgrade_takes_what_came_behind() -> None:
    link = FakeLink()
    got: list[bytes] = []

    def upgraded(_: object, wish: StreamRequest, upgrade: Upgrade, data: bytes) -> None:
        assert wish == Forward("p1")
        assert upgrade.transport is Transport.SPDY
        got.append(data)

    upgrade = Upgrade(Transport.SPDY, "x", (("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")))
    speaker = Handshake(link, lambda _: (Forward("p1"), upgrade), upgraded)  # type: ignore[arg-type]
    head = b"GET /portforward/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    speaker.received(head + b"hasty")
    assert link.written.startswith(b"HTTP/1.1 101 ")
    assert got == [b"hasty"]


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "_PATIENCE", 0.01)
    link = FakeLink()
    speaker = Handshake(link, refuse, never)  # type: ignore[arg-type]
    speaker.received(b"GET /exec")
    await asyncio.sleep(0.05)
    assert link.aborted
