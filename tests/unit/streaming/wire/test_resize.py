from __future__ import annotations

import pytest

from criserver.streaming.wire.remotecommand import TerminalSize
from criserver.streaming.wire.resize import MAX_OBJECT, ResizeDecoder

GO = b'{"Width":80,"Height":24}\n{"Width":81,"Height":25}\n'


@pytest.mark.parametrize("size", [1, 7, 100])
def test_objects_cut_anywhere(size: int) -> None:
    decoder = ResizeDecoder()
    sizes = [found for start in range(0, len(GO), size) for found in decoder.feed(GO[start : start + size])]
    assert sizes == [TerminalSize(80, 24), TerminalSize(81, 25)]


def test_letter_case_and_missing_sides() -> None:
    assert ResizeDecoder().feed(b'{"width":1,"HEIGHT":2}{}') == [TerminalSize(1, 2), TerminalSize(0, 0)]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"Width":-1,"Height":2}',
        b'{"Width":65536,"Height":2}',
        b'{"Width":1.5,"Height":2}',
        b'{"Width":true,"Height":2}',
        b'{"Width":"80","Height":2}',
        b"[1,2]}",
        b"}",
        b"\xff}",
        b" " * MAX_OBJECT + b"{}",
        b"[" * MAX_OBJECT + b"}",
        b"x" * (MAX_OBJECT + 1),
    ],
)
def test_what_is_no_size_ends_the_listening(bad: bytes) -> None:
    decoder = ResizeDecoder()
    assert decoder.feed(GO + bad + GO) == [TerminalSize(80, 24), TerminalSize(81, 25)]
    assert decoder.feed(GO) == []


def test_what_is_held_is_bounded() -> None:
    decoder = ResizeDecoder()
    for _ in range(1000):
        decoder.feed(b"x" * 100)
    assert decoder.feed(GO) == []
