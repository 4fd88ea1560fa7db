"""Exec and attach over WebSocket: the same streams as numbered channels of one connection."""

from __future__ import annotations

from collections import deque
from typing import Final

from criserver.streaming.wire.channels import ChannelClosed, ChannelConnection, ChannelData, Encoding
from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData
from criserver.streaming.wire.remotecommand import (
    CHANNELS,
    PeerGone,
    RemoteCommandEvent,
    Resized,
    Status,
    StdinClosed,
    StdinReceived,
    StreamOptions,
    StreamsReady,
    StreamType,
    Version,
)
from criserver.streaming.wire.resize import ResizeDecoder
from criserver.streaming.wire.websocket import WebSocketConnection

_STDIN: Final = CHANNELS[StreamType.STDIN]
_RESIZE: Final = CHANNELS[StreamType.RESIZE]


class WebSocketRemoteCommand:
    """A `RemoteCommand` on a WebSocket, from the first byte after the upgrade."""

    def __init__(self, version: Version, encoding: Encoding, options: StreamOptions) -> None:
        self._websocket = WebSocketConnection()
        self._channels = ChannelConnection(self._websocket, encoding, len(CHANNELS), close_signal=version >= Version.V5)
        self._version = version
        self._options = options
        self._writable = options.expected(version) & {StreamType.STDOUT, StreamType.STDERR}
        self._stdin_open = options.stdin
        self._resizes = ResizeDecoder()
        # An empty message on the first channel that can be read tells the client that the session stands.
        hello = min(self._writable | {StreamType.ERROR}, key=CHANNELS.__getitem__)
        greeting = Answer(self._channels.send(CHANNELS[hello], b""))
        self._events: deque[RemoteCommandEvent] = deque((greeting, StreamsReady()))

    @property
    def missing(self) -> frozenset[StreamType]:
        """Channels need no opening: none."""
        return frozenset()

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._channels.receive_data(data)

    def next_event(self) -> RemoteCommandEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""
        while not self._events:
            event = self._channels.next_event()
            if event is NEED_DATA or isinstance(event, Answer):
                return event
            if isinstance(event, ChannelData):
                self._on_data(event)
            elif isinstance(event, ChannelClosed):
                self._on_closed(event.channel)
            else:
                self._events.append(PeerGone(f"the client closed the WebSocket: {event.code} {event.reason}".rstrip()))
        return self._events.popleft()

    def send_output(self, stream: StreamType, data: Buffer) -> list[Buffer]:
        """Output of the command; nothing for a stream that was not asked for, or once the client closes."""
        if stream not in self._writable or not len(data):
            return []
        return self._message(stream, data)

    def close_output(self, stream: StreamType) -> list[Buffer]:
        """The protocol has no word for one output's end: nothing is sent, and nothing may follow on it."""
        self._writable -= {stream}
        return []

    def finish(self, status: Status) -> list[Buffer]:
        """The status told, the session over; close the connection after writing it."""
        body = status.encode(self._version)
        out = self._message(StreamType.ERROR, body) if body else []
        closing = self._channels.close()
        return [*out, closing] if closing else out

    def _message(self, stream: StreamType, data: Buffer) -> list[Buffer]:
        message = self._channels.send(CHANNELS[stream], data)
        return [message] if message else []

    def _on_data(self, event: ChannelData) -> None:
        if event.channel == _STDIN and self._stdin_open:
            self._events.append(StdinReceived(event.data))
        elif event.channel == _RESIZE:
            self._events.extend(Resized(size) for size in self._resizes.feed(event.data))

    def _on_closed(self, channel: int) -> None:
        if channel == _STDIN and self._stdin_open:
            self._stdin_open = False
            self._events.append(StdinClosed())
