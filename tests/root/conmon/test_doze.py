"""A monitor that dozes: what it does then, what wakes it up, what it costs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from conmon.client import Monitor
from conmon.starter import ensure_zygote

CONTAINERS = 50
#: Mean PSS that a monitor may have. The goal is 500, which the density bench measures on a quiet machine; a busy one's
#: timing leaves some monitors awake.
BUDGET_KIB = 560


#: Lines of many lengths, on both streams, a burst, and a prompt.
CHATTER = """
i=0; while [ $i -lt 40 ]; do text="$text $i"; echo "line$text"; echo "$text" >&2; i=$((i+1)); done
i=0; while [ $i -lt 400 ]; do echo x; i=$((i+1)); done; echo -n "name? "; read forever; exec /bin/sleep 1000
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [["/bin/sleep", "1000"], ["/bin/sh", "-c", CHATTER]], ids=["silent", "logging"])
@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"], ids=["ours", "debian"])
async def test_memory_of_fifty_monitors(runc_world: Any, python: str, command: list[str]) -> None:
    if not os.path.exists(python):
        pytest.skip(f"{python} is not installed (Debian package python3)")
    ensure_zygote(runc_world.base / "zygote", python=python)
    await (await _made(runc_world)).monitor.close_stdin()  # the bytecode is compiled once, outside the measurement
    containers = [await runc_world.create(command) for _ in range(CONTAINERS)]
    for container in containers:
        await runc_world.start(container)
        await container.monitor.subscribe()
    written = 1 + 80 + 400 if "-c" in command else 0
    async with asyncio.timeout(60):
        while any(len(container.contents()) != written for container in containers):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)
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


@pytest.mark.parametrize("text", ["part", "x" * 20000 + "\n", "y" * 20000])
async def test_output_that_is_more_than_lines_wakes_it_and_is_not_lost(runc_world: Any, text: str) -> None:
    container = await runc_world.create(["/bin/sh", "-c", f"echo first; read x; printf '{text}'"], stdin=False)
    await runc_world.start(container)
    await asyncio.wait_for(container.monitor.wait(), 10)
    lines = "".join(line + ("\n" if tag == "F" else "") for _, tag, line in container.contents())
    assert lines == "first\n" + text.rstrip("\n") + "\n"


async def test_a_prompt_is_logged_at_once_and_does_not_wake_it(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "printf 'name? '; /bin/sleep 1000"])
    await runc_world.start(container)
    await runc_world.until(container.log.read_bytes)
    written = container.log.stat().st_mtime - Path(f"/proc/{container.state.pid}").stat().st_mtime
    assert container.contents() == [("stdout", "P", "name? ")] and written < 1
    assert asleep(container)


async def test_lines_in_parts(runc_world: Any) -> None:
    """Quick parts of a line become one piece, slow ones several, and the end of the stream ends the last line."""
    slow = "/bin/sleep 0.3"
    script = f"printf a; printf b; echo c; {slow}; printf d; {slow}; echo e; printf f; {slow}; printf g >&2; {slow}"
    container = await runc_world.create(["/bin/sh", "-c", f"{script}; printf h"])
    await runc_world.start(container)
    await asyncio.wait_for(container.monitor.wait(), 10)
    out = [(tag, text) for stream, tag, text in container.contents() if stream == "stdout"]
    assert out == [("F", "abc"), ("P", "d"), ("F", "e"), ("P", "f"), ("F", "h")]
    assert [item for item in container.contents() if item[0] == "stderr"] == [("stderr", "P", "g"), ("stderr", "F", "")]


async def test_a_flood_of_parts_is_not_held_back(runc_world: Any) -> None:
    """Text that never gets its newline is logged while more of it comes."""
    script = "while :; do printf x; /bin/busybox usleep 10000; done"
    container = await runc_world.create(["/bin/sh", "-c", script])
    await runc_world.start(container)
    await runc_world.until(lambda: len(container.log.read_bytes().splitlines()) > 3)
    pieces = container.contents()
    assert {(stream, tag) for stream, tag, _ in pieces} == {("stdout", "P")}
    assert max(len(text) for _, _, text in pieces) < 20
    assert asleep(container)


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
