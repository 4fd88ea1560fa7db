"""WebSocket frames after the handshake (RFC 6455): wsproto does them; this module bounds and translates.

A message comes piece by piece as its frames do, so its size costs nothing. Pongs and the closing echo are made here
and come as `Answer`. No extension is spoken, since none was agreed. It must not know channels or SPDY.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from wsproto import events as ws
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError as WsLocalProtocolError

from criserver.streaming.wire.machine import (
    NEED_DATA,
    Answer,
    Buffer,
    LocalProtocolError,
    NeedData,
    RemoteProtocolError,
)

MAX_REASON = 123
"""Bytes that a close frame's reason may have (RFC 6455, 5.5)."""


@dataclass(frozen=True, slots=True)
class MessagePiece:
    """Part of a message: `first` and `last` mark its ends; the bytes of a text message are its UTF-8."""

    data: bytes
    first: bool
    last: bool
    text: bool


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The peer closes (1005: it gave no code); nothing follows."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The peer answered a ping."""

    payload: bytes


WebSocketEvent: TypeAlias = MessagePiece | CloseReceived | PongReceived | Answer


class WebSocketConnection:
    """One side of one connection, from the first byte after the 101 answer."""

    def __init__(self, *, client: bool = False) -> None:
        self._ws = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._events: deque[WebSocketEvent] = deque()
        self._in_message = False
        self._ended = False
        self._broken: RemoteProtocolError | None = None

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; what comes after the peer's close is dropped."""
        if not self._ended:
            self._ws.receive_data(data)

    def next_event(self) -> WebSocketEvent | NeedData:
        """The next thing the peer did, or NEED_DATA; RemoteProtocolError's farewell is a close frame with its code."""
        if self._broken is not None:
            raise self._broken
        while not self._events:
            if self._ended:
                return NEED_DATA
            event = next(self._ws.events(), None)
            if event is None:
                return NEED_DATA
            self._translate(event)
        return self._events.popleft()

    def send_binary(self, data: Buffer) -> bytes:
        """One binary message."""
        return self._send(ws.BytesMessage(data=bytes(data)))

    def send_text(self, data: str) -> bytes:
        """One text message."""
        return self._send(ws.TextMessage(data=data))

    def ping(self, payload: bytes = b"") -> bytes:
        """A ping of at most 125 bytes, which come back in `PongReceived`."""
        return self._send(ws.Ping(payload=payload))

    def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> bytes:
        """A close frame, its reason cut to what fits; nothing when one was sent already."""
        if self._ws.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        short = reason.encode("utf-8")[:MAX_REASON].decode("utf-8", "ignore")
        return self._send(ws.CloseConnection(code=code, reason=short))

    def fail(self, code: int, message: str) -> RemoteProtocolError:
        """Break the connection for what a layer above found wrong; raise what this returns."""
        self._broken = RemoteProtocolError(message, self.close(code, message))
        self._events.clear()
        return self._broken

    @property
    def open(self) -> bool:
        """Whether messages may be sent."""
        return self._ws.state is ConnectionState.OPEN

    def _send(self, event: ws.Event) -> bytes:
        try:
            return self._ws.send(event)
        except (WsLocalProtocolError, ValueError) as exc:
            raise LocalProtocolError(f"WebSocket is {self._ws.state.name}: {exc}") from exc

    def _translate(self, event: ws.Event) -> None:
        if isinstance(event, (ws.BytesMessage, ws.TextMessage)):
            self._on_message(event)
        elif isinstance(event, ws.Ping):
            if self.open:
                self._events.append(Answer(self._send(event.response())))
        elif isinstance(event, ws.Pong):
            self._events.append(PongReceived(bytes(event.payload)))
        elif isinstance(event, ws.CloseConnection):
            self._on_close(event)

    def _on_message(self, event: ws.BytesMessage | ws.TextMessage) -> None:
        first, last = not self._in_message, event.message_finished
        self._in_message = not last
        text = isinstance(event, ws.TextMessage)
        data = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        if data or first or last:
            self._events.append(MessagePiece(data, first, last, text))

    def _on_close(self, event: ws.CloseConnection) -> None:
        # A close that moved no state is wsproto's word for a frame that it cannot parse.
        if self._ws.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            raise self.fail(event.code, f"WebSocket: {event.reason}")
        self._ended = True
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            self._events.append(Answer(self._send(event.response())))
        self._events.append(CloseReceived(int(event.code), event.reason or ""))
