"""Exec and attach over SPDY: one stream each for error, stdin, stdout, stderr and resize, named by `streamType`."""

from __future__ import annotations

from collections import deque
from typing import Final

from criserver.streaming.wire.machine import NEED_DATA, Answer, Buffer, NeedData, first_value
from criserver.streaming.wire.remotecommand import (
    OutputRefused,
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
from criserver.streaming.wire.spdy import Role, SpdyConnection
from criserver.streaming.wire.spdy_events import DataReceived, GoAwayReceived, SpdyEvent, StreamOpened, StreamReset
from criserver.streaming.wire.spdy_frames import Reset
from criserver.streaming.wire.spdy_reader import SpdyLimits

_LIMITS: Final = SpdyLimits(max_streams=len(StreamType))
_TYPES: Final = {stream.value: stream for stream in StreamType}


class SpdyRemoteCommand:
    """A `RemoteCommand` on a SPDY connection, from the first byte after the upgrade."""

    def __init__(self, version: Version, options: StreamOptions) -> None:
        self._spdy = SpdyConnection(Role.SERVER, limits=_LIMITS)
        self._version = version
        self._options = options
        self._missing = set(options.expected(version))
        self._ids: dict[StreamType, int] = {}
        self._types: dict[int, StreamType] = {}
        self._resizes = ResizeDecoder()
        self._events: deque[RemoteCommandEvent] = deque()

    @property
    def missing(self) -> frozenset[StreamType]:
        """Streams that the client has still to open."""
        return frozenset(self._missing)

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; then drain `next_event()`."""
        self._spdy.receive_data(data)

    def next_event(self) -> RemoteCommandEvent | NeedData:
        """The next thing the client did, or NEED_DATA; RemoteProtocolError when it broke the protocol."""
        while not self._events:
            event = self._spdy.next_event()
            if event is NEED_DATA or isinstance(event, Answer):
                return event
            self._translate(event)
        return self._events.popleft()

    def send_output(self, stream: StreamType, data: Buffer) -> list[Buffer]:
        """Output of the command; nothing when the client did not open that stream, or no longer wants it."""
        stream_id = self._ids.get(stream)
        if stream_id is None or not len(data) or not self._spdy.can_send(stream_id):
            return []
        return self._spdy.send_data(stream_id, data)

    def close_output(self, stream: StreamType) -> list[Buffer]:
        """The command closed this output."""
        return self._end(stream, b"")

    def finish(self, status: Status) -> list[Buffer]:
        """Outputs closed, the status told, the session over; close the connection after writing it."""
        out = self.close_output(StreamType.STDOUT) + self.close_output(StreamType.STDERR)
        out += self._end(StreamType.ERROR, status.encode(self._version))
        out += [self._spdy.reset(stream_id) for stream_id in self._spdy.open_streams]
        out.append(self._spdy.go_away())
        return out

    def _end(self, stream: StreamType, data: bytes) -> list[Buffer]:
        stream_id = self._ids.get(stream)
        if stream_id is None or not self._spdy.can_send(stream_id):
            return []
        return self._spdy.send_data(stream_id, data, end_stream=True)

    def _translate(self, event: SpdyEvent) -> None:
        if isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, StreamOpened):
            self._on_open(event)
        elif isinstance(event, StreamReset):
            self._on_reset(self._types.get(event.stream_id))
        elif isinstance(event, GoAwayReceived):
            self._events.append(PeerGone("the client said GOAWAY"))

    def _on_open(self, event: StreamOpened) -> None:
        stream = _TYPES.get(first_value(event.headers, "streamtype") or "")
        if stream is None or stream in self._ids:
            self._events.append(Answer(self._spdy.reset(event.stream_id, Reset.REFUSED_STREAM)))
            return
        self._ids[stream] = event.stream_id
        self._types[event.stream_id] = stream
        self._events.append(Answer(self._spdy.accept(event.stream_id)))
        if stream in self._missing:
            self._missing.remove(stream)
            if not self._missing:
                self._events.append(StreamsReady())
        if event.end_stream and stream is StreamType.STDIN:
            self._close_stdin()

    def _on_data(self, event: DataReceived) -> None:
        stream = self._types.get(event.stream_id)
        if stream is StreamType.STDIN:
            if self._options.stdin and len(event.data):
                self._events.append(StdinReceived(event.data))
            if event.end_stream:
                self._close_stdin()
        elif stream is StreamType.RESIZE:
            self._events.extend(Resized(size) for size in self._resizes.feed(event.data))

    def _on_reset(self, stream: StreamType | None) -> None:
        if stream is StreamType.STDIN:
            self._close_stdin()
        elif stream in (StreamType.STDOUT, StreamType.STDERR):
            self._events.append(OutputRefused(stream))

    def _close_stdin(self) -> None:
        if self._options.stdin:
            self._events.append(StdinClosed())
