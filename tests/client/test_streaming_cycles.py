"""A thousand streaming sessions, a third of them cut off by their client: afterwards all is as it was before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.server import Client, Server, comm
from tests.support.streaming import SpdyClient

CYCLES, AT_ONCE, SECONDS = 1000, 8, 30
MEMORY = 16 << 20  # bytes that a heap may grow by while it settles
THREADS = 8  # those that pools may still have started
V4 = "v4.channel.k8s.io"


@pytest.fixture(scope="module")
def container(server: Server, base: Path) -> Iterator[str]:
    """A container that reads what attached clients type."""
    logs = base / "cycles"
    logs.mkdir()
    with server.client() as client:
        cri.pull(client)
        config = cri.pod_config("cycles", logs)
        pod_id = cri.run(client, config)
        wish = cri.container_config("reads", "sh", "-c", "while read x; do echo got $x; done")
        wish.stdin = wish.tty = True
        container_id = cri.create(client, pod_id, wish, config)
        cri.start(client, container_id)
        yield container_id
        cri.remove_pod(client, pod_id)


async def exec_pipes(client: Client, container: str, cut: bool) -> None:
    command = ["sh", "-c", "cat; sleep 1000" if cut else "cat"]
    run = pb.ExecRequest(container_id=container, cmd=command, stdin=True, stdout=True, stderr=True)
    peer = await SpdyClient.connect(client("Exec", run).url, V4)
    error, stdin, stdout, _ = (peer.open(streamType=name) for name in ("error", "stdin", "stdout", "stderr"))
    await peer.send(stdin, b"through", end=True)
    await peer.until(stdout, b"through")
    if not cut:
        assert b"Success" in await peer.until_end(error)
    peer.close()


async def exec_terminal(client: Client, container: str, cut: bool) -> None:
    run = pb.ExecRequest(container_id=container, cmd=["sh"], stdin=True, stdout=True, tty=True)
    peer = await SpdyClient.connect(client("Exec", run).url, V4)
    error, stdin, stdout, resize = (peer.open(streamType=name) for name in ("error", "stdin", "stdout", "resize"))
    await peer.send(resize, b'{"Width":77,"Height":33}')
    while b"33 77" not in peer.received[stdout]:
        await peer.send(stdin, b"stty size\n")
        assert await peer.read()
    if not cut:
        await peer.send(stdin, b"\nexit 0\n")
        assert b"Success" in await peer.until_end(error)
    peer.close()


async def attach(client: Client, container: str, cut: bool) -> None:
    wish = pb.AttachRequest(container_id=container, stdin=True, stdout=True, tty=True)
    peer = await SpdyClient.connect(client("Attach", wish).url, V4)
    _, stdin, stdout, resize = (peer.open(streamType=name) for name in ("error", "stdin", "stdout", "resize"))
    await peer.send(resize, b'{"Width":80,"Height":24}')
    while not cut and b"got hello" not in peer.received[stdout]:
        await peer.send(stdin, b"hello\n")
        assert await peer.read()
    peer.close()


KINDS = (exec_pipes, exec_terminal, attach)


async def cycles(client: Client, container: str, count: int) -> None:
    """That many sessions, some at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            async with asyncio.timeout(SECONDS):
                await KINDS[number % 3](client, container, cut=number % 9 < 3)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def execs(server: Server, container: str) -> list[str]:
    """Directories and cgroups of execs."""
    files = [path.name for path in (server.state / "containers" / container / "monitor").glob("exec-*")]
    return files + [name for name in server.cgroups() if "exec-" in name]


def descriptors(pid: int) -> Counter[str]:
    """How many of each kind a process has open."""
    kinds: Counter[str] = Counter()
    with contextlib.suppress(FileNotFoundError):  # it is just ending
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                kinds[re.sub(r"\d+", "N", os.readlink(path))] += 1
    return kinds


def init_leaves(pid: int) -> bool:
    """Whether it is dead and waits for the container's init, a shell that reads and so reaps nobody."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state == "Z" and comm(int(parent)) == "sh"
    except OSError:
        return False


Held = dict[int, Counter[str]]


def held(server: Server) -> Held:
    """The descriptors of server, zygote and monitors now."""
    assert server.process is not None
    pids = [server.process.pid, *(pid for pid in server.processes() if not init_leaves(pid))]
    return {pid: descriptors(pid) for pid in pids}


def more(now: Held, before: Held) -> Held:
    """Processes that were not there before, and what others hold in addition. What idle helpers let go is no matter."""
    found = {pid: kinds - before.get(pid, Counter()) for pid, kinds in now.items()}
    return {pid: kinds for pid, kinds in found.items() if kinds or pid not in before}


def settled(server: Server) -> Held:
    """What they hold once that is the same for a second: the last sessions' connections take a while to close."""
    seen, since = held(server), time.monotonic()
    while time.monotonic() - since < 1:
        time.sleep(0.1)
        if (now := held(server)) != seen:
            seen, since = now, time.monotonic()
    return seen


def threads(server: Server) -> int:
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def memory(server: Server) -> int:
    """Of server, zygote and monitors, resident, bytes."""
    assert server.process is not None
    pages = 0
    for pid in (server.process.pid, *server.processes()):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_nothing_is_left_of_a_thousand_sessions(server: Server, container: str) -> None:
    with server.client() as client:
        asyncio.run(cycles(client, container, 90))  # thread pools are full, heaps have settled
        server.wait_until(lambda: execs(server, container) == [], 20, "execs to end")
        before, rss, started = settled(server), memory(server), threads(server)
        asyncio.run(cycles(client, container, CYCLES))
        with contextlib.suppress(AssertionError):  # told below, with what differs
            server.wait_until(lambda: not more(held(server), before), 20, "what sessions hold to go")
            server.wait_until(lambda: not execs(server, container), 20, "execs to end")
        assert (more(held(server), before), execs(server, container)) == ({}, [])
        assert memory(server) - rss < MEMORY
        assert threads(server) - started < THREADS
