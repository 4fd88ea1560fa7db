"""SPDY/3.1 frames as values, and as bytes to send.

    control frame:  1 (1 bit), version 3 (15 bits), type u16, flags u8, length u24, payload
    data frame:     0 (1 bit), stream id (31 bits), flags u8, length u24, payload
    SYN_STREAM 1:   stream id u32, associated stream u32, priority (3 bits) and unused (5 bits), slot u8, header block
    SYN_REPLY 2:    stream id u32, header block
    RST_STREAM 3:   stream id u32, status u32
    SETTINGS 4:     count u32, then count × (flags u8, id u24, value u32)
    PING 6:         id u32
    GOAWAY 7:       last good stream id u32, status u32
    HEADERS 8:      stream id u32, header block
    WINDOW_UPDATE 9: stream id u32 (0: the whole session), delta u32

(SPDY/3.1 draft, 2.2 and 2.6.) Layout only: it must not know which frame may follow which. Frames that carry a header
block hold it decompressed; compressing is `spdy_headers`'.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, TypeAlias

from criserver.streaming.wire.machine import Headers

VERSION: Final = 3
MAX_LENGTH: Final = (1 << 24) - 1
"""The largest payload that a frame's 24-bit length can say."""
MAX_STREAM_ID: Final = (1 << 31) - 1

_HEAD = struct.Struct(">II")
_ONE = struct.Struct(">I")
_TWO = struct.Struct(">II")
_SYN_STREAM = struct.Struct(">IIBx")


class FrameType(IntEnum):
    """Control frame types; others (NOOP 5, CREDENTIAL 10) are skipped, as the draft asks."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Flag(IntFlag):
    """Frame flags; FIN ends the sender's half of a stream; UNIDIRECTIONAL (SYN_STREAM alone) allows no reply."""

    NONE = 0
    FIN = 1
    UNIDIRECTIONAL = 2


class Reset(IntEnum):
    """RST_STREAM status codes (draft 2.6.3)."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


class GoAwayStatus(IntEnum):
    """GOAWAY status codes (draft 2.6.6)."""

    OK = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


class Setting(IntEnum):
    """The one setting that this implementation heeds."""

    INITIAL_WINDOW_SIZE = 7


class DataPiece(NamedTuple):
    """What has come of one DATA frame: `first` marks its first piece, `fin` the last piece of one with FIN.

    A tuple, not a dataclass: one is made for every piece of every transfer.
    """

    stream_id: int
    data: memoryview
    first: bool
    fin: bool


@dataclass(frozen=True, slots=True)
class SynStream:
    """The peer opens a stream."""

    stream_id: int
    headers: Headers
    flags: Flag


@dataclass(frozen=True, slots=True)
class SynReply:
    """The peer accepts a stream."""

    stream_id: int
    headers: Headers
    flags: Flag


@dataclass(frozen=True, slots=True)
class HeadersFrame:
    """Further headers on an open stream."""

    stream_id: int
    headers: Headers
    flags: Flag


@dataclass(frozen=True, slots=True)
class RstStream:
    """A stream ends at once, both halves."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """(id, value) pairs in the order they came."""

    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping or its echo; the id's parity tells whose it is."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """The sender takes no stream after `last_stream_id`."""

    last_stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """The peer may take `delta` more bytes, on a stream or (id 0) in all."""

    stream_id: int
    delta: int


Frame: TypeAlias = DataPiece | SynStream | SynReply | HeadersFrame | RstStream | Settings | Ping | GoAway | WindowUpdate


def syn_stream(stream_id: int, block: bytes, flags: Flag) -> bytes:
    """SYN_STREAM with an already compressed header block, no associated stream, highest priority."""
    return control(FrameType.SYN_STREAM, _SYN_STREAM.pack(stream_id, 0, 0) + block, flags)


def syn_reply(stream_id: int, block: bytes, flags: Flag) -> bytes:
    """SYN_REPLY with an already compressed header block."""
    return control(FrameType.SYN_REPLY, _ONE.pack(stream_id) + block, flags)


def headers(stream_id: int, block: bytes, flags: Flag) -> bytes:
    """HEADERS with an already compressed header block."""
    return control(FrameType.HEADERS, _ONE.pack(stream_id) + block, flags)


def rst_stream(stream_id: int, status: Reset) -> bytes:
    """RST_STREAM."""
    return control(FrameType.RST_STREAM, _TWO.pack(stream_id, status))


def settings(values: tuple[tuple[Setting, int], ...]) -> bytes:
    """SETTINGS, none of them to be kept by the peer."""
    entries = b"".join(_TWO.pack(setting, value) for setting, value in values)
    return control(FrameType.SETTINGS, _ONE.pack(len(values)) + entries)


def ping(ping_id: int) -> bytes:
    """PING, or the echo of one."""
    return control(FrameType.PING, _ONE.pack(ping_id))


def go_away(last_stream_id: int, status: GoAwayStatus) -> bytes:
    """GOAWAY."""
    return control(FrameType.GOAWAY, _TWO.pack(last_stream_id, status))


def window_update(stream_id: int, delta: int) -> bytes:
    """WINDOW_UPDATE."""
    return control(FrameType.WINDOW_UPDATE, _TWO.pack(stream_id, delta))


def data_head(stream_id: int, length: int, fin: bool) -> bytes:
    """The eight bytes before a DATA frame's payload, which is written as it is."""
    return _HEAD.pack(stream_id, (Flag.FIN << 24 if fin else 0) | length)


def control(frame_type: int, payload: bytes, flags: int = 0) -> bytes:
    """Any control frame around its payload."""
    return _HEAD.pack(1 << 31 | VERSION << 16 | frame_type, flags << 24 | len(payload)) + payload
