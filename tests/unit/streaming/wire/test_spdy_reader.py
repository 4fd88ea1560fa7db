from __future__ import annotations

import tracemalloc

import pytest

from criserver.streaming.wire import spdy_frames as frames
from criserver.streaming.wire.machine import NEED_DATA, RemoteProtocolError
from criserver.streaming.wire.spdy_frames import DataPiece, Flag, Frame, GoAwayStatus, Reset, Setting
from criserver.streaming.wire.spdy_headers import HeaderCompressor
from criserver.streaming.wire.spdy_reader import FrameReader, SpdyLimits
from tests.unit.streaming.wire.kit import cut

LIMITS = SpdyLimits(max_control_frame=8192, max_header_block=1024, max_headers=8, max_streams=4)
HEADERS = (("streamtype", "data"), ("port", "80"))


def read(data: bytes, size: int | None = None) -> list[Frame]:
    reader = FrameReader(LIMITS)
    found: list[Frame] = []
    for piece in cut(data, size or len(data)):
        reader.receive_data(piece)
        while (frame := reader.next_frame()) is not NEED_DATA:
            found.append(frame)
    return found


def control_frames() -> bytes:
    compress = HeaderCompressor().compress
    return b"".join(
        (
            frames.syn_stream(1, compress(HEADERS), Flag.FIN | Flag.UNIDIRECTIONAL),
            frames.syn_reply(1, compress(HEADERS), Flag.FIN),
            frames.headers(1, compress(HEADERS), Flag.NONE),
            frames.rst_stream(1, Reset.CANCEL),
            frames.settings(((Setting.INITIAL_WINDOW_SIZE, 9), (Setting.INITIAL_WINDOW_SIZE, 1))),
            frames.ping(2),
            frames.go_away(3, GoAwayStatus.OK),
            frames.window_update(0, 10),
        )
    )


@pytest.mark.parametrize("size", [None, 1, 5, 8, 13])
def test_control_frames(size: int | None) -> None:
    assert read(control_frames(), size) == [
        frames.SynStream(1, HEADERS, Flag.FIN | Flag.UNIDIRECTIONAL),
        frames.SynReply(1, HEADERS, Flag.FIN),
        frames.HeadersFrame(1, HEADERS, Flag.NONE),
        frames.RstStream(1, Reset.CANCEL),
        frames.Settings(((7, 9), (7, 1))),
        frames.Ping(2),
        frames.GoAway(3, GoAwayStatus.OK),
        frames.WindowUpdate(0, 10),
    ]


def test_data_is_a_view_of_what_was_received() -> None:
    raw = frames.data_head(1, 5, True) + b"hello"
    (piece,) = read(raw)
    assert isinstance(piece, DataPiece)
    assert piece.data.obj is not None
    assert (bytes(piece.data), piece.first, piece.fin) == (b"hello", True, True)


def test_data_comes_as_it_comes() -> None:
    raw = frames.data_head(1, 5, True) + b"hello" + frames.data_head(3, 0, True)
    pieces = [piece for piece in read(raw, 10) if isinstance(piece, DataPiece)]
    assert [(piece.stream_id, bytes(piece.data), piece.first, piece.fin) for piece in pieces] == [
        (1, b"he", True, False),
        (1, b"llo", False, True),
        (3, b"", True, True),
    ]


def test_a_large_data_frame_is_not_held() -> None:
    """A frame that claims 16 MiB costs what has come of it, no more."""
    reader = FrameReader(LIMITS)
    tracemalloc.start()
    try:
        reader.receive_data(frames.data_head(1, frames.MAX_LENGTH, True))
        assert reader.next_frame() == DataPiece(1, memoryview(b""), True, False)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_unknown_control_frames_are_skipped_unheld() -> None:
    unknown = frames.control(10, bytes(100_000))
    assert read(unknown + frames.ping(1), 1000) == [frames.Ping(1)]
    assert read(frames.control(5, b"") + frames.ping(1)) == [frames.Ping(1)]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (frames.control(1, bytes(8193)), "SYN_STREAM frame of 8193 bytes; at most 8192"),
        (b"\x80\x03\x00\x04\x00\xff\xff\xff", "SETTINGS frame of 16777215 bytes"),
        (b"\x80\x02\x00\x06\x00\x00\x00\x04", "SPDY version 2"),
        (frames.data_head(0, 1, False) + b"x", "DATA frame for stream 0"),
        (frames.control(1, b"\0\0\0\1"), "SYN_STREAM frame of 4 bytes; it needs at least 10"),
        (frames.control(1, bytes(20)), "SYN_STREAM frame for stream 0"),
        (frames.control(2, b""), "SYN_REPLY frame of 0 bytes"),
        (frames.control(3, b"\0\0\0\1"), "RST_STREAM frame of 4 bytes; it must have 8"),
        (frames.control(4, b""), "SETTINGS frame of 0 bytes"),
        (frames.control(4, b"\xff\xff\xff\xff"), "claims 4294967295 entries"),
        (frames.control(4, b"\0\0\0\2" + bytes(8)), "claims 2 entries"),
        (frames.control(4, b"\0\0\0\x41" + bytes(8 * 65)), "claims 65 entries"),
        (frames.control(6, bytes(5)), "PING frame of 5 bytes"),
        (frames.control(7, bytes(4)), "GOAWAY frame of 4 bytes"),
        (frames.control(9, bytes(9)), "WINDOW_UPDATE frame of 9 bytes"),
    ],
)
def test_hostile_frames(raw: bytes, words: str) -> None:
    """CVE-2026-35469: lengths and counts are refused before anything of their size is made."""
    with pytest.raises(RemoteProtocolError, match=words):
        read(raw)
    with pytest.raises(RemoteProtocolError, match=words):
        read(raw, 1)


def test_a_huge_claim_is_refused_on_its_head_alone() -> None:
    with pytest.raises(RemoteProtocolError, match="HEADERS frame of 16777215 bytes"):
        read(b"\x80\x03\x00\x08\x00\xff\xff\xff")
