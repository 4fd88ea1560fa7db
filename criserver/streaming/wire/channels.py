"""Kubernetes' channels in a WebSocket: each message begins with the channel it is for.

    channel.k8s.io, v4.channel.k8s.io:   binary message: channel number (u8), data
    base64.…, v4.base64.channel.k8s.io:  text message: channel as a digit ('0' + number), data in base64
    v5.channel.k8s.io:                   as v4; and (255, n) from the client closes channel n

Data comes piece by piece, never a whole message at once. A message for a channel that is not there, or with no byte,
is dropped, as the peers do. It must not know what a channel is for.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData
from criserver.streaming.wire.websocket import CloseReceived, MessagePiece, WebSocketConnection

CLOSE_CHANNEL = 255
"""In v5, the channel whose one byte names the channel that the client closes."""
_DIGIT_ZERO = 0x30
_QUANTUM = 4
_INVALID_DATA = 1007
_PROTOCOL_ERROR = 1002


class Encoding(Enum):
    """How data is written in a message."""

    BINARY = "binary"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class ChannelData:
    """Bytes for a channel, never none."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The client will send nothing more on this channel (v5 alone can say so)."""

    channel: int


ChannelEvent: TypeAlias = ChannelData | ChannelClosed | CloseReceived | Answer


class ChannelConnection:
    """The server's side of a channelled WebSocket with channels 0 to `count` - 1."""

    def __init__(self, websocket: WebSocketConnection, encoding: Encoding, count: int, *, close_signal: bool) -> None:
        self._websocket = websocket
        self._encoding = encoding
        self._count = count
        self._close_signal = close_signal
        self._events: deque[ChannelEvent] = deque()
        self._channel: int | None = None
        self._held = b""
        self._padded = False

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""
        self._websocket.receive_data(data)

    def next_event(self) -> ChannelEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError's farewell is a close frame."""
        while not self._events:
            event = self._websocket.next_event()
            if event is NEED_DATA or isinstance(event, (CloseReceived, Answer)):
                return event
            if isinstance(event, MessagePiece):
                self._on_piece(event)
        return self._events.popleft()

    def send(self, channel: int, data: Buffer) -> bytes:
        """One message on a channel, or nothing once the WebSocket is closing."""
        if not self._websocket.open:
            return b""
        if self._encoding is Encoding.BINARY:
            return self._websocket.send_binary(bytes((channel,)) + bytes(data))
        return self._websocket.send_text(chr(_DIGIT_ZERO + channel) + base64.b64encode(data).decode("ascii"))

    def close(self, reason: str = "") -> bytes:
        """The normal end."""
        return self._websocket.close(reason=reason)

    def _on_piece(self, piece: MessagePiece) -> None:
        data = piece.data
        if piece.first:
            self._channel = None
            self._held = b""
            self._padded = False
        if self._channel is None and data:
            self._channel = data[0] - (_DIGIT_ZERO if self._encoding is Encoding.BASE64 else 0)
            data = data[1:]
        if self._channel == CLOSE_CHANNEL and self._close_signal:
            self._on_close_signal(data, last=piece.last)
        elif self._channel is not None and 0 <= self._channel < self._count:
            plain = data if self._encoding is Encoding.BINARY else self._decode(data, last=piece.last)
            if plain:
                self._events.append(ChannelData(self._channel, plain))

    def _on_close_signal(self, data: bytes, *, last: bool) -> None:
        self._held += data
        if len(self._held) > 1 or (last and (not self._held or self._held[0] >= self._count)):
            text = f"the close signal must name one of {self._count} channels in one byte"
            raise self._websocket.fail(_PROTOCOL_ERROR, text)
        if last:
            self._events.append(ChannelClosed(self._held[0]))

    def _decode(self, data: bytes, *, last: bool) -> bytes:
        """Base64 comes in fours; what is left over waits for the message's next piece. Padding ends it."""
        data = self._held + data.translate(None, b"\r\n")
        whole = len(data) if last else len(data) - len(data) % _QUANTUM
        self._held = data[whole:]
        try:
            if data and self._padded:
                raise binascii.Error("data after padding")
            plain = base64.b64decode(data[:whole], validate=True)
        except binascii.Error as exc:
            raise self._websocket.fail(_INVALID_DATA, f"channel {self._channel}: message is no base64: {exc}") from exc
        self._padded = data[:whole].endswith(b"=")
        return plain
