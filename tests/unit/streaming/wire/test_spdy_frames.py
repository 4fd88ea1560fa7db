"""The bytes of frames, written out by hand from the draft's pictures."""

from __future__ import annotations

import pytest

from criserver.streaming.wire import spdy_frames as frames
from criserver.streaming.wire.spdy_frames import Flag, GoAwayStatus, Reset, Setting


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (frames.syn_stream(3, b"ZZ", Flag.FIN), "8003 0001 01 00000c 00000003 00000000 00 00 5a5a"),
        (frames.syn_reply(3, b"ZZ", Flag.NONE), "8003 0002 00 000006 00000003 5a5a"),
        (frames.headers(3, b"ZZ", Flag.FIN), "8003 0008 01 000006 00000003 5a5a"),
        (frames.rst_stream(3, Reset.CANCEL), "8003 0003 00 000008 00000003 00000005"),
        (frames.ping(7), "8003 0006 00 000004 00000007"),
        (frames.go_away(5, GoAwayStatus.PROTOCOL_ERROR), "8003 0007 00 000008 00000005 00000001"),
        (frames.window_update(0, 4096), "8003 0009 00 000008 00000000 00001000"),
        (frames.settings(((Setting.INITIAL_WINDOW_SIZE, 9),)), "8003 0004 00 00000c 00000001 00000007 00000009"),
        (frames.data_head(3, 5, False), "00000003 00 000005"),
        (frames.data_head(0x7FFFFFFF, frames.MAX_LENGTH, True), "7fffffff 01 ffffff"),
    ],
)
def test_layout(made: bytes, written: str) -> None:
    assert made == bytes.fromhex(written)
