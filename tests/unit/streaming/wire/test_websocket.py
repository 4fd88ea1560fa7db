from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.streaming.wire.machine import NEED_DATA, Answer, LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.websocket import CloseReceived, MessagePiece, PongReceived, WebSocketConnection
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, feed, story, survives

CAPTURES = ["exec-websocket-v5", "exec-websocket-tty", "portforward-tunnel"]


def client() -> WebSocketConnection:
    return WebSocketConnection(client=True)


def masked(head: str, payload: bytes = b"") -> bytes:
    """A client's frame with the mask 00000000, its first bytes written by hand."""
    return bytes.fromhex(head) + bytes(4) + payload


@given(st.lists(st.binary(max_size=70_000), max_size=3))
def test_messages_pass_both_ways(messages: list[bytes]) -> None:
    ours, theirs = WebSocketConnection(), client()
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        raw = b"".join(sender.send_binary(message) for message in messages)
        assert feed(receiver, raw) == [MessagePiece(message, True, True, False) for message in messages]


def test_text_messages() -> None:
    assert feed(WebSocketConnection(), client().send_text("ü")) == [MessagePiece("ü".encode(), True, True, True)]


def test_a_message_comes_as_it_comes() -> None:
    machine = WebSocketConnection()
    assert feed(machine, masked("0285", b"he")) == [MessagePiece(b"he", True, False, False)]
    assert feed(machine, b"llo") == [MessagePiece(b"llo", False, False, False)]
    assert feed(machine, masked("8081", b"!")) == [MessagePiece(b"!", False, True, False)]


def test_control_frames_amid_a_message() -> None:
    machine = WebSocketConnection()
    ping = client().ping(b"yo")
    assert feed(machine, masked("0281", b"a") + ping + masked("8081", b"b")) == [
        MessagePiece(b"a", True, False, False),
        Answer(b"\x8a\x02yo"),
        MessagePiece(b"b", False, True, False),
    ]
    assert feed(client(), b"\x8a\x02yo") == [PongReceived(b"yo")]
    with pytest.raises(LocalProtocolError):
        machine.ping(bytes(126))


def test_the_peers_close_is_answered_and_ends_everything() -> None:
    machine, peer = WebSocketConnection(), client()
    assert feed(machine, peer.close(1001, "bye") + b"garbage behind") == [
        Answer(b"\x88\x05\x03\xe9bye"),
        CloseReceived(1001, "bye"),
    ]
    assert feed(machine, b"more") == []
    assert not machine.open
    assert machine.close() == b""
    with pytest.raises(LocalProtocolError, match="CLOSED"):
        machine.send_binary(b"x")
    assert feed(peer, b"\x88\x05\x03\xe9bye") == [CloseReceived(1001, "bye")]


def test_own_close_is_said_once_and_pings_go_unanswered_after_it() -> None:
    machine = WebSocketConnection()
    assert machine.close(1000, "ü" * 100) == b"\x88\x7c\x03\xe8" + "ü".encode() * 61
    assert machine.close() == b""
    assert feed(machine, client().ping()) == []
    assert feed(machine, client().close()) == [CloseReceived(1000, "")]


def test_close_without_a_code() -> None:
    assert feed(WebSocketConnection(), masked("8880"))[-1] == CloseReceived(1005, "")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x82\x01x", 1002),  # a client's frame must be masked
        (masked("8380"), 1002),  # no such opcode
        (masked("c280"), 1002),  # a reserved bit, no extension
        (masked("8080"), 1002),  # a continuation of nothing
        (masked("0280") + masked("8280"), 1002),  # a message within a message
        (masked("0980"), 1002),  # a ping in parts
        (masked("89fe007e"), 1002),  # a ping of 126 bytes
        (masked("8181", b"\xff"), 1007),  # no UTF-8
        (masked("8881", b"\x03"), 1002),  # half a close code
        (masked("8882", b"\x03\xed"), 1002),  # a code that nobody may send
    ],
)
def test_hostile_frames(raw: bytes, code: int) -> None:
    machine = WebSocketConnection()
    with pytest.raises(RemoteProtocolError, match="WebSocket") as caught:
        feed(machine, raw)
    assert caught.value.farewell[:1] == b"\x88"
    assert int.from_bytes(caught.value.farewell[2:4], "big") == code
    with pytest.raises(RemoteProtocolError):
        machine.next_event()


def test_a_huge_claim_costs_nothing() -> None:
    machine = WebSocketConnection()
    assert feed(machine, masked("82ff7fffffffffffffff")) == []
    assert story(feed(machine, b"abc")) == [("MessagePiece", False, b"abc")]
    assert machine.next_event() is NEED_DATA


def test_fail_is_for_good() -> None:
    machine = WebSocketConnection()
    error = machine.fail(1008, "not here")
    assert error.farewell == b"\x88\x0a\x03\xf0not here"
    with pytest.raises(RemoteProtocolError, match="not here"):
        machine.next_event()


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_however_they_are_cut(name: str) -> None:
    assert {kind[0] for kind in check_cuts(WebSocketConnection, capture(name)[1])} >= {"MessagePiece"}


@pytest.mark.parametrize("name", CAPTURES)
def test_damaged_captures(name: str) -> None:
    check_garbage(WebSocketConnection, capture(name)[1])


@given(st.binary(max_size=200), st.integers(1, 200))
def test_any_bytes_at_all(data: bytes, size: int) -> None:
    survives(WebSocketConnection(), data, size)
