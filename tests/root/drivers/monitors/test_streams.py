"""Execs with pipes and terminals, attach, and connections into namespaces, on real runtimes and monitors."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import termios
import threading
from pathlib import Path

import pytest

from criserver.drivers.monitors.streams import ContainerStreams
from criserver.errors import FailedPrecondition, RuntimeFailed, Unavailable
from criserver.kernel import namespaces
from criserver.ports.streams import Wanted
from tests.root.drivers.conftest import Bench

ALL = Wanted(stdin=True, stdout=True, stderr=True)


@pytest.fixture
async def streams(bench: Bench) -> ContainerStreams:
    """On a running container c1."""
    await bench.start("c1", "sleep", "1000")
    return ContainerStreams(str(bench.place.state), bench.monitors.places)


def document(bench: Bench, *command: str, terminal: bool = False) -> str:
    return json.dumps(bench.spec["process"] | {"terminal": terminal, "args": list(command)})


def remains(bench: Bench) -> list[str]:
    """Directories and cgroups of execs."""
    files = [name for name in os.listdir(f"{bench.directory('c1')}/monitor") if "exec" in name]
    cgroup = f"{bench.parent}/criserver-c1"
    return files + [
        path.name for hierarchy in bench.hierarchies for path in Path(hierarchy.directory(cgroup)).glob("exec-*")
    ]


async def read(fd: int) -> bytes:
    os.set_blocking(fd, True)
    try:
        return await asyncio.to_thread(os.read, fd, 65536)
    except OSError:  # the end of a terminal
        return b""


async def test_pipes(bench: Bench, streams: ContainerStreams) -> None:
    before = len(os.listdir("/proc/self/fd"))
    command = document(bench, "sh", "-c", "cat; echo err >&2; exit 4")
    process, stdio = await streams.exec("c1", bench.handler.command, command, ALL)
    os.write(stdio.stdin, b"through")
    os.close(stdio.stdin)
    assert await read(stdio.stdout) == b"through"
    assert await read(stdio.stderr) == b"err\n"
    assert await asyncio.wait_for(process.wait(), 10) == 4
    process.resize(80, 24)  # has no terminal
    await process.end()
    await process.end()
    os.close(stdio.stdout)
    os.close(stdio.stderr)
    assert remains(bench) == []
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # what asks the runtime for its flags once


async def test_terminal(bench: Bench, streams: ContainerStreams) -> None:
    wanted = Wanted(stdin=True, stdout=True, tty=True)
    command = document(bench, "sh", "-c", "echo ready; read line; echo got $line", terminal=True)
    process, stdio = await streams.exec("c1", bench.handler.command, command, wanted)
    assert stdio.stderr == -1
    assert await read(stdio.stdout) == b"ready\r\n"
    process.resize(91, 17)
    assert termios.tcgetwinsize(stdio.stdout) == (17, 91)
    os.write(stdio.stdin, b"x\n")
    seen = b""
    while b"got x\r\n" not in seen:
        seen += await read(stdio.stdout)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    await process.end()
    os.close(stdio.stdin)
    os.close(stdio.stdout)
    assert remains(bench) == []


async def test_a_terminals_output_is_there_though_nobody_asked_for_it(bench: Bench, streams: ContainerStreams) -> None:
    command = document(bench, "sh", "-c", "read line; exit 3", terminal=True)
    process, stdio = await streams.exec("c1", bench.handler.command, command, Wanted(stdin=True, tty=True))
    os.write(stdio.stdin, b"x\n")
    assert b"x" in await read(stdio.stdout)  # the echo
    assert await asyncio.wait_for(process.wait(), 10) == 3
    await process.end()
    os.close(stdio.stdin)
    os.close(stdio.stdout)


@pytest.mark.parametrize("terminal", [False, True])
async def test_giving_up_kills_all(bench: Bench, streams: ContainerStreams, terminal: bool) -> None:
    command = document(bench, "sh", "-c", "trap '' HUP; sleep 2001 & sleep 2001", terminal=terminal)
    wanted = Wanted(stdout=True, tty=terminal)
    process, stdio = await streams.exec("c1", bench.handler.command, command, wanted)
    os.close(stdio.stdout)
    await process.end()
    result = await bench.monitors.exec_sync("c1", bench.handler.command, document(bench, "ps"), timeout=10, limit=9999)
    assert b"sleep 2001" not in result.stdout
    assert remains(bench) == []


async def test_no_such_program_leaves_nothing(bench: Bench, streams: ContainerStreams) -> None:
    with pytest.raises(RuntimeFailed, match="exec in container c1: "):
        await streams.exec("c1", bench.handler.command, document(bench, "/no/such"), ALL)
    assert remains(bench) == []


async def test_attach(bench: Bench) -> None:
    streams = ContainerStreams(str(bench.place.state), bench.monitors.places)
    await bench.bundle("c1", "sh", "-c", "echo first; cat; echo last >&2")
    await bench.monitors.create(bench.request("c1", stdin=True, stdin_once=True))
    await bench.runtime.start("", "c1")
    attached = await streams.attach("c1", ALL)
    await attached.resize(80, 24)  # has no terminal
    await attached.write(b"middle\n")
    await attached.write_eof()
    seen = {False: b"", True: b""}
    while (item := await asyncio.wait_for(attached.read(), 10)) is not None:
        seen[item[0]] += item[1]
    assert seen == {False: b"first\nmiddle\n", True: b"last\n"}
    with pytest.raises(Unavailable, match="stdin is gone"):
        await attached.write(b"late")
    attached.close()
    await bench.monitors.exited("c1")
    with pytest.raises(FailedPrecondition, match="cannot attach to container c1"):
        await streams.attach("c1", ALL)


async def test_connections_into_a_namespace(bench: Bench, tmp_path: Path) -> None:
    streams = ContainerStreams(str(bench.place.state), bench.monitors.places)
    pin = str(tmp_path / "net")
    namespaces.pin_new({"net": pin}, hostname="", sysctls={})
    try:
        listener = namespaces.inside(pin, lambda: socket.create_server(("::1", 0), family=socket.AF_INET6))
        port = listener.getsockname()[1]
        threads = threading.active_count()
        with socket.socket(fileno=await streams.connect(pin, port)) as connection:
            accepted, _ = listener.accept()
            accepted.sendall(b"inside")
            connection.setblocking(True)
            assert connection.recv(10) == b"inside"
            accepted.close()
        assert threading.active_count() <= threads + 4  # the pool's own
        listener.close()
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1: Connection refused; ::1: Connection refused"):
            await streams.connect(pin, port)
    finally:
        namespaces.unpin(pin)
    with pytest.raises(Unavailable, match="No such file"):
        await streams.connect(pin, port)
