from __future__ import annotations

from typing import Any

import pytest

from criserver.streaming.wire.channels import ChannelConnection, ChannelData, Encoding
from criserver.streaming.wire.machine import Answer, RemoteProtocolError
from criserver.streaming.wire.remotecommand import (
    PeerGone,
    RemoteCommand,
    Resized,
    Status,
    StdinClosed,
    StdinReceived,
    StreamOptions,
    StreamsReady,
    StreamType,
    TerminalSize,
    Version,
)
from criserver.streaming.wire.remotecommand_websocket import WebSocketRemoteCommand
from criserver.streaming.wire.websocket import CloseReceived, MessagePiece, WebSocketConnection
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, drain, feed, joined

ALL = StreamOptions(stdin=True, stdout=True, stderr=True, tty=False)
TTY = StreamOptions(stdin=True, stdout=True, stderr=True, tty=True)
TYPED = b"0123456789abcdef0123456789"


def session(
    version: Version = Version.V5, encoding: Encoding = Encoding.BINARY, options: StreamOptions = ALL
) -> WebSocketRemoteCommand:
    machine = WebSocketRemoteCommand(version, encoding, options)
    greeting, ready = drain(machine)
    assert isinstance(greeting, Answer)
    assert ready == StreamsReady()
    return machine


def client(encoding: Encoding = Encoding.BINARY) -> ChannelConnection:
    return ChannelConnection(WebSocketConnection(client=True), encoding, 5, close_signal=False)


def test_it_is_a_remote_command_that_is_ready_at_once() -> None:
    machine: RemoteCommand = session()
    assert machine.missing == frozenset()


@pytest.mark.parametrize(
    ("options", "channel"),
    [
        (ALL, 1),
        (StreamOptions(stdin=True, stdout=False, stderr=True, tty=False), 2),
        (StreamOptions(stdin=True, stdout=False, stderr=True, tty=True), 3),
    ],
)
def test_greeting_is_an_empty_message_on_the_first_output(options: StreamOptions, channel: int) -> None:
    greeting = WebSocketRemoteCommand(Version.V4, Encoding.BINARY, options).next_event()
    assert isinstance(greeting, Answer)
    assert feed(WebSocketConnection(client=True), greeting.data) == [MessagePiece(bytes((channel,)), True, True, False)]


@pytest.mark.parametrize("encoding", Encoding)
def test_a_session(encoding: Encoding) -> None:
    machine, peer = session(Version.V4, encoding), client(encoding)
    assert feed(machine, peer.send(0, b"in")) == [StdinReceived(b"in")]
    assert feed(machine, peer.send(4, b'{"Width":1,"Height":2}')) == [Resized(TerminalSize(1, 2))]
    sent = machine.send_output(StreamType.STDOUT, b"out") + machine.send_output(StreamType.STDERR, memoryview(b"err"))
    assert feed(peer, joined(sent)) == [ChannelData(1, b"out"), ChannelData(2, b"err")]
    assert machine.send_output(StreamType.STDOUT, b"") == []
    assert machine.close_output(StreamType.STDOUT) == []
    assert machine.send_output(StreamType.STDOUT, b"late") == []
    status, answer, end = feed(peer, joined(machine.finish(Status(3))))
    assert status == ChannelData(3, Status(3).encode(Version.V4))
    assert end == CloseReceived(1000, "")
    assert feed(machine, answer.data) == [PeerGone("the client closed the WebSocket: 1000")]


def test_success_before_v4_says_nothing() -> None:
    machine = session(Version.V1)
    (closing,) = machine.finish(Status(0))
    assert bytes(closing) == b"\x88\x02\x03\xe8"
    assert machine.finish(Status(0)) == []


def test_half_close_is_v5s() -> None:
    signal = WebSocketConnection(client=True).send_binary(b"\xff\x00")
    machine = session(Version.V5)
    assert feed(machine, signal) == [StdinClosed()]
    assert feed(machine, signal) == []
    assert feed(machine, client().send(0, b"late")) == []
    assert feed(session(Version.V4), signal) == []


def test_what_was_not_asked_for_goes_nowhere() -> None:
    machine = session(options=StreamOptions(stdin=False, stdout=True, stderr=False, tty=False))
    peer = client()
    assert feed(machine, peer.send(0, b"in") + peer.send(1, b"?") + peer.send(2, b"?") + peer.send(3, b"?")) == []
    assert feed(machine, WebSocketConnection(client=True).send_binary(b"\xff\x00")) == []
    assert machine.send_output(StreamType.STDERR, b"err") == []


def test_a_client_that_closes() -> None:
    machine = session()
    answer, gone = feed(machine, WebSocketConnection(client=True).close(1001, "tab closed"))
    assert isinstance(answer, Answer)
    assert gone == PeerGone("the client closed the WebSocket: 1001 tab closed")
    assert machine.send_output(StreamType.STDOUT, b"x") == []
    assert machine.finish(Status(0)) == []


def test_a_client_that_breaks_the_protocol() -> None:
    machine = session(Version.V4, Encoding.BASE64)
    with pytest.raises(RemoteProtocolError, match="base64"):
        feed(machine, WebSocketConnection(client=True).send_text("0?"))


@pytest.mark.parametrize(
    ("name", "version", "options", "expected"),
    [
        ("exec-websocket-v5", Version.V5, ALL, [("StdinReceived", TYPED), ("StdinClosed",)]),
        ("exec-websocket-v4", Version.V4, ALL, [("StdinReceived", TYPED)]),
        (
            "exec-websocket-tty",
            Version.V5,
            TTY,
            [
                ("Resized", TerminalSize(80, 24)),
                ("Resized", TerminalSize(81, 24)),
                ("StdinReceived", TYPED),
                ("StdinClosed",),
            ],
        ),
    ],
)
def test_real_clients(name: str, version: Version, options: StreamOptions, expected: list[tuple[Any, ...]]) -> None:
    def make() -> WebSocketRemoteCommand:
        return WebSocketRemoteCommand(version, Encoding.BINARY, options)

    raw = capture(name)[1]
    told = [kind for kind in check_cuts(make, raw) if kind[0] not in ("Answer", "StreamsReady")]
    assert [kind for kind in told if kind[0] != "PeerGone"] == expected
    check_garbage(make, raw)
