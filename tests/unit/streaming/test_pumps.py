from __future__ import annotations

import asyncio
import os
import socket

from criserver.streaming.pumps import Feeder, Pressure, Source, close_input, keep_input, shut_input


def pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer


async def test_source_reads_to_the_end() -> None:
    reader, writer = pipe()
    got = bytearray()
    source = Source(reader, got.extend)
    os.write(writer, b"before")
    await asyncio.sleep(0.01)
    assert not got  # not before it is told to
    source.resume()
    os.close(writer)
    assert await asyncio.wait_for(source.done, 5) == ""
    assert got == b"before"


async def test_paused_source_still_has_a_rest() -> None:
    reader, writer = pipe()
    got = bytearray()
    source = Source(reader, got.extend)
    os.write(writer, b"rest")
    source.rest(1 << 20)
    assert got == b"rest"
    assert not source.done.done()
    source.close()
    source.close()
    assert source.done.result() == ""
    os.close(writer)


async def test_source_tells_a_reset() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    there = socket.create_connection(server.getsockname())
    here, _ = server.accept()
    here.setblocking(False)
    source = Source(here.detach(), lambda _: None)
    source.resume()
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    there.close()
    server.close()
    assert await asyncio.wait_for(source.done, 5) == "Connection reset by peer"


async def test_terminal_without_processes_is_a_plain_end() -> None:
    master, slave = os.openpty()
    os.set_blocking(master, False)
    source = Source(master, lambda _: None)
    source.resume()
    os.close(slave)
    assert await asyncio.wait_for(source.done, 5) == ""


async def test_feeder_keeps_order_and_presses_back() -> None:
    held: list[bool] = []
    reader, writer = pipe()
    feeder = Feeder(Pressure(held.append, high=100_000), close_input)
    sent = [bytes([number]) * 50_000 for number in range(8)]
    for piece in sent[:2]:
        feeder.feed(piece)  # before there is a descriptor
    feeder.open(writer)
    for piece in sent[2:]:
        feeder.feed(piece)
    feeder.end()
    feeder.feed(b"after the end")
    assert held == [True]
    got = bytearray()
    source = Source(reader, got.extend)
    source.resume()
    assert await asyncio.wait_for(source.done, 5) == ""
    assert got == b"".join(sent)
    assert held == [True, False]
    assert feeder.done.done()


async def test_feeder_whose_reader_is_gone_drops_all() -> None:
    held: list[bool] = []
    reader, writer = pipe()
    feeder = Feeder(Pressure(held.append, high=10), close_input)
    feeder.feed(b"x" * 1000)
    os.close(reader)
    feeder.open(writer)
    await asyncio.sleep(0.01)
    assert feeder.done.done()
    feeder.feed(b"more")
    assert held == [True, False]
    feeder.close()


async def test_feeder_that_is_never_opened() -> None:
    held: list[bool] = []
    feeder = Feeder(Pressure(held.append, high=10), close_input)
    feeder.feed(b"x" * 1000)
    feeder.open(-1)
    assert held == [True, False]
    assert feeder.done.done()


async def test_a_terminal_is_not_closed_at_the_end_of_input() -> None:
    reader, writer = pipe()
    feeder = Feeder(Pressure(lambda _: None), keep_input)
    feeder.open(writer)
    feeder.end()
    os.write(writer, b"open")
    assert os.read(reader, 10) == b"open"
    feeder.close()
    os.close(reader)


async def test_a_connection_is_shut_in_one_direction() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    feeder = Feeder(Pressure(lambda _: None), shut_input)
    feeder.open(os.dup(here.fileno()))
    feeder.feed(b"question")
    feeder.end()
    assert there.recv(100) == b"question"
    assert there.recv(100) == b""
    there.send(b"answer")
    assert here.recv(100) == b"answer"
    here.close()
    there.close()
