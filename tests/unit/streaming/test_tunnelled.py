from __future__ import annotations

import pytest

from criserver.streaming.tunnelled import TunnelledPortForward
from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, RemoteProtocolError
from criserver.streaming.wire.portforward import ForwardData, ForwardOpened, ForwardsGone
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import DataReceived
from criserver.streaming.wire.tunnel import SpdyTunnel, TunnelData
from criserver.streaming.wire.websocket import WebSocketConnection


class Client:
    """SPDY in a WebSocket, as kubectl has it."""

    def __init__(self) -> None:
        self.websocket = WebSocketConnection(client=True)
        self.tunnel = SpdyTunnel(self.websocket)
        self.spdy = SpdyConnection(Role.CLIENT)

    def wrap(self, *data: Buffer) -> bytes:
        return self.tunnel.wrap(data)

    def data(self, message: bytes) -> list[bytes]:
        self.tunnel.receive_data(message)
        got = []
        while isinstance(event := self.tunnel.next_event(), TunnelData):
            self.spdy.receive_data(event.data)
            while (inner := self.spdy.next_event()) is not NEED_DATA:
                if isinstance(inner, DataReceived):
                    got.append(bytes(inner.data))
        return got


def events(machine: TunnelledPortForward, data: bytes) -> list[object]:
    machine.receive_data(data)
    found: list[object] = []
    while (event := machine.next_event()) is not NEED_DATA:
        found.append(event)
    return found


def test_a_forward_through_both() -> None:
    client, machine = Client(), TunnelledPortForward()
    frames: list[Buffer] = []
    stream_id = 0
    for kind in ("error", "data"):
        stream_id, frame = client.spdy.open_stream((("streamtype", kind), ("port", "80"), ("requestid", "0")))
        frames.append(frame)
    frames += client.spdy.send_data(stream_id, b"question")
    found = events(machine, client.wrap(*frames))
    answers = [event for event in found if isinstance(event, Answer)]
    assert [event for event in found if not isinstance(event, Answer)] == [
        ForwardOpened(stream_id, 80),
        ForwardData(stream_id, b"question"),
    ]
    for answer in answers:
        client.data(answer.data)
    assert client.data(b"".join(machine.send(stream_id, b"answer"))) == [b"answer"]
    assert client.data(b"".join(machine.close(stream_id, "broken"))) == [b"broken"]
    assert machine.send(stream_id, b"late") == []
    assert machine.end(stream_id) == []
    assert machine.sweep() == []
    assert client.data(b"".join(machine.finish())) == []


def test_the_client_closes() -> None:
    client, machine = Client(), TunnelledPortForward()
    found = events(machine, client.tunnel.close())
    assert any(isinstance(event, ForwardsGone) for event in found)


def test_garbage_within_closes_both() -> None:
    client, machine = Client(), TunnelledPortForward()
    with pytest.raises(RemoteProtocolError) as raised:
        events(machine, client.wrap(b"\x80\x07" + bytes(20)))
    assert raised.value.farewell
