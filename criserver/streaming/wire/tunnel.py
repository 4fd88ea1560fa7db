"""SPDY inside WebSocket: the bytes of a SPDY connection as binary messages, as port-forward clients send them.

The subprotocol is `SPDY/3.1+` and the stream protocol's name; message boundaries mean nothing (Kubernetes KEP-4006).
It must not know SPDY: it only carries bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData
from criserver.streaming.wire.upgrade import SPDY_31
from criserver.streaming.wire.websocket import CloseReceived, MessagePiece, WebSocketConnection

PREFIX = f"{SPDY_31}+"
"""What precedes the stream protocol's name in Sec-WebSocket-Protocol."""
_UNSUPPORTED_DATA = 1003


@dataclass(frozen=True, slots=True)
class TunnelData:
    """Bytes for the SPDY connection within."""

    data: bytes


TunnelEvent: TypeAlias = TunnelData | CloseReceived | Answer


class SpdyTunnel:
    """The WebSocket around one SPDY connection; feed `TunnelData` to that one and wrap what it wants sent."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""
        self._websocket.receive_data(data)

    def next_event(self) -> TunnelEvent | NeedData:
        """The next bytes for SPDY, the end, or NEED_DATA; a text message is the peer's error."""
        while True:
            event = self._websocket.next_event()
            if event is NEED_DATA or isinstance(event, (CloseReceived, Answer)):
                return event
            if isinstance(event, MessagePiece):
                if event.text:
                    raise self._websocket.fail(_UNSUPPORTED_DATA, "a SPDY tunnel carries binary messages, not text")
                if event.data:
                    return TunnelData(event.data)

    def wrap(self, data: Iterable[Buffer]) -> bytes:
        """SPDY's bytes as one message; nothing for none, or when the WebSocket is closing."""
        payload = b"".join(data)
        return self._websocket.send_binary(payload) if payload and self._websocket.open else b""

    def close(self) -> bytes:
        """The WebSocket's own end, to be written after SPDY's."""
        return self._websocket.close()
