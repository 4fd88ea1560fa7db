"""What a SPDY connection tells its owner. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from criserver.streaming.wire.machine import Answer, Headers


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream: answer with `accept()` or `reset()`. `end_stream`: it will send nothing on it."""

    stream_id: int
    headers: Headers
    end_stream: bool


@dataclass(frozen=True, slots=True)
class StreamAccepted:
    """The peer replied to a stream that this side opened."""

    stream_id: int
    headers: Headers
    end_stream: bool


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """Further headers on an open stream."""

    stream_id: int
    headers: Headers
    end_stream: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes of a stream, a view of the received chunk; `end_stream`: the last ones (they may be none)."""

    stream_id: int
    data: memoryview
    end_stream: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """A stream is gone in both directions; `status` as in `spdy_frames.Reset`, or a number the draft does not know."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """More may be sent on the stream, or (id 0) in all; ask `window()` how much."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PingAnswered:
    """The peer echoed a ping of this side."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The peer takes no stream after `last_stream_id`; those open may still end in peace."""

    last_stream_id: int
    status: int


SpdyEvent: TypeAlias = (
    StreamOpened
    | StreamAccepted
    | HeadersReceived
    | DataReceived
    | StreamReset
    | WindowOpened
    | PingAnswered
    | GoAwayReceived
    | Answer
)
