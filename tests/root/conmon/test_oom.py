"""The OOM killer is noticed, told and counted; cgroup v1 for real here, v2 where the machine has it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from conmon import oom
from conmon.records import read_exit

HOG = "x=0123456789abcdef; while :; do x=$x$x; done"


def limit(config: Any) -> None:
    """32 MiB of memory, which runc itself fits into."""
    config["linux"]["resources"]["memory"] = {"limit": 32 << 20}


async def test_oom_killed_init(world: Any) -> None:
    ended, _ = await world.run(["/bin/sh", "-c", HOG], process={"mutate": limit})
    assert (ended.exit_code, ended.signal, ended.oom_killed) == (137, 9, True)
    assert ended.oom_kills >= 1


async def test_oom_killed_child_of_a_container_that_lives_on(world: Any) -> None:
    script = f"(exec /bin/sh -c '{HOG}'); echo child $?; exit 0"
    ended, container = await world.run(["/bin/sh", "-c", script], process={"mutate": limit})
    assert (ended.exit_code, ended.oom_killed) == (0, True)
    assert b"F child 137" in container.log.read_bytes()


async def test_plain_kill_is_no_oom(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"], process={"mutate": limit})
    await world.start(container)
    os.kill(container.state.pid, signal.SIGKILL)
    ended = await asyncio.wait_for(container.monitor.wait(), 10)
    assert (ended.exit_code, ended.oom_killed, ended.oom_kills) == (137, False, 0)


async def test_oom_is_told_for_a_lost_monitor_too(runc_world: Any) -> None:
    script = f"/bin/sleep 0.5; {HOG}"
    container = await runc_world.create(["/bin/sh", "-c", script], process={"mutate": limit})
    await runc_world.start(container)
    os.kill(container.state.monitor_pid, signal.SIGKILL)
    path = container.directory / "exit.json"
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.01)
    ended = read_exit(path)
    assert ended and (ended.exit_code, ended.oom_killed, ended.monitor) == (137, True, "lost")


def test_counter_of_this_process() -> None:
    found = oom.counter_path(os.getpid())
    assert found and Path(found[1]).name in ("memory.oom_control", "memory.events")
