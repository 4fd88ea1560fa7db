from __future__ import annotations

import pytest

from criserver.streaming.wire.channels import ChannelConnection, ChannelData, Encoding
from criserver.streaming.wire.machine import Answer
from criserver.streaming.wire.portforward import ForwardData, ForwardOpened, ForwardsGone, PortForward
from criserver.streaming.wire.portforward_websocket import MAX_PORTS, WebSocketPortForward, ports_in_query
from criserver.streaming.wire.websocket import CloseReceived, WebSocketConnection
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, drain, feed, joined


def client(encoding: Encoding) -> ChannelConnection:
    return ChannelConnection(WebSocketConnection(client=True), encoding, 4, close_signal=False)


@pytest.mark.parametrize("encoding", Encoding)
def test_a_session(encoding: Encoding) -> None:
    session: PortForward = WebSocketPortForward(encoding, (80, 8080))
    peer = client(encoding)
    first, opened, second, opened_too = drain(session)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (opened, opened_too) == (ForwardOpened(0, 80), ForwardOpened(1, 8080))
    assert feed(peer, first.data + second.data) == [
        ChannelData(0, b"\x50\x00"),
        ChannelData(1, b"\x50\x00"),
        ChannelData(2, b"\x90\x1f"),
        ChannelData(3, b"\x90\x1f"),
    ]
    assert feed(session, peer.send(2, b"GET") + peer.send(1, b"nobody reads this")) == [ForwardData(1, b"GET")]
    assert feed(peer, joined(session.send(1, b"200"))) == [ChannelData(2, b"200")]
    assert session.end(1) == session.sweep() == []
    assert feed(peer, joined(session.close(0, "refused"))) == [ChannelData(1, b"refused")]
    assert session.close(0) == session.send(0, b"x") == []
    assert feed(session, peer.send(0, b"late")) == []
    answer, end = feed(peer, joined(session.close(1)))
    assert end == CloseReceived(1000, "")
    assert feed(session, answer.data) == [ForwardsGone("the client closed the WebSocket: 1000")]
    assert joined(session.finish()) == b""


def test_the_greeting_is_a_real_servers() -> None:
    session = WebSocketPortForward(Encoding.BINARY, (80, 81))
    greeting = b"".join(event.data for event in drain(session) if isinstance(event, Answer))
    assert capture("served-portforward-websocket")[1].startswith(greeting)


@pytest.mark.parametrize("count", [0, MAX_PORTS + 1])
def test_how_many_ports(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 127 ports"):
        WebSocketPortForward(Encoding.BINARY, (80,) * count)


@pytest.mark.parametrize(("query", "ports"), [("?port=80", (80,)), ("?port=80,81&x=1&port=82", (80, 81, 82))])
def test_ports_in_query(query: str, ports: tuple[int, ...]) -> None:
    assert ports_in_query(f"/portForward/ns/pod{query}") == ports


@pytest.mark.parametrize("query", ["", "?port=", "?port=0", "?port=80,", "?port=x", "?" + "port=80&" * 200])
def test_no_ports_in_query(query: str) -> None:
    with pytest.raises(ValueError, match=r"port|fields"):
        ports_in_query(f"/{query}")


def test_cut_and_damaged() -> None:
    def make() -> WebSocketPortForward:
        return WebSocketPortForward(Encoding.BINARY, (80, 81))

    peer = client(Encoding.BINARY)
    raw = peer.send(0, b"one") + peer.send(2, b"two" * 100) + peer.close()
    assert [kind for kind in check_cuts(make, raw) if kind[0] == "ForwardData"] == [
        ("ForwardData", 0, b"one"),
        ("ForwardData", 1, b"two" * 100),
    ]
    check_garbage(make, raw)
