from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.streaming.wire.channels import ChannelClosed, ChannelConnection, ChannelData, Encoding
from criserver.streaming.wire.machine import RemoteProtocolError
from criserver.streaming.wire.websocket import CloseReceived, MessagePiece, WebSocketConnection
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, feed, feed_cut, story

COUNT = 5


def server(encoding: Encoding = Encoding.BINARY, *, v5: bool = False) -> ChannelConnection:
    return ChannelConnection(WebSocketConnection(), encoding, COUNT, close_signal=v5)


def client(encoding: Encoding = Encoding.BINARY) -> ChannelConnection:
    return ChannelConnection(WebSocketConnection(client=True), encoding, COUNT, close_signal=False)


@pytest.mark.parametrize("encoding", Encoding)
@given(
    sends=st.lists(st.tuples(st.integers(0, COUNT - 1), st.binary(min_size=1, max_size=300))), size=st.integers(1, 9)
)
def test_what_is_sent_arrives(encoding: Encoding, sends: list[tuple[int, bytes]], size: int) -> None:
    peer = client(encoding)
    raw = b"".join(peer.send(channel, data) for channel, data in sends)
    got = story(feed_cut(server(encoding), raw, size))
    assert got == story([ChannelData(channel, data) for channel, data in sends])


def test_messages_are_what_the_peers_write() -> None:
    peer = WebSocketConnection(client=True)
    assert feed(peer, server().send(1, b"\n")) == [MessagePiece(b"\x01\n", True, True, False)]
    assert feed(peer, server(Encoding.BASE64).send(1, b"\n")) == [MessagePiece(b"1Cg==", True, True, True)]
    assert feed(peer, server().send(1, b"")) == [MessagePiece(b"\x01", True, True, False)]


@pytest.mark.parametrize("message", [b"", b"\x05x", b"\xffx", b"\x00"])
def test_messages_for_nobody_are_dropped(message: bytes) -> None:
    peer = WebSocketConnection(client=True)
    raw = peer.send_binary(message) + peer.send_binary(b"\x00ok")
    assert feed(server(), raw) == [ChannelData(0, b"ok")]


def test_close_signal_is_v5s() -> None:
    peer = WebSocketConnection(client=True)
    signal = peer.send_binary(b"\xff\x00")
    assert feed(server(v5=True), signal) == [ChannelClosed(0)]
    assert feed_cut(server(v5=True), signal, 1) == [ChannelClosed(0)]
    assert feed(server(), signal) == []


@pytest.mark.parametrize("message", [b"\xff", b"\xff\x05", b"\xff\x00\x00"])
@pytest.mark.parametrize("size", [1, 100])
def test_bad_close_signals(message: bytes, size: int) -> None:
    machine = server(v5=True)
    with pytest.raises(RemoteProtocolError, match="close signal") as caught:
        feed_cut(machine, WebSocketConnection(client=True).send_binary(message), size)
    assert caught.value.farewell[2:4] == (1002).to_bytes(2, "big")
    with pytest.raises(RemoteProtocolError, match="close signal"):
        machine.next_event()


@pytest.mark.parametrize("text", ["0Zg", "0Zg=", "0Z-==", "0====", "0Zg==Zg=="])
@pytest.mark.parametrize("size", [1, 100])
def test_bad_base64(text: str, size: int) -> None:
    machine = server(Encoding.BASE64)
    with pytest.raises(RemoteProtocolError, match="no base64") as caught:
        feed_cut(machine, WebSocketConnection(client=True).send_text(text), size)
    assert caught.value.farewell[2:4] == (1007).to_bytes(2, "big")


def test_base64_with_line_ends() -> None:
    text = "0" + base64.encodebytes(bytes(200)).decode()
    assert feed(server(Encoding.BASE64), WebSocketConnection(client=True).send_text(text)) == [
        ChannelData(0, bytes(200))
    ]


def test_the_end() -> None:
    machine, peer = server(), client()
    assert feed(peer, machine.close("done"))[-1] == CloseReceived(1000, "done")
    assert machine.send(1, b"late") == b""
    assert machine.close() == b""


@pytest.mark.parametrize("name", ["exec-websocket-v5", "exec-websocket-v4", "exec-websocket-tty"])
def test_captures(name: str) -> None:
    def make() -> ChannelConnection:
        return server(v5=True)

    told = check_cuts(make, capture(name)[1])
    assert ("ChannelData", 0, b"0123456789abcdef0123456789") in told
    check_garbage(make, capture(name)[1])
    check_garbage(lambda: server(Encoding.BASE64), capture(name)[1])


@pytest.mark.parametrize(
    ("name", "encoding", "count"),
    [
        ("served-exec-websocket-base64", Encoding.BASE64, 2),
        ("served-portforward-websocket", Encoding.BINARY, 5),
    ],
)
def test_a_real_server(name: str, encoding: Encoding, count: int) -> None:
    def make() -> ChannelConnection:
        return client(encoding)

    told = [kind for kind in check_cuts(make, capture(name)[1]) if kind[0] == "ChannelData"]
    assert len(told) == count
    assert told[-1][2] == b"hello there"
