"""Output pipes keep what they may, drop the rest, and end once."""

from __future__ import annotations

import asyncio
import fcntl
import os

from criserver.kernel.pipes import Sink, stdio_pipe


async def test_keeps_the_limit_and_reads_on() -> None:
    sink = Sink(limit=5)
    theirs = sink.open()
    end = sink.attach(asyncio.get_running_loop())
    os.write(theirs, b"0123456789")
    os.write(theirs, b"x" * 60000)
    os.close(theirs)
    await asyncio.wait_for(end, 5)
    assert (bytes(sink.kept), sink.truncated) == (b"01234", True)


async def test_exactly_the_limit_is_not_truncated() -> None:
    sink = Sink(limit=4)
    theirs = sink.open()
    end = sink.attach(asyncio.get_running_loop())
    os.write(theirs, b"0123")
    os.close(theirs)
    await asyncio.wait_for(end, 5)
    assert (bytes(sink.kept), sink.truncated) == (b"0123", False)


async def test_close_ends_the_wait_and_is_idempotent() -> None:
    sink = Sink(limit=4)
    theirs = sink.open()
    loop = asyncio.get_running_loop()
    end = sink.attach(loop)
    assert sink.attach(loop) is end
    sink.close()
    sink.close()
    await asyncio.wait_for(end, 5)
    os.close(theirs)


async def test_attached_after_close_has_ended() -> None:
    sink = Sink(limit=4)
    os.close(sink.open())
    sink.close()
    assert sink.attach(asyncio.get_running_loop()).done()


def test_stdio_pipes_are_large_and_only_ours_does_not_block() -> None:
    for writes in (True, False):
        ours, theirs = stdio_pipe(writes=writes, size=256 << 10)
        try:
            assert not os.get_blocking(ours)
            assert os.get_blocking(theirs)
            assert not os.get_inheritable(ours)
            reader, writer = (ours, theirs) if writes else (theirs, ours)
            os.write(writer, b"x")
            assert os.read(reader, 10) == b"x"
            assert fcntl.fcntl(ours, fcntl.F_GETPIPE_SZ) in (256 << 10, 64 << 10, 8 << 10, 4 << 10)
        finally:
            os.close(ours)
            os.close(theirs)
