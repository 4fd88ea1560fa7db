"""Attach and resize, under real runtimes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from conmon import protocol
from conmon.client import Attach, ConmonError, Monitor


async def collect(stream: Attach) -> dict[int, bytes]:
    """All of a stream to its end, by kind."""
    got = {protocol.STDOUT: b"", protocol.STDERR: b""}
    while item := await stream.read():
        got[item[0]] += item[1]
    return got


async def read_until(stream: Attach, text: bytes) -> bytes:
    """Output up to and with *text*."""
    got = b""
    async with asyncio.timeout(10):
        while text not in got:
            item = await stream.read()
            assert item, got
            got += item[1]
    return got


async def test_fan_out_and_streams(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "echo out; echo err >&2"])
    streams = [await container.monitor.attach() for _ in range(3)]
    only_errors = await container.monitor.attach(stdout=False)
    await runc_world.start(container)
    for stream in streams:
        assert await collect(stream) == {protocol.STDOUT: b"out\n", protocol.STDERR: b"err\n"}
    assert await collect(only_errors) == {protocol.STDOUT: b"", protocol.STDERR: b"err\n"}


async def test_stdin_reaches_the_container_and_early_output_is_replayed_once(world: Any) -> None:
    script = "echo early; while read line; do echo got $line; done; echo end"
    container = await world.create(["/bin/sh", "-c", script], stdin=True, stdin_once=True)
    await world.start(container)
    await world.until(lambda: b"early" in container.log.read_bytes())
    first = await container.monitor.attach(stdin=True)
    assert await read_until(first, b"early\n") == b"early\n"
    second = await container.monitor.attach()
    await first.write(b"a\nb\n")
    await first.write_eof()
    assert (await collect(first))[protocol.STDOUT] == b"got a\ngot b\nend\n"
    assert (await collect(second))[protocol.STDOUT] == b"got a\ngot b\nend\n"
    assert (await container.monitor.wait()).exit_code == 0


async def test_stdin_once_ends_when_its_client_leaves(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/cat"], stdin=True, stdin_once=True)
    await runc_world.start(container)
    stream = await container.monitor.attach(stdin=True)
    await stream.write(b"x\n")
    await read_until(stream, b"x\n")
    stream.close()
    assert (await asyncio.wait_for(container.monitor.wait(), 10)).exit_code == 0


async def test_stdin_survives_its_clients_unless_once(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/cat"], stdin=True)
    await runc_world.start(container)
    for text in (b"one\n", b"two\n"):
        stream = await container.monitor.attach(stdin=True)
        await stream.write(text)
        await stream.write_eof()
        await read_until(stream, text)
        stream.close()
    await container.monitor.close_stdin()
    assert (await asyncio.wait_for(container.monitor.wait(), 10)).exit_code == 0


async def test_large_stdin_is_held_back_and_complete(runc_world: Any) -> None:
    container = await runc_world.create(
        ["/bin/sh", "-c", "/bin/sleep 0.5; /bin/busybox wc -c"], stdin=True, stdin_once=True
    )
    await runc_world.start(container)
    stream = await container.monitor.attach(stdin=True)
    size = 8 * 1024 * 1024
    writing = asyncio.get_running_loop().create_task(stream.write(b"z" * size))
    await asyncio.sleep(0.2)
    assert not writing.done()
    await asyncio.wait_for(writing, 20)
    await stream.write_eof()
    assert (await collect(stream))[protocol.STDOUT].strip() == str(size).encode()


async def test_slow_reader_is_dropped_and_the_container_runs_on(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "/bin/yes line | /bin/busybox head -c 20000000"])
    slow = await container.monitor.attach()
    slow._connection.pause(True)
    await runc_world.start(container)
    assert (await asyncio.wait_for(container.monitor.wait(), 20)).exit_code == 0
    assert container.log.read_bytes().count(b"F line\n") == 4000000
    slow._connection.pause(False)
    await collect(slow)
    assert not slow.complete


async def test_reader_that_lags_a_little_gets_all(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "/bin/yes line | /bin/busybox head -c 5000000"])
    stream = await container.monitor.attach()
    await runc_world.start(container)
    await asyncio.sleep(0.5)
    got = await asyncio.wait_for(collect(stream), 20)
    text = got[protocol.STDOUT]
    assert (len(text), stream.complete) == (5000000, True)
    assert text == b"line\n" * 1000000


async def test_terminal(world: Any) -> None:
    container = await world.create(
        ["/bin/sh", "-c", "read line; stty size; echo $line"], process={"terminal": True}, terminal=True, stdin=True
    )
    await world.start(container)
    stream = await container.monitor.attach(stdin=True)
    assert stream.terminal
    await container.monitor.resize(100, 33)
    await stream.write(b"hello\n")
    got = (await collect(stream))[protocol.STDOUT]
    assert got.splitlines() == [b"hello", b"33 100", b"hello"]
    assert (await container.monitor.wait()).exit_code == 0
    assert container.log.read_bytes().count(b" stdout F ") == 3


async def test_resize_without_a_terminal(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    with pytest.raises(ConmonError, match="has no terminal"):
        await container.monitor.resize(80, 24)


async def test_a_monitor_by_its_directory_alone(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    container.monitor.close()
    began = time.time_ns()
    other = Monitor(container.directory)
    waiting = await other.subscribe()
    os.kill(container.state.pid, signal.SIGTERM)
    os.kill(container.state.pid, signal.SIGKILL)
    record = await asyncio.wait_for(asyncio.shield(waiting), 10)
    assert record.exit_code == 137 and record.finished_at > began
    assert (await other.state())[1] == record
