"""Output from a pipe to log and hub; input through its queue."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conmon import protocol
from conmon.hub import Hub
from conmon.logfile import LogFile, open_log
from conmon.reactor import Reactor
from conmon.stdio import Input, Output, make_pipe


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor that is closed afterwards."""
    made = Reactor(lambda *_: None)
    yield made
    made.close()


def test_pipe_belongs_to_the_given_user_and_is_large() -> None:
    reader, writer = make_pipe(os.getuid(), os.getgid())
    try:
        assert os.fstat(writer).st_uid == os.getuid()
        assert not os.get_inheritable(reader) and not os.get_inheritable(writer)
        os.set_blocking(writer, False)
        assert os.write(writer, bytes(1 << 20)) >= 65536
    finally:
        os.close(reader)
        os.close(writer)


def test_output_is_logged_to_its_end(reactor: Reactor, tmp_path: Path) -> None:
    log = LogFile(open_log(str(tmp_path / "log"))[0])
    reader, writer = os.pipe()
    output = Output(reactor, reader, protocol.STDERR, log, Hub(False, False).publish)
    os.write(writer, b"a\nb")
    reactor.turn(1.0)
    os.write(writer, b"c")
    os.close(writer)
    output.drain(float("inf"))
    assert output.ended
    output.close()
    log.close()
    assert [line.partition(b" ")[2] for line in (tmp_path / "log").read_bytes().splitlines()] == [
        b"stderr F a",
        b"stderr F bc",
    ]


def test_input_waits_for_its_reader_and_ends_when_all_is_delivered(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    room: list[bool] = []
    stdin = Input(reactor, writer, False, lambda: room.append(True))
    data = os.urandom(300_000)
    stdin.write(data)
    assert stdin.full
    stdin.end()
    stdin.write(b"dropped")
    got = b""
    while part := os.read(reader, 65536):
        got += part
        reactor.turn(0)
    assert got == data and stdin.closed and room
    os.close(reader)


def test_input_of_a_container_that_has_closed_it(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    stdin = Input(reactor, writer, False, lambda: None)
    os.close(reader)
    stdin.write(b"x")
    assert stdin.closed
    stdin.write(b"y")
    stdin.end()


def test_end_of_a_terminals_input_is_typed(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    stdin = Input(reactor, writer, True, lambda: None)
    stdin.write(b"text")
    stdin.end()
    assert os.read(reader, 100) == b"text\x04"
    os.close(reader)


def test_text_without_newline_is_logged_soon_and_a_line_in_quick_parts_stays_whole(
    reactor: Reactor, tmp_path: Path
) -> None:
    log = LogFile(open_log(str(tmp_path / "log"))[0])
    reader, writer = os.pipe()
    output = Output(reactor, reader, protocol.STDOUT, log, Hub(False, False).publish)
    output.resume(b"th", 0.0, split=False)
    for part in (b"is", b" is a line\n", b"name? "):
        os.write(writer, part)
        reactor.turn(0)
    began = time.monotonic()
    while not (tmp_path / "log").read_bytes().endswith(b"name? \n"):
        reactor.turn(0.01)
        assert time.monotonic() - began < 5
    os.close(writer)
    output.drain(float("inf"))
    log.close()
    assert [line.partition(b" ")[2] for line in (tmp_path / "log").read_bytes().splitlines()] == [
        b"stdout F this is a line",
        b"stdout P name? ",
        b"stdout F ",
    ]
