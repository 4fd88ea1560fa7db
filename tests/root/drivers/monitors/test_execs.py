"""ExecSync in real containers: output, limits, deadlines, and nothing left running or lying about."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from criserver.errors import DeadlineExceeded, FailedPrecondition, RuntimeFailed
from criserver.kernel import cgroupfs
from criserver.ports.monitor import ExecResult
from tests.root.drivers.conftest import Bench


async def run(bench: Bench, *command: str, timeout: float = 10, limit: int = 1 << 20) -> ExecResult:
    return await bench.monitors.exec_sync(
        "c1", bench.handler.command, bench.process(*command), timeout=timeout, limit=limit
    )


def inside(bench: Bench) -> set[str]:
    """Command lines of the container's processes, but for its init."""
    pids = set().union(*(cgroupfs.processes(hierarchy, bench.parent) for hierarchy in bench.hierarchies))
    found = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    return {line.replace(b"\0", b" ").decode().strip() for line in found} - {"sleep 1000"}


def remains(bench: Bench) -> list[str]:
    """Directories and cgroups of execs."""
    files = [name for name in os.listdir(f"{bench.directory('c1')}/monitor") if "exec" in name]
    cgroup = f"{bench.parent}/criserver-c1"
    return files + [
        path.name for hierarchy in bench.hierarchies for path in Path(hierarchy.directory(cgroup)).glob("exec-*")
    ]


@pytest.fixture
async def container(bench: Bench) -> Bench:
    await bench.start("c1", "sleep", "1000")
    return bench


async def test_output_and_code(container: Bench) -> None:
    result = await run(container, "sh", "-c", "echo out; echo err >&2; exit 4")
    assert result == ExecResult(4, b"out\n", b"err\n")
    assert (await run(container, "cat")).stdout == b""  # stdin is empty
    assert (await run(container, "sh", "-c", "kill -9 $$")).exit_code == 137
    assert remains(container) == []


async def test_output_is_cut_at_the_limit(container: Bench) -> None:
    result = await run(container, "sh", "-c", "head -c 3000000 /dev/zero; echo e >&2", limit=1000)
    assert (len(result.stdout), result.stderr, result.truncated) == (1000, b"e\n", True)
    assert not (
        await run(
            container,
            "sh",
            "-c",
            "echo -n 12345",
        ),
    )[0].truncated
    assert not (await run(container, "echo", "-n", "12345", limit=5)).truncated


async def test_runtimes_words(container: Bench) -> None:
    with pytest.raises(RuntimeFailed, match="exec in container c1: .*no-such-command"):
        await run(container, "no-such-command")
    assert remains(container) == []


async def test_deadline_kills_daemons_too(container: Bench) -> None:
    script = "sleep 2001 & setsid sleep 2002 & (setsid sleep 2003 >/dev/null 2>&1 &); trap '' TERM HUP; sleep 2004"
    with pytest.raises(DeadlineExceeded, match=r'command \["sh", "-c", .* in container c1 timed out after 0.5 s'):
        await run(container, "sh", "-c", script, timeout=0.5)
    assert inside(container) == set()
    assert remains(container) == []


async def test_cancelled_caller_leaves_nothing(container: Bench) -> None:
    for delay in (0.001, 0.01, 0.03, 0.1):
        caller = asyncio.gather(run(container, "sh", "-c", "setsid sleep 2001 & sleep 2002", timeout=0))
        await asyncio.sleep(delay)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert inside(container) == set()
        assert remains(container) == []


async def test_child_that_holds_the_pipe_does_not_hold_the_answer(container: Bench) -> None:
    result = await run(container, "sh", "-c", "sleep 2001 & echo out", timeout=30)
    assert result == ExecResult(0, b"out\n", b"")
    assert inside(container) == {"sleep 2001"}


async def test_execs_at_once_leak_nothing(container: Bench) -> None:
    await run(container, "true")
    before = len(os.listdir("/proc/self/fd"))
    results = await asyncio.gather(*(run(container, "echo", str(number), timeout=60) for number in range(12)))
    assert [result.stdout for result in results] == [f"{number}\n".encode() for number in range(12)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert remains(container) == []


async def test_container_that_has_ended_or_never_was(bench: Bench) -> None:
    with pytest.raises(FailedPrecondition, match="has no monitor to run a command with"):
        await run(bench, "true")
    await bench.start("c1", "true")
    await asyncio.wait_for(bench.monitors.exited("c1"), 10)
    with pytest.raises(RuntimeFailed, match="exec in container c1: "):
        await run(bench, "true")
