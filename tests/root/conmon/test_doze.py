"""A monitor that dozes: what it does then, what wakes it up, what it costs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from conmon.client import Monitor

CONTAINERS = 50
BUDGET_KIB = 500


@pytest.mark.slow
async def test_memory_of_fifty_monitors(runc_world: Any) -> None:
    await (await _made(runc_world)).monitor.close_stdin()  # the bytecode is compiled once, outside the measurement
    containers = [await _made(runc_world) for _ in range(CONTAINERS)]
    for container in containers:
        await runc_world.start(container)
        await container.monitor.subscribe()
    await asyncio.sleep(1)
    sizes = [memory(container.state.monitor_pid, "Pss") for container in containers]
    mean = sum(sizes) / len(sizes)
    assert mean <= BUDGET_KIB, f"mean PSS of a monitor is {mean:.0f} KiB: {sizes}"


async def _made(world: Any) -> Any:
    return await world.create(["/bin/sleep", "1000"])


def memory(pid: int, field: str) -> int:
    """A field of smaps_rollup in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def asleep(container: Any) -> bool:
    """Whether its monitor dozes: one that has woken up has written to more than twice as much memory."""
    return memory(container.state.monitor_pid, "Private_Dirty") < 750


async def test_whole_lines_and_waiting_clients_do_not_wake_it(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "echo one; echo two >&2; /bin/sleep 1000"])
    await runc_world.start(container)
    for _ in range(3):
        monitor = Monitor(container.directory)
        await monitor.subscribe()
        await monitor.state()
        monitor.close()
    await runc_world.until(lambda: len(container.contents()) == 2)
    assert sorted(container.contents()) == [("stderr", "F", "two"), ("stdout", "F", "one")]
    assert asleep(container)


@pytest.mark.parametrize("text", ["part", "x" * 20000 + "\n"])
async def test_output_that_is_more_than_lines_wakes_it_and_is_not_lost(runc_world: Any, text: str) -> None:
    container = await runc_world.create(["/bin/sh", "-c", f"echo first; read x; printf '{text}'"], stdin=False)
    await runc_world.start(container)
    await asyncio.wait_for(container.monitor.wait(), 10)
    lines = "".join(line + ("\n" if tag == "F" else "") for _, tag, line in container.contents())
    assert lines == "first\n" + text.rstrip("\n") + "\n"


async def test_a_request_wakes_it_and_is_answered(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    waiting = Monitor(container.directory)
    future = await waiting.subscribe()
    assert asleep(container)
    assert (await Monitor(container.directory).ping())["pid"] == container.state.monitor_pid
    assert not asleep(container)
    os.kill(container.state.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(asyncio.shield(future), 10)).exit_code == 137


async def test_strays_are_reaped_asleep(runc_world: Any) -> None:
    """With the host's PID namespace the monitor, a subreaper, inherits what the container's processes leave behind."""

    def share_pids(config: Any) -> None:
        config["linux"]["namespaces"] = [ns for ns in config["linux"]["namespaces"] if ns["type"] != "pid"]

    script = "for i in 1 2 3; do (/bin/sleep 0.2 &) ; done; /bin/sleep 1000"
    container = await runc_world.create(["/bin/sh", "-c", script], process={"mutate": share_pids})
    await runc_world.start(container)
    monitor = container.state.monitor_pid
    children = Path(f"/proc/{monitor}/task/{monitor}/children")
    await runc_world.until(lambda: len(children.read_text().split()) == 4)
    await runc_world.until(lambda: children.read_text().split() == [str(container.state.pid)])
    assert asleep(container)


async def test_full_disk_while_asleep(runc_world: Any) -> None:
    small = runc_world.base / "small"
    small.mkdir()
    mount = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=8k", "test", str(small))
    assert await mount.wait() == 0
    try:
        script = "i=0; while [ $i -lt 300 ]; do echo line $i; /bin/busybox usleep 500; i=$((i+1)); done"
        container = await runc_world.create(["/bin/sh", "-c", script], log_path=str(small / "log"))
        await runc_world.start(container)
        ended = await asyncio.wait_for(container.monitor.wait(), 20)
        assert ended.exit_code == 0 and ended.log_dropped > 0
        lines = [line for _, _, line in container.contents()]
        assert lines == [f"line {number}" for number in range(len(lines))] and lines
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(small))).wait()
