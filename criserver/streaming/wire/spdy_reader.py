"""Bytes → SPDY/3.1 frames: every length is checked before it is believed.

A DATA frame is given out piece by piece as it comes, as views of the received chunk, so its 16 MiB cost no memory.
A control frame is held until it is whole, up to `max_control_frame`; one of an unknown type is skipped unread.
It must not know streams or their states, only layout.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from criserver.streaming.wire.machine import NEED_DATA, Buffer, NeedData, RemoteProtocolError
from criserver.streaming.wire.receive_buffer import ReceiveBuffer
from criserver.streaming.wire.spdy_frames import (
    MAX_STREAM_ID,
    VERSION,
    DataPiece,
    Flag,
    Frame,
    FrameType,
    GoAway,
    HeadersFrame,
    Ping,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
)
from criserver.streaming.wire.spdy_headers import HeaderDecompressor

_HEAD = struct.Struct(">II")
_ONE = struct.Struct(">I")
_TWO = struct.Struct(">II")
_SYN_STREAM_SIZE = 10
_MAX_SETTINGS = 64
"""SETTINGS entries taken; the draft defines eight ids."""


@dataclass(frozen=True, slots=True)
class SpdyLimits:
    """What one connection may cost. Kubernetes' own frames stay under 1 KiB and five headers."""

    max_control_frame: int = 16 * 1024
    """Payload bytes; the draft requires at least 8 KiB."""
    max_header_block: int = 32 * 1024
    """Bytes that a header block may inflate to."""
    max_headers: int = 64
    """Names in one header block."""
    max_streams: int = 2048
    """Streams that the peer may have open at once: 1024 forwarded connections."""


class FrameReader:
    """One direction of one connection."""

    __slots__ = ("_buffer", "_control", "_data_fin", "_data_id", "_data_left", "_inflate", "_limits", "_skip")

    def __init__(self, limits: SpdyLimits) -> None:
        self._limits = limits
        self._buffer = ReceiveBuffer()
        self._inflate = HeaderDecompressor(limits.max_header_block, limits.max_headers)
        self._control: tuple[FrameType, int, int] | None = None
        self._data_id = 0
        self._data_left = 0
        self._data_fin = False
        self._skip = 0

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer.feed(data)

    def next_frame(self) -> Frame | NeedData:
        """The next frame or piece of one; RemoteProtocolError when the bytes are no SPDY/3.1."""
        while True:
            if self._data_left:
                return self._data_piece(first=False)
            if self._control is not None:
                return self._control_frame()
            if self._skip:
                skipped = len(self._buffer.take_some(self._skip))
                self._skip -= skipped
                if not skipped:
                    return NEED_DATA
                continue
            head = self._buffer.take(_HEAD.size)
            if head is None:
                return NEED_DATA
            word, rest = _HEAD.unpack(head)
            if word < 1 << 31:
                return self._start_data(word, rest)
            self._start_control(word, rest >> 24, rest & 0xFFFFFF)

    def _start_data(self, stream_id: int, rest: int) -> Frame:
        if not stream_id:
            raise RemoteProtocolError("SPDY DATA frame for stream 0")
        self._data_id = stream_id
        self._data_left = rest & 0xFFFFFF
        self._data_fin = bool(rest >> 24 & Flag.FIN)
        piece = self._data_piece(first=True)
        # A frame whose payload has not begun to come is still told: its stream may have to be refused.
        return DataPiece(stream_id, memoryview(b""), True, False) if piece is NEED_DATA else piece

    def _data_piece(self, *, first: bool) -> DataPiece | NeedData:
        piece = self._buffer.take_some(self._data_left)
        size = len(piece)
        if not size and self._data_left:
            return NEED_DATA
        self._data_left -= size
        return DataPiece(self._data_id, piece, first, self._data_fin and not self._data_left)

    def _start_control(self, word: int, flags: int, length: int) -> None:
        version = word >> 16 & 0x7FFF
        if version != VERSION:
            raise RemoteProtocolError(f"SPDY version {version} in a control frame; only {VERSION} is spoken")
        try:
            frame_type = FrameType(word & 0xFFFF)
        except ValueError:
            self._skip = length
            return
        if length > self._limits.max_control_frame:
            raise RemoteProtocolError(
                f"SPDY {frame_type.name} frame of {length} bytes; at most {self._limits.max_control_frame} are taken"
            )
        self._control = (frame_type, flags, length)

    def _control_frame(self) -> Frame | NeedData:
        assert self._control is not None
        frame_type, flags, length = self._control
        payload = self._buffer.take(length)
        if payload is None:
            return NEED_DATA
        self._control = None
        return _PARSERS[frame_type](payload, flags, self._inflate)


