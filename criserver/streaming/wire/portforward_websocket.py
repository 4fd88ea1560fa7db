"""Port-forward over a channelled WebSocket: two channels for each port of the request, data (2n) and error (2n + 1).

The first message on each tells its port, u16 little endian. Each port takes one connection, and the session ends with
the last of them; a channel cannot be half closed (k8s.io/cri-streaming, pkg/streaming/portforward/websocket.go).
"""

from __future__ import annotations

import struct
from collections import deque
from urllib.parse import parse_qs, urlsplit

from criserver.streaming.wire.channels import ChannelConnection, ChannelData, Encoding
from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData
from criserver.streaming.wire.portforward import ForwardData, ForwardOpened, ForwardsGone, PortForwardEvent, parse_port
from criserver.streaming.wire.spdy_frames import MAX_LENGTH
from criserver.streaming.wire.websocket import CloseReceived, WebSocketConnection

MAX_PORTS = 127
"""Channel numbers are bytes, and 255 is taken."""
_PORT = struct.Struct("<H")


class WebSocketPortForward:
    """A `PortForward` on a WebSocket, from the first byte after the upgrade; a forward's id is its port's place."""

    def __init__(self, encoding: Encoding, ports: tuple[int, ...]) -> None:
        """`ports`: at most `MAX_PORTS`, each from 1 to 65535; ValueError otherwise."""
        if not 0 < len(ports) <= MAX_PORTS:
            raise ValueError(f"port-forward over WebSocket takes 1 to {MAX_PORTS} ports, not {len(ports)}")
        self._channels = ChannelConnection(WebSocketConnection(), encoding, 2 * len(ports), close_signal=False)
        self._open = set(range(len(ports)))
        self._events: deque[PortForwardEvent] = deque()
        for forward_id, port in enumerate(ports):
            said = _PORT.pack(port)
            data, error = 2 * forward_id, 2 * forward_id + 1
            self._events.append(Answer(self._channels.send(data, said) + self._channels.send(error, said)))
            self._events.append(ForwardOpened(forward_id, port))

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._channels.receive_data(data)

    def next_event(self) -> PortForwardEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""
        while not self._events:
            event = self._channels.next_event()
            if event is NEED_DATA or isinstance(event, Answer):
                return event
            if isinstance(event, CloseReceived):
                reason = f"the client closed the WebSocket: {event.code} {event.reason}".rstrip()
                self._events.append(ForwardsGone(reason))
            elif isinstance(event, ChannelData) and event.channel % 2 == 0 and event.channel // 2 in self._open:
                self._events.append(ForwardData(event.channel // 2, event.data))
        return self._events.popleft()

    def room(self, forward_id: int) -> int:
        """The protocol has no windows."""
        return MAX_LENGTH

    def used(self, forward_id: int, size: int) -> list[Buffer]:
        """The protocol has no word for it."""
        return []

    def send(self, forward_id: int, data: Buffer) -> list[Buffer]:
        """Bytes from the pod; nothing for a forward that is over."""
        if forward_id not in self._open or not len(data):
            return []
        return [self._channels.send(2 * forward_id, data)]

    def end(self, forward_id: int) -> list[Buffer]:
        """The protocol has no word for it."""
        return []

    def close(self, forward_id: int, error: str = "") -> list[Buffer]:
        """That connection is over, the reason on its error channel; after the last one the session is."""
        if forward_id not in self._open:
            return []
        self._open.remove(forward_id)
        out: list[Buffer] = [self._channels.send(2 * forward_id + 1, error.encode("utf-8"))] if error else []
        return out if self._open else out + self.finish()

    def sweep(self) -> list[Buffer]:
        """Nothing is ever half opened."""
        return []

    def finish(self) -> list[Buffer]:
        """The closing frame, once."""
        return [self._channels.close()]


def ports_in_query(target: str) -> tuple[int, ...]:
    """The ports that a request target names, `?port=80&port=81` or `?port=80,81`; ValueError for what is no port."""
    fields = parse_qs(urlsplit(target).query, keep_blank_values=True, max_num_fields=MAX_PORTS)
    ports: list[int] = []
    for text in ",".join(fields.get("port", ())).split(","):
        port = parse_port(text)
        if port is None:
            raise ValueError(f"query parameter port: {text[:16]!r} is no port from 1 to 65535")
        ports.append(port)
    return tuple(ports)
