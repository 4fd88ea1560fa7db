"""One container in the registry, without any monitor: its init is watched by pid and start time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conmon.client import Monitor, StateRecord
from criserver.drivers.monitors import exits
from criserver.drivers.monitors.watches import Watch
from criserver.kernel import proc


@pytest.fixture
def init() -> Iterator[subprocess.Popen[bytes]]:
    """A process that plays a container's init."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        yield child
        child.kill()


def watch(directory: Path, pid: int, monitor: int = 0) -> Watch:
    started = {name: proc.start_time(number) or 0 for name, number in (("pid", pid), ("monitor", monitor)) if number}
    state = StateRecord(
        id="c1", pid=pid, pid_start=started["pid"], monitor_pid=monitor, monitor_start=started.get("monitor", 0)
    )
    return Watch(str(directory), Monitor(directory), state)


async def test_alive_until_it_ends(tmp_path: Path, init: subprocess.Popen[bytes]) -> None:
    watched = watch(tmp_path, init.pid)
    assert watched.alive()
    assert watched.signal(signal.SIGKILL)
    init.wait()
    assert not watched.alive()
    assert not watched.signal(signal.SIGKILL)


async def test_another_process_of_that_pid_is_not_signalled(tmp_path: Path, init: subprocess.Popen[bytes]) -> None:
    state = StateRecord(id="c1", pid=init.pid, pid_start=(proc.start_time(init.pid) or 0) - 1)
    watched = Watch(str(tmp_path), Monitor(tmp_path), state)
    assert not watched.alive()
    assert not watched.signal(signal.SIGKILL)
    assert init.poll() is None


async def test_exit_is_waited_for_once(tmp_path: Path, init: subprocess.Popen[bytes]) -> None:
    watched = watch(tmp_path, init.pid)
    loop = asyncio.get_running_loop()
    waiters = [loop.create_task(watched.exited()) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiters[0].cancel()
    await asyncio.sleep(0.05)
    assert not waiters[1].done()
    init.kill()
    init.wait()
    (tmp_path / "exit.json").write_text(json.dumps({"exit_code": 9, "finished_at": 5}))
    records = await asyncio.wait_for(asyncio.gather(*waiters[1:], watched.exited()), 5)
    assert [record.exit_code for record in records] == [9, 9, 9]


async def test_exit_that_nobody_recorded(
    tmp_path: Path, init: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exits, "_ROUNDS", 2)
    watched = watch(tmp_path, init.pid)
    init.kill()
    init.wait()
    record = await asyncio.wait_for(watched.exited(), 5)
    assert (record.exit_code, record.monitor_lost) == (255, True)


async def test_end_kills_the_monitor_and_only_it(tmp_path: Path, init: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["sleep", "1000"]) as monitor:
        watched = watch(tmp_path, init.pid, monitor.pid)
        assert watched.monitor_alive()
        await watched.end()
        assert monitor.wait(5) == -signal.SIGKILL
    assert not watched.monitor_alive()
    await watched.end()
    assert init.poll() is None


async def test_close_leaves_everything_alone(tmp_path: Path, init: subprocess.Popen[bytes]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    watched = watch(tmp_path, init.pid)
    waiting = asyncio.gather(watched.exited())
    await asyncio.sleep(0.05)
    watched.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert init.poll() is None
    assert len(os.listdir("/proc/self/fd")) == before
