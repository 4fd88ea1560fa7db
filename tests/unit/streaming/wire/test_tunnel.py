from __future__ import annotations

import pytest

from criserver.streaming.wire.machine import Answer, RemoteProtocolError
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.tunnel import SpdyTunnel, TunnelData
from criserver.streaming.wire.websocket import CloseReceived, WebSocketConnection
from tests.unit.streaming.wire.kit import capture, check_cuts, check_garbage, feed, feed_cut, story


def tunnel() -> SpdyTunnel:
    return SpdyTunnel(WebSocketConnection())


def test_bytes_pass_both_ways() -> None:
    ours, theirs = tunnel(), SpdyTunnel(WebSocketConnection(client=True))
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        assert feed(receiver, sender.wrap([b"ab", memoryview(b"cd")])) == [TunnelData(b"abcd")]
    assert ours.wrap([]) == b""


def test_the_end() -> None:
    ours, theirs = tunnel(), SpdyTunnel(WebSocketConnection(client=True))
    answer, end = feed(ours, theirs.close())
    assert isinstance(answer, Answer)
    assert end == CloseReceived(1000, "")
    assert ours.wrap([b"late"]) == b""


def test_text_is_refused() -> None:
    ours = tunnel()
    with pytest.raises(RemoteProtocolError, match="not text") as caught:
        feed(ours, WebSocketConnection(client=True).send_text("x"))
    assert caught.value.farewell[2:4] == (1003).to_bytes(2, "big")


def test_a_real_client_speaks_spdy_inside() -> None:
    raw = capture("portforward-tunnel")[1]
    inner = b"".join(told[1] for told in check_cuts(tunnel, raw) if told[0] == "TunnelData")
    spdy = SpdyConnection(Role.SERVER)
    told = story(feed_cut(spdy, inner, 100))
    assert [kind[0] for kind in told].count("StreamOpened") == 4


def test_damaged_captures() -> None:
    check_garbage(tunnel, capture("portforward-tunnel")[1])
