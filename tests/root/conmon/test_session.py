"""Exec sessions: output, exit codes, terminals, and the end of all that an exec has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from conmon import process
from conmon.client import ConmonError
from tests.support.machine import a_cgroup_of


async def run_exec(world: Any, container: Any, args: list[str], **fields: Any) -> tuple[int, bytes, bytes]:
    """Exec *args*: exit code, stdout and stderr."""
    spec = world.exec_spec(container, args, **fields)
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        session = await world.zygote.exec(spec, (null, out_writer, err_writer))
    finally:
        for fd in (null, out_writer, err_writer):
            os.close(fd)
    code = await asyncio.wait_for(session.wait(), 10)
    texts = []
    for fd in (out, err):
        with os.fdopen(fd, "rb") as file:
            texts.append(await asyncio.to_thread(file.read))
    return code, texts[0], texts[1]


async def test_exec_output_and_exit_code(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"])
    await world.start(container)
    before = {path.name for path in container.directory.iterdir()}
    script = "echo out; echo err >&2; exit 42"
    assert await run_exec(world, container, ["/bin/sh", "-c", script]) == (42, b"out\n", b"err\n")
    assert await run_exec(world, container, ["/bin/sh", "-c", "kill -9 $$"]) == (137, b"", b"")
    assert {path.name for path in container.directory.iterdir()} == before


async def test_many_short_execs_lose_no_exit_code(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    runs = (run_exec(runc_world, container, ["/bin/sh", "-c", f"exit {code}"]) for code in range(12))
    assert [code for code, _, _ in await asyncio.gather(*runs)] == list(range(12))


async def test_exec_failure_has_the_runtimes_words(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"])
    await world.start(container)
    before = {path.name for path in container.directory.iterdir()}
    with pytest.raises(ConmonError, match="no/such"):
        await run_exec(world, container, ["/no/such"])
    with pytest.raises(ConmonError, match="needs 3 descriptors"):
        await world.zygote.exec(world.exec_spec(container, ["/bin/sh"]))
    assert {path.name for path in container.directory.iterdir()} == before


async def test_exec_with_a_terminal(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"])
    await world.start(container)
    session = await world.zygote.exec(world.exec_spec(container, ["/bin/sh", "-c", "echo hi; exit 3"], terminal=True))
    assert await asyncio.wait_for(session.wait(), 10) == 3
    got = b""
    with contextlib.suppress(OSError):  # EIO at the end of a pty
        while part := os.read(session.master_fd, 4096):
            got += part
    assert got == b"hi\r\n"
    session.close()


async def sleeping_tree(world: Any, container: Any) -> tuple[Any, list[int]]:
    """An exec with children, one in a session of its own, and the pids of all."""
    script = "setsid sleep 1001 & (sleep 1002; :) & sleep 1003"
    null = os.open("/dev/null", os.O_RDWR)
    session = await world.zygote.exec(world.exec_spec(container, ["/bin/sh", "-c", script]), (null, null, null))
    os.close(null)
    await world.until(lambda: len(process.descendants(session.pid)) >= 3)
    return session, [session.pid, *process.descendants(session.pid)]


def ended(pids: list[int]) -> bool:
    """None of *pids* runs (zombies of the container's init, which does not reap, do not count)."""
    states = []
    for pid in pids:
        with contextlib.suppress(OSError):
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0])
    return all(state == "Z" for state in states)


async def test_kill_reaches_the_whole_tree(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"])
    await world.start(container)
    session, pids = await sleeping_tree(world, container)
    await session.kill()
    assert await asyncio.wait_for(session.wait(), 10) == 137
    await world.until(lambda: ended(pids))
    assert not ended([container.state.pid])


async def test_closed_connection_kills_the_tree(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    session, pids = await sleeping_tree(runc_world, container)
    session.close()
    await runc_world.until(lambda: ended(pids))


async def test_kill_reaches_a_daemon_through_its_cgroup(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    below = a_cgroup_of(container.state.pid) / "exec"
    below.mkdir()
    null = os.open("/dev/null", os.O_RDWR)
    spec = runc_world.exec_spec(
        container,
        ["/bin/sh", "-c", "sleep 0.3; (setsid sleep 1004 &); sleep 1005; :"],
        cgroup_procs=(f"{below}/cgroup.procs",),
    )
    session = await runc_world.zygote.exec(spec, (null, null, null))
    (below / "cgroup.procs").write_text(str(session.pid))
    os.close(null)
    await runc_world.until(lambda: len((below / "cgroup.procs").read_text().split()) >= 3)
    pids = [int(pid) for pid in (below / "cgroup.procs").read_text().split()]
    assert set(pids) - {session.pid, *process.descendants(session.pid)}, "one has left the tree"
    await session.kill()
    await runc_world.until(lambda: ended(pids))
    below.rmdir()


async def test_cancelled_exec_leaves_nothing(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    before = {path.name for path in container.directory.iterdir()}
    for delay in (0.0, 0.005, 0.02, 0.04):
        null = os.open("/dev/null", os.O_RDWR)
        spec = runc_world.exec_spec(container, ["/bin/sleep", "1006"])
        task = asyncio.get_running_loop().create_task(runc_world.zygote.exec(spec, (null, null, null)))
        await asyncio.sleep(delay)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await task).close()
        assert {path.name for path in container.directory.iterdir()} == before
        os.close(null)

    def quiet() -> bool:
        texts = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                texts.append((path / "cmdline").read_bytes() + (path / "environ").read_bytes())
        return not any(b"sleep\x001006" in text for text in texts) and not _sessions(runc_world)

    await runc_world.until(quiet)
    assert {path.name for path in container.directory.iterdir()} == before


def _sessions(world: Any) -> list[str]:
    """The exec sessions of this test's zygote."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "comm").read_text() == "conmon-exec\n" and str(world.base) in (path / "cmdline").read_text():
                found.append(path.name)
    return found


async def test_descriptors_of_an_exec(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    code, out, _ = await run_exec(runc_world, container, ["/bin/ls", "/proc/self/fd"])
    assert (code, out.split()) == (0, [b"0", b"1", b"2", b"3"])  # 3 is the directory that ls reads
