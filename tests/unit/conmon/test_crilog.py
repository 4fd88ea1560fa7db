"""The log format, against a plain model of it, whatever the borders of the chunks."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conmon import crilog
from conmon.crilog import PIECE, Formatter

NOW = 1_700_000_000_123_456_789
STAMP = b"2023-11-14T22:13:20.123456789Z"
LINE = re.compile(rb"\A(\S+) (stdout|stderr) ([FP]) (.*)\Z", re.DOTALL)


def written(*chunks: bytes, finish: bool = True) -> bytes:
    """The log of a stream that came in as *chunks*."""
    formatter = Formatter("stdout")
    out = b"".join(b"".join(formatter.feed(chunk, NOW)) for chunk in chunks)
    return out + (b"".join(formatter.finish(NOW)) if finish else b"")


def parsed(log: bytes) -> list[tuple[bytes, bytes]]:
    """Tag and text of each line, as the kubelet's parser reads them."""
    assert not log or log.endswith(b"\n")
    found = []
    for line in log.split(b"\n")[:-1]:
        match = LINE.match(line)
        assert match and match[1] == STAMP, line
        found.append((match[3], match[4]))
    return found


def joined(log: bytes) -> bytes:
    """The text that kubectl logs shows: F ends a line, P does not."""
    return b"".join(text + (b"\n" if tag == b"F" else b"") for tag, text in parsed(log))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], [(b"F", b"a"), (b"F", b"b")]),
        ([b"\n\n"], [(b"F", b""), (b"F", b"")]),
        ([b"a", b"b\n"], [(b"F", b"ab")]),
        ([b"a\nb", b"c\nd\n"], [(b"F", b"a"), (b"F", b"bc"), (b"F", b"d")]),
        ([b"tail"], [(b"F", b"tail")]),
        ([b"a\r\n"], [(b"F", b"a\r")]),
        ([b"x" * PIECE + b"\n"], [(b"F", b"x" * PIECE)]),
        ([b"x" * (PIECE + 1) + b"\n"], [(b"P", b"x" * PIECE), (b"F", b"x")]),
        ([b"x" * 2 * PIECE + b"\n"], [(b"P", b"x" * PIECE), (b"F", b"x" * PIECE)]),
        ([b"x" * 2 * PIECE], [(b"P", b"x" * PIECE), (b"P", b"x" * PIECE), (b"F", b"")]),
        (
            [b"a\n" + b"x" * (PIECE + 5) + b"\nb\n"],
            [(b"F", b"a"), (b"P", b"x" * PIECE), (b"F", b"xxxxx"), (b"F", b"b")],
        ),
        ([], []),
    ],
)
def test_examples(chunks: list[bytes], expected: list[tuple[bytes, bytes]]) -> None:
    assert parsed(written(*chunks)) == expected


lengths = st.sampled_from([0, 1, 5, 100, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7])


@settings(max_examples=150, deadline=None)
@given(st.lists(lengths, max_size=12), st.lists(st.integers(1, 5 * PIECE), max_size=8), st.booleans())
def test_any_borders_give_the_same_text(lines: list[int], cuts: list[int], ended: bool) -> None:
    text = b"".join(bytes([97 + number % 26]) * length + b"\n" for number, length in enumerate(lines))
    text = text if ended else text + b"tail"
    chunks, rest = [], text
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    log = written(*(chunk for chunk in (*chunks, rest) if chunk))
    assert joined(log) == text + (b"" if ended or not text else b"\n")
    assert all(len(piece) <= PIECE for _, piece in parsed(log))


def test_byte_by_byte_is_as_whole() -> None:
    text = b"one\n\ntwo three\nfour"
    assert written(*(text[at : at + 1] for at in range(len(text)))) == written(text)


def test_flush_gives_the_waiting_text_out_once() -> None:
    formatter = Formatter("stderr")
    assert formatter.feed(b"login: ", NOW) == []
    assert b"".join(formatter.flush(NOW)) == STAMP + b" stderr P login: \n"
    assert formatter.flush(NOW) == []
    assert b"".join(formatter.feed(b"root\n", NOW)) == STAMP + b" stderr F root\n"
    assert formatter.finish(NOW) == []


def test_a_flushed_line_is_ended_at_the_end_of_the_stream() -> None:
    formatter = Formatter("stdout")
    formatter.feed(b"x", NOW)
    formatter.flush(NOW)
    assert b"".join(formatter.finish(NOW)) == STAMP + b" stdout F \n"
    assert formatter.finish(NOW) == []


def test_what_waits_is_bounded() -> None:
    formatter = Formatter("stdout")
    for _ in range(100):
        formatter.feed(b"x" * 1000, NOW)
        assert len(formatter.pending) <= PIECE


@given(st.integers(0, 4_102_444_800 * 10**9))
def test_stamp_is_the_time(now_ns: int) -> None:
    seconds, nanoseconds = divmod(now_ns, 10**9)
    date = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert crilog.stamp(now_ns, b" x") == f"{date}.{nanoseconds:09d}Z x".encode()


@pytest.mark.parametrize(
    "date", ["2024-02-28", "2024-02-29", "2024-03-01", "2000-02-29", "2100-02-28", "2100-03-01", "1999-12-31"]
)
def test_stamp_at_borders_of_the_calendar(date: str) -> None:
    seconds = int(datetime.fromisoformat(f"{date}T23:59:59+00:00").timestamp())
    for offset in (0, 1):
        expected = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(seconds + offset))
        assert crilog.stamp((seconds + offset) * 10**9, b"").decode() == expected


def test_since_is_the_time_at_which_waiting_text_began() -> None:
    formatter = Formatter("stdout")
    formatter.feed(b"a", NOW)
    formatter.feed(b"b", NOW + 1)
    assert (formatter.pending, formatter.since) == (b"ab", NOW)
    formatter.feed(b"c\nd", NOW + 2)
    assert (formatter.pending, formatter.since) == (b"d", NOW + 2)


def test_goes_on_where_another_one_stopped() -> None:
    formatter = Formatter("stdout")
    formatter.resume(b"", NOW, split=True)
    assert b"".join(formatter.finish(NOW)).endswith(b" stdout F \n")
    formatter.resume(b"a", NOW, split=False)
    assert b"".join(formatter.feed(b"b\n", NOW)).endswith(b" stdout F ab\n")