def _syn_stream(payload: Buffer, flags: int, inflate: HeaderDecompressor) -> SynStream:
    stream_id = _stream_id(FrameType.SYN_STREAM, payload, _SYN_STREAM_SIZE)
    block = inflate.decompress(payload[_SYN_STREAM_SIZE:])
    return SynStream(stream_id, block, Flag(flags & (Flag.FIN | Flag.UNIDIRECTIONAL)))


def _syn_reply(payload: Buffer, flags: int, inflate: HeaderDecompressor) -> SynReply:
    stream_id = _stream_id(FrameType.SYN_REPLY, payload, _ONE.size)
    return SynReply(stream_id, inflate.decompress(payload[_ONE.size :]), Flag(flags & Flag.FIN))


def _headers(payload: Buffer, flags: int, inflate: HeaderDecompressor) -> HeadersFrame:
    stream_id = _stream_id(FrameType.HEADERS, payload, _ONE.size)
    return HeadersFrame(stream_id, inflate.decompress(payload[_ONE.size :]), Flag(flags & Flag.FIN))


def _rst_stream(payload: Buffer, _flags: int, _inflate: HeaderDecompressor) -> RstStream:
    stream_id, status = _pair(FrameType.RST_STREAM, payload)
    return RstStream(stream_id & MAX_STREAM_ID, status)


def _settings(payload: Buffer, _flags: int, _inflate: HeaderDecompressor) -> Settings:
    count = _ONE.unpack_from(payload)[0] if len(payload) >= _ONE.size else -1
    if len(payload) != _ONE.size + count * _TWO.size or count > _MAX_SETTINGS:
        raise RemoteProtocolError(f"SPDY SETTINGS frame of {len(payload)} bytes claims {count} entries")
    entries = _TWO.iter_unpack(payload[_ONE.size :])
    return Settings(tuple((entry & 0xFFFFFF, value) for entry, value in entries))


def _ping(payload: Buffer, _flags: int, _inflate: HeaderDecompressor) -> Ping:
    _exactly(FrameType.PING, payload, _ONE.size)
    return Ping(_ONE.unpack(payload)[0])


def _go_away(payload: Buffer, _flags: int, _inflate: HeaderDecompressor) -> GoAway:
    last, status = _pair(FrameType.GOAWAY, payload)
    return GoAway(last & MAX_STREAM_ID, status)


def _window_update(payload: Buffer, _flags: int, _inflate: HeaderDecompressor) -> WindowUpdate:
    stream_id, delta = _pair(FrameType.WINDOW_UPDATE, payload)
    return WindowUpdate(stream_id & MAX_STREAM_ID, delta & MAX_STREAM_ID)


_PARSERS: dict[FrameType, Callable[[Buffer, int, HeaderDecompressor], Frame]] = {
    FrameType.SYN_STREAM: _syn_stream,
    FrameType.SYN_REPLY: _syn_reply,
    FrameType.RST_STREAM: _rst_stream,
    FrameType.SETTINGS: _settings,
    FrameType.PING: _ping,
    FrameType.GOAWAY: _go_away,
    FrameType.HEADERS: _headers,
    FrameType.WINDOW_UPDATE: _window_update,
}


def _exactly(frame_type: FrameType, payload: Buffer, size: int) -> None:
    if len(payload) != size:
        raise RemoteProtocolError(f"SPDY {frame_type.name} frame of {len(payload)} bytes; it must have {size}")


def _pair(frame_type: FrameType, payload: Buffer) -> tuple[int, int]:
    _exactly(frame_type, payload, _TWO.size)
    first, second = _TWO.unpack(payload)
    return first, second


def _stream_id(frame_type: FrameType, payload: Buffer, fixed: int) -> int:
    if len(payload) < fixed:
        raise RemoteProtocolError(f"SPDY {frame_type.name} frame of {len(payload)} bytes; it needs at least {fixed}")
    stream_id: int = _ONE.unpack_from(payload)[0] & MAX_STREAM_ID
    if not stream_id:
        raise RemoteProtocolError(f"SPDY {frame_type.name} frame for stream 0")
    return stream_id
