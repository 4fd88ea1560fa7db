"""A companion answers, ends with its socket or by force, and tells how it ended."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from criserver.errors import FailedPrecondition
from criserver.kernel.companion import Companion

ECHO = """
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
while data := s.recv(100):
    s.send(b"%s %d" % (data, os.getpid()))
    if data == b"die":
        sys.exit("last words")
"""


def companion(program: str = ECHO) -> Companion:
    return Companion(lambda fd: (sys.executable, "-c", program, str(fd)), limit=100)


async def test_it_answers_and_goes_when_it_is_closed() -> None:
    echo = companion()
    await echo.packets.send(b"hello")
    word, _, pid = (await echo.packets.receive())[0].partition(b" ")
    assert word == b"hello"
    await echo.close()
    await echo.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


async def test_its_end_is_the_end_of_packets_and_has_words() -> None:
    echo = companion()
    await echo.packets.send(b"die")
    await echo.packets.receive()
    assert (await asyncio.wait_for(echo.packets.receive(), 10)) == (b"", [])
    done = await echo.ended()
    assert (done.returncode, "last words" in done.failure) == (1, True)
    await echo.close()


async def test_one_that_does_not_listen_is_killed() -> None:
    deaf = companion("import time; time.sleep(1000)")
    await asyncio.sleep(0.1)
    await asyncio.wait_for(deaf.close(), 5)


async def test_a_program_that_is_not_there() -> None:
    missing = Companion(lambda fd: ("/no/such/program",), limit=100)
    assert await missing.packets.receive() == (b"", [])
    with pytest.raises(FailedPrecondition, match="/no/such/program"):
        await missing.ended()
    await missing.close()
